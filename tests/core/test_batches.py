"""Cutting work into pieces, and waiting between tries."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from pydist import ExponentialBackOff, batchsplit, head_and_tail, splitrange


@given(st.integers(-50, 50), st.integers(0, 200), st.integers(1, 40))
def test_splitrange_cuts_as_the_formula_says(first: int, n: int, parts: int) -> None:
    """Julia's: n ÷ parts each, the first n mod parts have one more; nothing is left out, nothing is empty."""
    ranges = splitrange(first, first + n - 1, parts)
    each, extras = divmod(n, parts)
    expected = [each + 1] * extras + [each] * (parts - extras if each else 0)
    assert [len(part) for part in ranges] == expected
    assert [*itertools.chain(*ranges)] == [*range(first, first + n)]


def test_splitrange_of_nothing_is_nothing() -> None:
    assert splitrange(1, 0, 3) == []
    assert splitrange(5, 1, 3) == []


@pytest.mark.parametrize("parts", [0, -1])
def test_splitrange_into_no_parts_is_refused(parts: int) -> None:
    with pytest.raises(ValueError, match=f"parts must be at least 1, not {parts}"):
        splitrange(1, 2, parts)


@given(st.integers(0, 300), st.integers(1, 10), st.integers(1, 20))
def test_batches_hold_everything_in_order_within_their_limits(n: int, count: int, size: int) -> None:
    batches = list(batchsplit(range(n), min_batch_count=count, max_batch_size=size))
    assert [*itertools.chain(*batches)] == [*range(n)]
    assert all(1 <= len(batch) <= size for batch in batches)
    # Batches of one size, so it need not be exactly `count` of them; but no larger size would give as many.
    used = max(map(len, batches), default=1)
    assert used == 1 or -(-n // (used - 1)) >= min(n, count)
    assert len({len(batch) for batch in batches[:-1]}) <= 1


def test_a_long_input_is_cut_into_the_largest_batches() -> None:
    assert [len(batch) for batch in batchsplit(range(250))] == [100, 100, 50]


def test_batches_of_an_endless_input_come_one_by_one() -> None:
    batches = batchsplit(itertools.count(), min_batch_count=2, max_batch_size=3)
    assert [next(batches), next(batches)] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("name", ["min_batch_count", "max_batch_size"])
def test_batchsplit_complains_at_once_and_names_the_option(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        batchsplit([], **{name: 0})


def test_head_and_tail_takes_no_more_than_the_head() -> None:
    source = iter("abcd")
    head, tail = head_and_tail(source, 2)
    assert head == ["a", "b"]
    assert next(source) == "c"
    assert [*tail] == ["d"]


def test_the_head_of_a_short_input_is_all_of_it() -> None:
    head, tail = head_and_tail("a", 3)
    assert (head, [*tail]) == (["a"], [])


def test_delays_grow_by_their_factor_up_to_the_limit() -> None:
    assert [*ExponentialBackOff(5, 1, 10, 3, 0)] == [1, 3, 9, 10, 10]


@given(
    st.integers(0, 20), st.floats(0, 5), st.floats(0, 10), st.floats(0, 4), st.floats(0, 1), st.integers(0, 2**32 - 1)
)
def test_delays_keep_their_limits(n: int, first: float, most: float, factor: float, jitter: float, seed: int) -> None:
    back_off = ExponentialBackOff(n, first, most, factor, jitter)
    delays = [*back_off]
    assert len(delays) == len(back_off) == n
    assert delays[:1] == [min(first, most)][:n]
    slack = 1e-9
    for before, after in itertools.pairwise(delays):
        assert after <= most + slack
        assert after >= min(most, before * factor * (1 - jitter)) - slack
        assert after <= before * factor * (1 + jitter) + slack


def test_delays_can_be_gone_through_twice() -> None:
    back_off = ExponentialBackOff(3, jitter=0)
    assert [*back_off] == [*back_off] == [0.05, 0.25, 1.25]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n": -1}, "n must not be negative"),
        ({"first_delay": -1}, "must not be negative"),
        ({"jitter": 1.5}, "jitter must lie between 0 and 1"),
    ],
)
def test_delays_that_make_no_sense_are_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ExponentialBackOff(**options)  # type: ignore[arg-type]
