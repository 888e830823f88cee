"""The answers of many scripts as one table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.rows import ROWS, Row
from benchmarks.running import SYSTEMS

__all__ = ["lines", "remarks", "summary"]

_FLOORS = ("floor", "floor_spin")
_PEERS = ("pool", "executor", "loky", "dask", "ray", "ipyparallel")
#: key -> (median, least, greatest)
Spread = tuple[float, float, float]


def summary(answers: Iterable[dict[str, Any]]) -> dict[str, dict[str, Spread]]:
    """Return the median and the range over the rounds, by row and system."""
    values: dict[str, dict[str, list[float]]] = {}
    for answer in answers:
        for key, value in answer["values"].items():
            values.setdefault(key, {}).setdefault(answer["system"], []).append(value)
    return {
        key: {system: (statistics.median(many), min(many), max(many)) for system, many in by_system.items()}
        for key, by_system in values.items()
    }


def lines(answers: Sequence[dict[str, Any]], *, markdown: bool = False) -> list[str]:
    """Return the table: a line for each row, a column for each system, and our ratios to the others."""
    spreads = summary(answers)
    systems = [key for key in SYSTEMS if any(key in by_system for by_system in spreads.values())]
    head = ["row", "unit", *(SYSTEMS[key].title for key in systems)]
    with_ratios = "ours" in systems and len(systems) > 1
    if with_ratios:
        head += ["× floor", "against Julia", "against the best Python peer"]
    body = []
    for row in ROWS.values():
        by_system = spreads.get(row.key)
        if by_system is None:
            continue
        cells = [row.title, row.unit, *(_cell(by_system.get(key)) for key in systems)]
        if with_ratios:
            cells += _ratios(row, {key: spread[0] for key, spread in by_system.items()})
        body.append(cells)
    return _as_markdown(head, body) if markdown else _as_text(head, body)


def _ratios(row: Row, medians: dict[str, float]) -> list[str]:
    ours = medians.get("ours")
    if ours is None or ours <= 0:
        return ["", "", ""]

    def better(other: float) -> float:
        """Return how many times better than that we are."""
        return ours / other if row.more_is_better else other / ours

    peers = {key: better(medians[key]) for key in _PEERS if key in medians}
    best = min(peers, key=peers.__getitem__, default=None)
    return [
        f"{1 / better(medians['floor']):.3g}" if medians.get("floor") else "",
        f"{better(medians['julia']):.2g}x" if "julia" in medians else "",
        f"{peers[best]:.2g}x {SYSTEMS[best].title}" if best is not None else "",
    ]


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return ""
    middle, least, greatest = spread
    return _number(middle) if least == greatest else f"{_number(middle)} ({_number(least)}–{_number(greatest)})"


def _number(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g} k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _as_markdown(head: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)]


def _as_text(head: list[str], body: list[list[str]]) -> list[str]:
    widths = [max(len(cells[i]) for cells in (head, *body)) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in (head, rule, *body)]


def remarks(answers: Iterable[dict[str, Any]]) -> list[str]:
    """Return what the table does not show: failures, read-only arrays, chosen batches, what was left running."""
    said: dict[str, None] = {}
    for answer in answers:
        title = SYSTEMS[answer["system"]].title
        for key, words in answer["errors"].items():
            said[f"{title}: {ROWS[key].title if key in ROWS else key or 'all rows'}: {words}"] = None
        for what in ("argument", "result"):
            if answer["notes"].get(f"{what}_writeable") is False:
                said[f"{title}: the array that arrives as {what} is read-only"] = None
        if "batch" in answer["notes"]:
            said[f"{title}: best batch of the map: {answer['notes']['batch']}"] = None
        if "left_behind" in answer["notes"]:
            said[f"{title}: processes that had to be ended afterwards: {answer['notes']['left_behind']}"] = None
    return list(said)
