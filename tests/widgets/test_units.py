from __future__ import annotations

import time

import pytest

from pydist_widgets._units import clock, duration, percent, rate, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-0.1, "0.0 s"),
        (0.04, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7320, "2 h 02 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (85_000_000, "85 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes(count: int | None, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("count", "seconds", "words"),
    [(0, 3.0, "-"), (5, 0.0, "-"), (36, 4.0, "9.0/s"), (30_000, 2.0, "15,000/s"), (1, 2.0, "30.0/min")],
)
def test_rates(count: int, seconds: float, words: str) -> None:
    assert rate(count, seconds) == words


def test_percent_of_nothing_known() -> None:
    assert percent(None) == "-"
    assert percent(98.6) == "99 %"


def test_the_date_is_said_only_of_other_days() -> None:
    now = time.mktime((2026, 11, 24, 14, 3, 12, 0, 0, -1))
    assert clock(now, now) == "14:03:12"
    assert clock(now - 86_400, now) == "2026-11-23 14:03:12"
