"""``pydist ps`` and ``pydist clean``: the clusters of this user, and what dead ones have left."""

from __future__ import annotations

import time

from pydist import runfiles

__all__ = ["clean", "ps"]

_HEADINGS = ("MASTER", "STATE", "WORKERS", "STARTED", "HOST", "COMMAND")
_COMMAND_WIDTH = 60


def ps() -> int:
    """Print a line for each cluster."""
    runs = runfiles.list_runs()
    if not runs:
        print("no cluster of yours is running here")
        return 0
    rows = [_HEADINGS, *map(row, runs)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(_HEADINGS))]
    for line in rows:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    if any(not run.alive for run in runs):
        print("\n'pydist clean' ends and forgets what belongs to a dead master")
    return 0


def row(run: runfiles.Run) -> tuple[str, ...]:
    """Return the columns of one run."""
    command = run.command if len(run.command) <= _COMMAND_WIDTH else run.command[: _COMMAND_WIDTH - 1] + "…"
    workers = f"{len(run.living_workers())}/{len(run.workers)}" if run.here else str(len(run.workers))
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
    return str(run.master.ospid), state(run), workers, started, run.host, command


def state(run: runfiles.Run) -> str:
    """Return the state of a run in a word."""
    if not run.here and not run.outdated:
        return "elsewhere"
    return "running" if run.alive else "dead"


def clean() -> int:
    """End what dead masters have left, and say what that was."""
    cleaned = runfiles.clean()
    for done in cleaned:
        killed = ", ".join(str(worker.ospid) for worker in done.killed)
        left = f"ended its workers {killed}" if killed else "no worker of it was left"
        print(f"master {done.run.master.ospid} on {done.run.host} is dead: {left}")
    if not cleaned:
        print("nothing to clean")
    return 0
