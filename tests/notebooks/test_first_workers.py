"""The first notebook, executed as users do: without a browser, and by ``pydist run`` into a document."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.notebooks.executed import FOLDER, WORKERS, Outputs, bundles, open_document, printed

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.processes]

SOURCE = FOLDER / "01-first-workers.ipynb"
SETTINGS = 36


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


@pytest.mark.browser
def test_the_document_shows_everything_with_the_network_off(document: Path, tmp_path: Path, chromium: str) -> None:
    with open_document(document, tmp_path / "document.png", chromium) as page:
        assert page.get_by_text("✔ done").is_visible()
        assert page.locator("progress").evaluate("bar => bar.value / bar.max") == 1
        table = page.locator("table", has=page.locator("caption")).last
        assert table.is_visible()
        assert table.locator("tbody tr").count() == WORKERS + 1
        assert f"{WORKERS} workers · 0 running" in table.locator("caption").inner_text()
        assert page.get_by_text("From worker 3:").is_visible()
