"""What goes into a map, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pydist._items import Inputs, Results


@pytest.mark.parametrize(
    ("iterables", "pieces"),
    [
        ([range(5)], [range(2), range(2, 4), range(4, 5)]),
        ([[1, 2, 3]], [[1, 2], [3]]),
        ([(1, 2, 3)], [[1, 2], [3]]),
        ([iter("abc")], [["a", "b"], ["c"]]),
        ([range(3), "ab"], [[(0, "a"), (1, "b")]]),
        ([[]], []),
    ],
)
def test_inputs_are_taken_piece_by_piece(iterables: list[Any], pieces: list[Sequence[Any]]) -> None:
    inputs = Inputs(iterables)
    assert inputs.peek(2) == (pieces[0] if pieces else [])
    taken: list[Sequence[Any]] = []
    while len(piece := inputs.take(2)):
        assert type(piece) is type(pieces[len(taken)])
        taken.append(piece)
    assert taken == pieces


def test_a_list_that_grows_meanwhile_is_taken_to_its_end() -> None:
    numbers = [1, 2]
    inputs = Inputs([numbers])
    assert inputs.take(2) == [1, 2]
    numbers.append(3)
    assert inputs.take(2) == [3]


def test_kept_results_come_in_order_whatever_comes_first() -> None:
    results = Results(keep=True)
    results.put_one(3, "d")
    results.put(range(1, 3), ["b", "c"])
    results.put_one(0, "a")
    results.put((5, 4), ["f", "e"])
    assert results.in_order() == [*"abcdef"]
    assert results.by_index() == dict(enumerate("abcdef"))
    assert results.pop() == []


def test_others_are_given_away_as_they_come() -> None:
    results = Results(keep=False)
    results.put_one(3, "d")
    results.put(range(1, 3), ["b", "c"])
    assert results.by_index() == {3: "d", 1: "b", 2: "c"}
    assert results.pop() == [(3, "d"), (1, "b"), (2, "c")]
    assert results.pop() == []
