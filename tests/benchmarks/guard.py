"""What the guard against getting slower compares, and where it draws the line.

Everything runs on one CPU. The time of a call is then the work of both processes and of the system. On several CPUs it
is mostly the wake-up of a sleeping one, which takes 10 or 80 µs as the machine likes, and hides a doubling of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rows import ROWS

__all__ = ["USUAL", "Values", "is_refused", "ratio"]

Values = dict[str, float]

#: Each row against the floor: how many times its cost, best of three rounds on a quiet machine. Of two machines it is
#: the greater figure: where another tenant shares the caches, code that has not run for 25 µs is five times as slow,
#: and the floor has little code. (Behind it: where that is not so.)
USUAL = {
    # no-op calls against a bare ping-pong of pickled payloads over a Unix socket
    "hot_p50": 2.1,  # 1.2
    "turn_p50": 1.7,  # 1.3
    "pause_p50": 2.0,
    # bringing an item there and having it brought
    "channel": 2.3,  # 1.2
    # many calls at once against sockets that are written and read as fast as Python can
    "pipe_1": 6.0,
    "map_1": 2.2,
    "map_best": 1.8,
    # 80 MB against one copy of it in memory that is there already; no `result`: the first ones go by the stream, until
    # it is seen that they come back, and so few are measured here that either may be the median
    "argument": 1.3,
    # a loop in parts against one core's share of it
    "loop": 1.0,
    # addprocs(4) in a session that has everything loaded, against four Python processes
    "start_ready": 0.65,  # 0.4
}
#: So many times the usual is a bad day of the machine; more is ours. Less than twice, or it would be no guard.
_SLACK = 1.6


def ratio(row: str, ours: Values, floor: Values) -> float:
    """Return how many times the cost of the floor ours is."""
    return floor[row] / ours[row] if ROWS[row].more_is_better else ours[row] / floor[row]


def is_refused(row: str, rounds: Sequence[tuple[Values, Values]]) -> bool:
    """Say whether a row has got slower: in all rounds, as what disturbs a machine seldom does so three times."""
    return min(ratio(row, ours, floor) for ours, floor in rounds) > USUAL[row] * _SLACK
