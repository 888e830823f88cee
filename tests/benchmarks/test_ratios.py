"""A guard against getting slower: ratios to the machine's floor, measured in the same run.

The limits are about twice what is usual, so that a busy machine passes and a doubling does not. Three rounds, and the
best ratio of them counts: what disturbs a machine makes a ratio worse now and then, never better three times.
"""

from __future__ import annotations

import statistics

import pytest

from benchmarks.measure import Job
from benchmarks.rows import ROWS
from benchmarks.running import SYSTEMS, Place, run

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROUNDS = 3
LIMITS = {
    # no-op calls against a bare ping-pong of pickled payloads over a Unix socket
    "hot_p50": 3.0,
    "turn_p50": 3.0,
    "pause_p50": 4.0,
    # many calls at once against sockets that are written and read as fast as Python can
    "pipe_1": 16.0,
    "map_1": 7.0,
    "map_best": 9.0,
    # 80 MB against one copy of it in memory that is there already; no `result`: the first ones go by the stream, until
    # it is seen that they come back, and so few are measured here that either may be the median
    "argument": 8.0,
    # a loop in parts against one core's share of it; a busy machine lacks cores for the parts
    "loop": 2.5,
}

Values = dict[str, float]


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Values, Values]]:
    """Return what pydist and the floor have measured, round by round."""
    place = Place(None, tmp_path_factory.mktemp("benchmarks"))
    job = Job("rows", (*LIMITS, "start_cold"), quick=True)
    measured = []
    for _ in range(ROUNDS):
        ours, floor = (run(SYSTEMS[key], job, place) for key in ("ours", "floor"))
        assert ours is not None
        assert floor is not None
        assert not ours["errors"]
        measured.append((ours["values"], floor["values"]))
    return measured


@pytest.mark.parametrize("row", LIMITS)
def test_it_is_no_further_from_the_floor_than_it_was(row: str, rounds: list[tuple[Values, Values]]) -> None:
    ratios = [floor[row] / ours[row] if ROWS[row].more_is_better else ours[row] / floor[row] for ours, floor in rounds]
    assert min(ratios) < LIMITS[row]


def test_four_workers_are_there_within_a_second(rounds: list[tuple[Values, Values]]) -> None:
    assert statistics.median(ours["start_cold"] for ours, _ in rounds) < 1000
