"""The messages of a map take turns on a worker, and somebody looks after what stands behind the one that lasts."""

from __future__ import annotations

from typing import Any

import pytest

from pydist._protocol.frames import CUT, EACH, MAP
from pydist._runtime.call import Call
from pydist._runtime.mapped import NOTHING_BEHIND, Items
from pydist._runtime.turns import Turns


def begun(turns: Turns, flags: int) -> Call:
    call = Call(None, None, 1, 0)
    call.asked = MAP | flags
    assert turns.begin(call)
    return call


@pytest.mark.parametrize("flags", [EACH, CUT])
def test_a_message_is_looked_after_as_long_as_it_may_have_items_behind_the_first(flags: int) -> None:
    turns = Turns()
    call = begun(turns, flags)
    assert turns.next_look() is not None  # it is not decoded yet: nobody knows
    call.items = Items([1, 2], star=False)
    assert turns.next_look() is not None
    call.items.take()
    call.items.take()
    assert turns.next_look() is None


@pytest.mark.parametrize("flags", [EACH, CUT])
def test_a_single_item_needs_nobody_and_has_nothing_to_give_back(flags: int, monkeypatch: Any) -> None:
    turns = Turns()
    call = begun(turns, flags)
    call.items = NOTHING_BEHIND
    assert turns.next_look() is None
    monkeypatch.setattr("pydist._runtime.turns.monotonic", lambda: float("1e9"))
    assert turns.overdue() == []
