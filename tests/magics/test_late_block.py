"""The block of a cell for what its calls write when it has ended."""

from __future__ import annotations

from typing import Any

import pytest

from pydist_magics import _late_block
from pydist_magics._late_block import LateBlock
from pydist_magics._publisher import CellPublisher
from tests.magics.kernels import FakeKernel


def line(pid: int, text: str) -> str:
    return f" From worker {pid}:\t{text}\n"


class Cells:
    """A cell that has ended, and one that runs."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.own = self._publisher("A")
        self.running = self._publisher("B")

    def _publisher(self, name: str) -> CellPublisher:
        self.kernel.begin(name, {}, allow_stdin=False)
        return CellPublisher(self.kernel, self.kernel.get_parent("shell"))

    def sent(self, name: str) -> list[Any]:
        return [(m["msg_type"], m["content"]["data"]["text/plain"]) for m in self.kernel.messages(name)]


@pytest.fixture
def cells() -> Cells:
    return Cells()


def test_it_is_shown_empty_and_filled_by_the_cell_that_runs(cells: Cells) -> None:
    block = LateBlock({})
    block.reserve(cells.own)
    block.write((2, 5), "stdout", line(2, "late"))
    block.update(cells.running)
    assert cells.sent("A") == [("display_data", "")]
    assert cells.sent("B") == [("update_display_data", " From worker 2:\tlate")]
    (first,), (second,) = cells.kernel.messages("A"), cells.kernel.messages("B")
    assert first["content"]["transient"] == second["content"]["transient"] != {}


def test_its_text_stands_worker_by_worker_and_call_by_call_whoever_was_faster(cells: Cells) -> None:
    block = LateBlock({(3, 4): [("stdout", line(3, "early"))]})
    for pid, call, text in [(2, 9, "b"), (3, 4, "d"), (2, 8, "a"), (2, 9, "c")]:
        block.write((pid, call), "stdout", line(pid, text))
    assert block.text() == line(2, "a") + line(2, "b") + line(2, "c") + line(3, "early") + line(3, "d")


def test_equal_lines_are_one_if_that_is_wanted() -> None:
    block = LateBlock({}, fold=True)
    for pid in (3, 2):
        block.write((pid, pid), "stdout", line(pid, "ready"))
    assert block.text() == " From workers 2, 3:\tready\n"


def test_what_was_left_out_is_told_at_the_end() -> None:
    block = LateBlock({})
    block.note = "... much left out\n"
    block.write((2, 1), "stdout", line(2, "x"))
    assert block.text() == line(2, "x") + "... much left out\n"


def test_an_update_costs_the_more_time_the_longer_the_text_is(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(_late_block, "monotonic", lambda: now)
    block = LateBlock({})
    block.reserve(cells.own)
    sent = []
    for _ in range(2):
        block.write((2, 1), "stdout", "x" * 200_000 + "\n")
        for wait in (0.05, 0.06, 0.4):
            now += wait
            block.update(cells.running, now=False)
            sent.append(len(cells.sent("B")))
    assert sent == [0, 1, 1, 1, 1, 1]
    block.update(cells.running)
    assert len(cells.sent("B")) == 2
    assert not block.pending


def test_nothing_is_sent_twice(cells: Cells) -> None:
    block = LateBlock({})
    block.reserve(cells.own)
    block.update(cells.running)
    assert cells.sent("B") == []


def test_what_no_cell_can_show_is_given_back(cells: Cells) -> None:
    block = LateBlock({(2, 1): [("stdout", line(2, "shown"))]})
    block.reserve(cells.own)
    block.write((2, 1), "stdout", line(2, "not shown"))
    assert block.rest() == line(2, "not shown")
    assert not block.pending
