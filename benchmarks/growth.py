"""How the rows grow with the number of workers and of items: a power law fitted to each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Job
from benchmarks.rows import GROWTH
from benchmarks.running import SYSTEMS

__all__ = ["exponent", "jobs", "lines"]

WORKERS = (1, 4, 16, 64)
ITEMS = (10**3, 10**4, 10**5, 10**6)


def jobs(*, quick: bool, rows: tuple[str, ...], number: int = 0) -> list[Job]:
    """Return what is to be run in round ``number``, the small sizes first; the largest have one round."""
    parts = {row.part for key, row in GROWTH.items() if not rows or key in rows}
    workers = [Job("workers", rows, workers=n, quick=quick) for n in WORKERS[: 3 if quick or number else 4]]
    items = [Job("items", rows, items=n, quick=quick) for n in ITEMS[: 2 if number else 3 if quick else 4]]
    return [job for job in (*workers, *items) if job.part in parts]


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return k of the ``y = c * x**k`` that fits best in the logarithm: 1 is linear growth, 0 none."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    return statistics.linear_regression(xs, ys).slope


def lines(answers: Sequence[dict[str, Any]]) -> list[str]:
    """Return a markdown table for each part."""
    said: list[str] = []
    for part, sizes, unit in (("workers", WORKERS, "workers"), ("items", ITEMS, "items")):
        said += [f"| row | unit | system | {' | '.join(f'{n:,}' for n in sizes)} {unit} | exponent |"]
        said += ["|---" * (len(sizes) + 4) + "|"]
        for key, row in GROWTH.items():
            for system in SYSTEMS if row.part == part else ():
                points = _points(answers, part, key, system, sizes)
                if len(points) > 1:
                    cells = [f"{points[n]:.4g}" if n in points else "" for n in sizes]
                    grown = [(float(n), value) for n, value in points.items() if value > 0]
                    power = f"{exponent(grown):.2f}" if len(grown) > 1 else ""
                    title = SYSTEMS[system].title
                    said += [f"| {row.title} | {row.unit} | {title} | {' | '.join(cells)} | {power} |"]
        said += [""]
    return said


def _points(
    answers: Sequence[dict[str, Any]], part: str, key: str, system: str, sizes: Sequence[int]
) -> dict[int, float]:
    """Return the median of each size at which this row was measured."""
    found: dict[int, list[float]] = {}
    for answer in answers:
        if answer["system"] == system and answer["job"]["part"] == part and key in answer["values"]:
            found.setdefault(answer["job"][part], []).append(answer["values"][key])
    return {n: statistics.median(found[n]) for n in sizes if n in found}
