"""Workers that exist only on paper."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOON", "Process"]

NOON = 1_800_000_000.0  # epoch seconds of a day on which nothing happens


@dataclass(frozen=True)
class Process:
    """What ``pydist.WorkerInfo`` says, with the values of an idle worker."""

    pid: int
    ospid: int | None = 4711
    host: str = "vega"
    manager: str = "local"
    state: str = "connected"
    started: float = NOON
    python: str = "3.11.7"
    running: int = 0
    done: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    cpu: float | None = 0.0
    rss: int | None = 30_000_000
    last_heard: float = NOON
