"""How much of a map is sent at once."""

from __future__ import annotations

from pydist._items import Inputs
from pydist._pace import Pace


def test_slow_items_are_not_kept_waiting_behind_each_other() -> None:
    pace = Pace(1, 100)
    pace.note(0.5, 0.5, 1)
    assert (pace.size, pace.depth) == (1, 1)


def test_quick_items_wait_at_the_worker_but_not_without_bound() -> None:
    pace = Pace(1, None)
    pace.note(0.005, 0.005, 1)
    assert pace.depth == 2
    pace.note(1e-5, 1e-5, 1)
    assert 8 <= pace.depth <= 64


def test_quick_items_wait_there_also_if_their_worker_waits_for_a_cpu() -> None:
    pace = Pace(1, None)
    pace.note(0.05, 1e-5, 1)
    assert pace.depth >= 8


def test_large_ones_do_not_pile_up_however_quick_they_are() -> None:
    pace = Pace(1, None)
    pace.weigh(10_000_000)
    pace.note(1e-3, 1e-6, 1)
    assert pace.depth == 2


def test_a_given_size_stays() -> None:
    pace = Pace(50, 10_000)
    pace.note(1e-5, 1e-5, 50)
    pace.note(5.0, 5.0, 50)
    assert pace.size == 50


def test_auto_grows_while_messages_are_quick_up_to_a_share_of_the_whole() -> None:
    pace = Pace("auto", 10_000)
    pace.workers = 4
    pace.note(1e-4, 1e-4, 1)
    assert pace.size > 1
    for _ in range(10):
        pace.note(1e-4, 1e-4, pace.size)
    assert pace.size * pace.workers <= 10_000


def test_auto_shrinks_when_messages_are_slow() -> None:
    pace = Pace("auto", None)
    pace.note(1e-4, 1e-4, 1)
    before = pace.size
    pace.note(0.1, 0.1, before)
    assert pace.size == before // 2
    pace.note_cut(1)
    assert pace.size == 1


def test_auto_begins_large_with_many_numbers_only() -> None:
    for numbers in ([range(1000)], [[0.5] * 1000], [range(1000), [1] * 1000]):
        pace = Pace("auto", 1000)
        pace.workers = 4
        pace.guess(Inputs(numbers))
        assert pace.size == 250
    for others in ([iter(range(1000))], [[b"x" * 100] * 1000], [[[1]] * 1000], [{i: i for i in range(1000)}]):
        inputs = Inputs(others)
        pace = Pace("auto", 1000)
        pace.guess(inputs)
        assert pace.size == 1
        assert len(list(inputs.iterator)) == 1000
