"""What the processes of the cluster are doing at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from pydist_widgets._grid import Column, Grid
from pydist_widgets._units import NOTHING, clock, percent, size

__all__ = ["ProcessInfo", "Workers"]

MASTER = 1
AVERAGED_OVER = 1.0  # seconds
_LEAST = 8.0  # percent

# A state is a glyph and a word: colour alone says nothing to some readers, and
# is stripped from notebooks that are not trusted.
STATES = {
    "created": "○ starting",
    "connected": "● idle",
    "terminating": "◐ leaving",
    "terminated": "✕ gone",
}
BUSY = "▶ busy"
IN_CHARGE = "◆ master"

_COLUMNS = (
    Column("id", numeric=True),
    Column("state"),
    Column("running", numeric=True),
    Column("done", numeric=True),
    Column("CPU", numeric=True),
    Column("memory", numeric=True),
    Column("sent", numeric=True),
    Column("received", numeric=True),
    Column("host"),
    Column("process", numeric=True),
)
_MORE_COLUMNS = (
    Column("id", numeric=True),
    Column("manager"),
    Column("python"),
    Column("started"),
    Column("last heard"),
)


class ProcessInfo(Protocol):
    """What is read of a ``pydist.WorkerInfo``."""

    @property
    def pid(self) -> int: ...
    @property
    def ospid(self) -> int | None: ...
    @property
    def host(self) -> str: ...
    @property
    def manager(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def started(self) -> float: ...
    @property
    def python(self) -> str: ...
    @property
    def running(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def cpu(self) -> float | None: ...
    @property
    def rss(self) -> int | None: ...
    @property
    def last_heard(self) -> float: ...


@dataclass(frozen=True)
class Workers:
    """A snapshot of the processes. Two are equal if a reader would see no difference worth a redraw."""

    grid: Grid
    more: Grid = field(compare=False)
    """Facts that hardly change, and the time a worker was last heard, which alone is no reason to redraw."""
    taken: float = field(compare=False)
    """When; a document that no longer changes says it."""
    kinds: tuple[str, ...]
    """For each row ``master``, ``busy`` or the state of the worker."""
    shares: Mapping[int, float | None] = field(compare=False)
    """The processor's share of each process, in percent of one core."""

    @classmethod
    def of(cls, infos: Iterable[ProcessInfo], now: float, before: Workers | None = None) -> Workers:
        """Return the snapshot of ``infos``.

        ``now`` (epoch seconds) decides which dates are left out. With ``before`` the processor's shares are averages.
        """
        infos = sorted(infos, key=lambda info: info.pid)
        shares = {info.pid: info.cpu if before is None else before.average(info, now) for info in infos}
        return cls(
            Grid(_caption(infos), _COLUMNS, tuple(_row(info, shares[info.pid]) for info in infos)),
            Grid("", _MORE_COLUMNS, tuple(_more(info, now) for info in infos)),
            now,
            tuple(map(_kind, infos)),
            shares,
        )

    @cached_property
    def data(self) -> dict[str, Any]:
        """Return what the front end draws."""
        return {
            "caption": self.grid.caption,
            "columns": [{"title": column.title, "numeric": column.numeric} for column in self.grid.columns],
            "rows": [
                {"id": int(cells[0]), "kind": kind, "cells": list(cells)}
                for cells, kind in zip(self.grid.rows, self.kinds, strict=True)
            ],
            "moreColumns": [{"title": column.title, "numeric": column.numeric} for column in self.more.columns],
            "moreRows": [{"id": int(cells[0]), "cells": list(cells)} for cells in self.more.rows],
        }

    def html(self) -> str:
        """Return two tables, the second folded away."""
        # The class counts only on a page that has the style sheet of the live view, which this may take turns with.
        more = f"<details><summary>about the processes</summary>{self.more.html()}</details>"
        return f'<div class="pydist">{self._dated().html()}{more}</div>'

    def text(self) -> str:
        """Return the aligned table."""
        return self._dated().text()

    def _dated(self) -> Grid:
        return replace(self.grid, caption=f"{self.grid.caption} · at {clock(self.taken, self.taken)}")

    def average(self, info: ProcessInfo, now: float) -> float | None:
        """Return the share of a process, averaged over the last second or so.

        Processor time is counted in steps of 10 ms: at five looks a second an idle process shows 5 % now and then.
        What is looked for too soon after the last time is not known.
        """
        last = self.shares.get(info.pid)
        if last is None or info.cpu is None:
            return last if info.cpu is None else info.cpu
        weight = math.exp((self.taken - now) / AVERAGED_OVER)
        return last * weight + info.cpu * (1 - weight)


def _kind(info: ProcessInfo) -> str:
    if info.pid == MASTER:
        return "master"
    return "busy" if info.state == "connected" and info.running else info.state


def _row(info: ProcessInfo, share: float | None) -> tuple[str, ...]:
    kind = _kind(info)
    state = {"master": IN_CHARGE, "busy": BUSY}.get(kind) or STATES.get(kind, kind)
    # Fives: a table that flickers between 98 and 101 says no more. And nothing below 8: looking after this table costs
    # the master 2 or 3, which flickers around half of five for ever, so that the table would never rest.
    if share is not None:
        share = 5 * round(share / 5) if share >= _LEAST else 0
    return (
        str(info.pid),
        state,
        str(info.running),
        str(info.done),
        percent(share),
        size(info.rss),
        NOTHING if info.pid == MASTER else size(info.bytes_out),
        NOTHING if info.pid == MASTER else size(info.bytes_in),
        info.host,
        NOTHING if info.ospid is None else str(info.ospid),
    )


def _more(info: ProcessInfo, now: float) -> tuple[str, ...]:
    heard = NOTHING if info.pid == MASTER else clock(info.last_heard, now)
    return (str(info.pid), info.manager, info.python, clock(info.started, now), heard)


def _caption(infos: list[ProcessInfo]) -> str:
    workers = [info for info in infos if info.pid != MASTER]
    if not workers:
        return "no workers"
    running, done = sum(info.running for info in workers), sum(info.done for info in workers)
    count = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    return f"{count} · {running} running · {done} done"
