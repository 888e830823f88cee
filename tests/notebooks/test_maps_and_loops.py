"""The second notebook, executed as users do; it checks its own answers, so what fails in it fails here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.browser.lab import open_page

pytest.importorskip("matplotlib")

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.processes]

SOURCE = Path(__file__).parents[2] / "notebooks" / "02-maps-and-loops.ipynb"
WORKERS = 4
PAIRS, RAN_AWAY, REFUSED = 42, 13, 14
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


def test_the_loop_with_a_reducer_is_quiet_and_right(cells: dict[str, Outputs]) -> None:
    assert cells["monte-carlo"] == []
    assert printed(cells["estimate"]) == "counted 0.5060, exact 0.5073, standard deviation 0.0020\n"


def test_the_handle_of_the_loop_shows_that_it_is_done(cells: dict[str, Outputs]) -> None:
    (handle,) = bundles(cells["curve-wait"])
    assert "✔ done" in handle["text/plain"]
    assert "✔ done" in handle["text/html"]
    assert any("image/png" in bundle for bundle in bundles(cells["figure"]))


def test_the_sweep_counts_what_ran_away_and_what_was_tried_again(cells: dict[str, Outputs]) -> None:
    (progress,) = bundles(cells["sweep"])
    assert f"✔ done · {PAIRS}/{PAIRS} · {RAN_AWAY} failed" in progress["text/plain"]
    assert f'<progress max="{PAIRS}" value="{PAIRS}"' in progress["text/html"]
    said = printed(cells["sweep-check"])
    assert f"{PAIRS} pairs in {PAIRS + REFUSED} requests; {RAN_AWAY} ran away" in said
    assert "the solution runs away" in said


def test_the_failure_of_a_map_says_which_input_and_keeps_what_was_computed(cells: dict[str, Outputs]) -> None:
    said = printed(cells["sweep-error"])
    assert "item 1: On worker 2: k = 32, h = 1.5: the solution runs away" in said
    assert "computed: {0: " in said


def test_all_jobs_come_back_over_the_channel(cells: dict[str, Outputs]) -> None:
    said = printed(cells["channels-check"])
    assert said.startswith("40 numbers factored by ")
    assert "the largest prime factor is 1,000,000,000,039" in said


def test_in_the_end_nothing_is_running(cells: dict[str, Outputs]) -> None:
    (table,) = bundles(cells["end"])
    assert table["text/plain"].startswith(f"{WORKERS} workers · 0 running · ")
    assert all("error" not in output["output_type"] for outputs in cells.values() for output in outputs)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let ``pydist run`` make the document."""
    html = tmp_path_factory.mktemp("run") / "maps-and-loops.html"
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
        assert page.get_by_text(f"✔ done · {PAIRS}/{PAIRS}").is_visible()
        assert page.get_by_text("✘ failed · 1/2").is_visible()
        table = page.locator("table", has=page.locator("caption")).last
        assert table.locator("tbody tr").count() == WORKERS + 1
    assert refused == []
    assert complaints == []
