"""What waits behind a call of a map, and when it is given back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pydist._protocol.frames import CUT, EACH, MAP
from pydist._runtime import mapped, turns
from pydist._runtime.call import Call
from pydist._runtime.mapped import NOTHING_BEHIND, Items
from pydist._runtime.turns import Turns


class Clock:
    """The time that passes as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "monotonic", clock)
    monkeypatch.setattr(mapped, "monotonic", clock)
    return clock


@pytest.fixture
def make() -> Callable[..., Call]:
    """Return what makes the message of a map, with so many items."""

    def make(flags: int, items: int = 1) -> Call:
        call = Call(None, None, 0, 0)
        call.asked = MAP | flags
        call.turn = (1, 7)
        call.items = Items(range(items), star=False)
        return call

    return make


def work_on(call: Call, clock: Clock, items: int, each: float) -> None:
    """Begin and end so many items; one more has begun then."""
    assert call.items is not None
    call.items.take()
    call.items.since = clock.now
    for _ in range(items):
        clock.now += each
        call.items.take()
        call.items.since = clock.now


def test_the_messages_of_a_map_take_turns(make: Callable[..., Call]) -> None:
    queue, first, second = Turns(), make(0), make(0)
    assert queue.begin(first)
    assert not queue.begin(second)
    assert queue.end(first) is second
    assert queue.end(second) is None
    assert queue.begin(first)


def test_what_waits_behind_a_message_that_lasts_is_given_back(clock: Clock, make: Callable[..., Call]) -> None:
    queue, first, second, third = Turns(), make(0), make(0), make(0)
    for call in (first, second, third):
        queue.begin(call)
    assert queue.next_look() is not None
    clock.now += 0.019
    assert queue.overdue() == []
    clock.now += 0.002
    assert queue.overdue() == [(third, 0), (second, 0)]
    assert queue.next_look() is None


def test_single_items_behind_one_that_lasts_are_given_back(clock: Clock, make: Callable[..., Call]) -> None:
    queue, call = Turns(), make(EACH, 64)
    queue.begin(call)
    assert queue.next_look() is not None
    work_on(call, clock, 10, each=0.0001)
    clock.now += 0.018
    assert queue.overdue() == []
    clock.now += 0.003
    assert queue.overdue() == [(call, 11)]
    assert queue.next_look() is None


def test_nobody_waits_long_for_single_items_that_have_become_slow(clock: Clock, make: Callable[..., Call]) -> None:
    queue, call = Turns(), make(EACH, 64)
    queue.begin(call)
    work_on(call, clock, 4, each=0.006)
    assert queue.overdue() == [(call, 5 + 3)]  # four took 24 ms, the fifth is under way: three more in 20 ms


def test_quick_single_items_stay_where_they_are(clock: Clock, make: Callable[..., Call]) -> None:
    queue, call = Turns(), make(EACH, 64)
    queue.begin(call)
    work_on(call, clock, 50, each=0.0001)
    assert queue.overdue() == []


def test_of_a_large_message_that_lasts_a_part_is_given_back(clock: Clock, make: Callable[..., Call]) -> None:
    queue, call = Turns(), make(CUT, 100)
    queue.begin(call)
    work_on(call, clock, 10, each=0.00049)
    assert queue.overdue() == [(call, 11 + 8)]


@pytest.mark.parametrize("flags", [EACH, CUT])
def test_a_message_is_looked_after_as_long_as_it_may_have_items_behind_the_first(
    flags: int, make: Callable[..., Call]
) -> None:
    queue, call = Turns(), make(flags, 2)
    items, call.items = call.items, None
    queue.begin(call)
    assert queue.next_look() is not None  # it is not decoded yet: nobody knows
    call.items = items
    assert queue.next_look() is not None
    assert items is not None
    items.take()
    items.take()
    assert queue.next_look() is None


@pytest.mark.parametrize("flags", [EACH, CUT])
def test_a_single_item_needs_nobody_and_has_nothing_to_give_back(
    flags: int, clock: Clock, make: Callable[..., Call]
) -> None:
    queue, call = Turns(), make(flags)
    call.items = NOTHING_BEHIND
    queue.begin(call)
    assert queue.next_look() is None
    clock.now += 1000
    assert queue.overdue() == []
