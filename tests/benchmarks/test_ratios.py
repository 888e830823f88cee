"""A guard against getting slower: ratios to the machine's floor, measured in the same run, on one CPU.

That the guard sees a doubling is proven for each row: it is handed the usual figures at twice their cost. See guard.py.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

import pytest

from benchmarks.measure import Job
from benchmarks.rows import ROWS
from benchmarks.running import SYSTEMS, Place, run
from tests.benchmarks.guard import USUAL, Values, is_refused

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROUNDS = 3
Rounds = list[tuple[Values, Values]]


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[None]:
    """Let this process, and what it starts, run on one CPU."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system keeps no process to a CPU")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory, one_cpu: None) -> Rounds:
    """Return what pydist and the floor have measured, round by round."""
    place = Place(None, tmp_path_factory.mktemp("benchmarks"))
    parts = {part: tuple(row for row in USUAL if ROWS[row].part == part) for part in ("ready", "rows")}
    return [(_measured("ours", parts, place), _measured("floor", parts, place)) for _ in range(ROUNDS)]


def _measured(system: str, parts: dict[str, tuple[str, ...]], place: Place) -> Values:
    values: Values = {}
    for part, rows in parts.items():
        answer = run(SYSTEMS[system], Job(part, rows, quick=True), place)
        assert answer is not None
        assert not answer["errors"]
        values.update(answer["values"])
    return values


@pytest.mark.parametrize("row", USUAL)
def test_it_is_no_further_from_the_floor_than_it_was(row: str, rounds: Rounds) -> None:
    assert not is_refused(row, rounds)


@pytest.mark.parametrize("row", USUAL)
@pytest.mark.parametrize(("times", "refused"), [(1.0, False), (1.5, False), (2.0, True)])
def test_the_guard_lets_a_bad_day_pass_and_refuses_twice_the_cost(row: str, times: float, refused: bool) -> None:
    cost = times * USUAL[row]
    floor = {row: 100.0}
    ours = {row: 100.0 / cost if ROWS[row].more_is_better else 100.0 * cost}
    # One good round is enough to be let through, and one bad one not to be refused.
    assert is_refused(row, [(ours, floor)] * ROUNDS) is refused
    assert not is_refused(row, [(ours, floor)] * (ROUNDS - 1) + [({row: 100.0 * USUAL[row] ** _power(row)}, floor)])


def _power(row: str) -> int:
    return -1 if ROWS[row].more_is_better else 1


def test_four_workers_are_there_within_a_second(rounds: Rounds) -> None:
    assert statistics.median(ours["start_cold"] for ours, _ in rounds) < 1000
