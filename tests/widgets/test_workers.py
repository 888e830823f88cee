from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pydist_widgets._workers import Workers
from tests.widgets.processes import NOON, Process

MASTER = Process(1, manager="master", rss=80_000_000)


def workers(*processes: Process, now: float = NOON) -> Workers:
    return Workers.of(processes, now)


def states(snapshot: Workers) -> list[str]:
    return [cells[1] for cells in snapshot.grid.rows]


def test_a_state_is_a_glyph_and_a_word() -> None:
    snapshot = workers(
        MASTER,
        Process(2),
        Process(3, running=2),
        Process(4, state="created"),
        Process(5, state="terminating", running=1),
        Process(6, state="terminated"),
    )
    assert states(snapshot) == ["◆ master", "● idle", "▶ busy", "○ starting", "◐ leaving", "✕ gone"]


def test_an_unknown_state_is_shown_as_it_is() -> None:
    assert states(workers(Process(2, state="lost"))) == ["lost"]


def test_rows_are_ordered_by_id() -> None:
    assert [cells[0] for cells in workers(Process(10), MASTER, Process(9)).grid.rows] == ["1", "9", "10"]


@pytest.mark.parametrize(
    ("processes", "caption"),
    [
        ([MASTER], "no workers"),
        ([MASTER, Process(2)], "1 worker · 0 running · 0 done"),
        ([MASTER, Process(2, running=1, done=3), Process(3, done=4)], "2 workers · 1 running · 7 done"),
    ],
)
def test_the_caption_sums_up(processes: list[Process], caption: str) -> None:
    assert workers(*processes).grid.caption == caption


def test_what_is_not_known_is_a_dash() -> None:
    row = workers(Process(2, cpu=None, rss=None, ospid=None)).grid.rows[0]
    assert (row[4], row[5], row[9]) == ("-", "-", "-")


def test_what_the_table_itself_costs_does_not_keep_it_awake() -> None:
    before = workers(Process(1, cpu=2.0))
    for cpu in (3.0, 2.0, 4.0, 7.0):
        assert workers(Process(1, cpu=cpu)) == before
    assert workers(Process(1, cpu=20.0)) != before


def test_a_share_that_was_asked_for_too_soon_is_the_last_one() -> None:
    before = workers(Process(2, cpu=95.0), Process(3, cpu=None))
    after = Workers.of([Process(2, cpu=None), Process(3, cpu=50.0)], NOON, before)
    assert [cells[4] for cells in after.grid.rows] == ["95 %", "50 %"]


def test_one_tick_of_the_clock_is_no_work() -> None:
    before = workers(Process(2, cpu=0.0))
    assert Workers.of([Process(2, cpu=5.0)], NOON + 0.2, before) == before


def test_work_shows_within_a_second_or_two() -> None:
    snapshot = workers(Process(2, cpu=0.0))
    for look in range(1, 11):
        snapshot = Workers.of([Process(2, cpu=100.0)], NOON + look / 5, snapshot)
    assert snapshot.grid.rows[0][4] in ("85 %", "90 %")


def test_the_passing_of_time_alone_is_no_change() -> None:
    before = workers(MASTER, Process(2), now=NOON)
    after = workers(MASTER, Process(2, last_heard=NOON + 60, cpu=1.9), now=NOON + 61)
    assert before == after


def test_work_is_a_change() -> None:
    idle = Process(2)
    assert workers(idle) != workers(replace(idle, running=1))
    assert workers(idle) != workers(replace(idle, done=1))


def test_text_and_html_say_the_same() -> None:
    snapshot = workers(MASTER, Process(2, done=7, bytes_out=1_200, bytes_in=85_000, host="<vega>"))
    text, html = snapshot.text(), snapshot.html()
    assert "<vega>" in text
    for cell in snapshot.grid.rows[1]:
        assert cell in text
        assert cell.replace("<vega>", "&lt;vega&gt;") in html


def test_a_document_says_when_it_was_true() -> None:
    first_line = workers(Process(2)).text().splitlines()[0]
    assert re.fullmatch(r"1 worker · 0 running · 0 done · at \d\d:\d\d:\d\d", first_line)


def test_facts_that_hardly_change_are_folded_away() -> None:
    folded = workers(MASTER, Process(2, python="3.12.1")).html().partition("<details>")[2]
    assert "3.12.1" in folded
    assert "last heard" in folded


def test_what_the_front_end_gets_is_json_and_names_each_row() -> None:
    data = json.loads(json.dumps(workers(MASTER, Process(2, running=1)).data))
    assert [(row["id"], row["kind"]) for row in data["rows"]] == [(1, "master"), (2, "busy")]
    assert all(len(row["cells"]) == len(data["columns"]) for row in data["rows"])
    assert all(len(row["cells"]) == len(data["moreColumns"]) for row in data["moreRows"])
