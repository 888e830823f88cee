"""The first notebook, executed as users do: without a browser, and by ``pydist run`` into a document."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.browser.lab import open_page

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.processes]

SOURCE = Path(__file__).parents[2] / "notebooks" / "01-first-workers.ipynb"
WORKERS = 4
SETTINGS = 36
TIMEOUT = 300  # for one cell, on a machine that is busy with other tests

Outputs = list[dict[str, Any]]


def read() -> Any:
    return nbformat.read(SOURCE, as_version=4)


@pytest.fixture(scope="module")
def cells() -> dict[str, Outputs]:
    """Execute the notebook and return what each cell shows."""
    notebook = read()
    NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(SOURCE.parent)}}).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(outputs: Outputs) -> str:
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def bundles(outputs: Outputs) -> list[dict[str, Any]]:
    return [output["data"] for output in outputs if "data" in output]


def test_it_is_kept_without_outputs() -> None:
    notebook = read()
    assert notebook.metadata.kernelspec == {
        "name": "pydist",
        "display_name": "Python 3 (pydist)",
        "language": "python",
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_loading_the_extension_says_nothing(cells: dict[str, Outputs]) -> None:
    assert cells["load"] == []


def test_the_worker_table_shows_in_the_end_what_was_done(cells: dict[str, Outputs]) -> None:
    for cell in ("workers", "end"):
        (table,) = bundles(cells[cell])
        assert table.keys() == {"text/plain", "text/html"}
        caption, _, *rows = table["text/plain"].splitlines()
        assert caption.startswith(f"{WORKERS} workers · 0 running · ")
        assert [row.split()[0] for row in rows] == ["1", "2", "3", "4", "5"]
        done = [int(row.split()[4]) for row in rows[1:]]
        assert sum(done) >= SETTINGS
        assert table["text/html"].count('<th scope="row"') == 2 * (WORKERS + 1)


def test_a_print_of_each_worker_stands_under_its_cell(cells: dict[str, Outputs]) -> None:
    lines = printed(cells["print"]).splitlines()
    assert sorted(lines) == [f" From worker {pid}:\t1797 images of 10 digits" for pid in (2, 3, 4, 5)]


def test_the_progress_ends_as_done(cells: dict[str, Outputs]) -> None:
    (progress,) = bundles(cells["pmap"])
    assert "✔ done" in progress["text/plain"]
    assert f" {SETTINGS}/{SETTINGS} " in progress["text/plain"]
    assert f'<progress max="{SETTINGS}" value="{SETTINGS}"' in progress["text/html"]


def test_there_is_a_figure(cells: dict[str, Outputs]) -> None:
    assert any("image/png" in bundle for bundle in bundles(cells["figure"]))
    best = re.search(r"with ([\d.]+)% of the digits", printed(cells["figure"]))
    assert best is not None
    assert float(best[1]) > 95


def test_the_result_is_that_of_one_process(cells: dict[str, Outputs]) -> None:
    assert f"all {SETTINGS} scores agree" in printed(cells["check"])
    assert "times as fast" in printed(cells["check"])


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let ``pydist run`` make the document."""
    html = tmp_path_factory.mktemp("run") / "first-workers.html"
    pydist = Path(sys.executable).with_name("pydist")
    subprocess.run(
        [pydist, "run", SOURCE, "-p", str(WORKERS), "-o", html], check=True, timeout=TIMEOUT, cwd=html.parent
    )
    return html


@pytest.mark.browser
def test_the_document_shows_everything_with_the_network_off(document: Path, tmp_path: Path, chromium: str) -> None:
    refused: list[str] = []
    complaints: list[str] = []
    with open_page(chromium, ("file:", "data:", "blob:"), refused=refused, complaints=complaints) as page:
        page.goto(document.as_uri())
        page.screenshot(path=tmp_path / "document.png", full_page=True)
        figure = page.locator(".jp-OutputArea img")
        assert figure.count() == 1
        assert figure.evaluate("image => image.complete && image.naturalWidth") > 300
        assert page.get_by_text("✔ done").is_visible()
        assert page.locator("progress").evaluate("bar => bar.value / bar.max") == 1
        table = page.locator("table", has=page.locator("caption")).last
        assert table.is_visible()
        assert table.locator("tbody tr").count() == WORKERS + 1
        assert f"{WORKERS} workers · 0 running" in table.locator("caption").inner_text()
        assert page.get_by_text("From worker 3:").is_visible()
    assert refused == []
    assert complaints == []
