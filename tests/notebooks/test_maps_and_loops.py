"""The second notebook, executed as users do; it checks its own answers, so what fails in it fails here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.executed import FOLDER, WORKERS, Outputs, bundles, open_document, printed

pytest.importorskip("matplotlib")

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.processes]

SOURCE = FOLDER / "02-maps-and-loops.ipynb"
PAIRS, RAN_AWAY, REFUSED = 42, 13, 14


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


@pytest.mark.browser
def test_the_document_shows_everything_with_the_network_off(document: Path, tmp_path: Path, chromium: str) -> None:
    with open_document(document, tmp_path / "document.png", chromium) as page:
        assert page.get_by_text(f"✔ done · {PAIRS}/{PAIRS}").is_visible()
        assert page.get_by_text("✘ failed · 1/2").is_visible()
        table = page.locator("table", has=page.locator("caption")).last
        assert table.locator("tbody tr").count() == WORKERS + 1
