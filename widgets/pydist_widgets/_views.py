"""Things that change, each as a view that gives snapshots."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future as AnyFuture
from dataclasses import replace
from typing import Any

import pydist
from pydist_widgets._futures import FutureState
from pydist_widgets._progress import RUNNING, Progress
from pydist_widgets._workers import ProcessInfo, Workers

__all__ = ["FutureView", "ProgressMeter", "WorkersView"]


class WorkersView:
    """All processes of the cluster."""

    ended = False

    def __init__(self, infos: Callable[[], Iterable[ProcessInfo]], clock: Callable[[], float] = time.time) -> None:
        self._infos = infos
        self._clock = clock
        self._last: Workers | None = None

    def snapshot(self) -> Workers:
        """Ask the cluster, which answers without sending a message."""
        self._last = Workers.of(self._infos(), self._clock(), self._last)
        return self._last


class ProgressMeter:
    """What a pmap is given to say how far it is (``pydist.frontend.ProgressView``)."""

    def __init__(self, label: str, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._lock = threading.Lock()
        self._progress = Progress(label, total=total)
        self.on_change: Callable[[], object] | None = None
        """Called in the thread of the pmap after each change."""

    @property
    def ended(self) -> bool:
        """Whether ``close`` was called."""
        return self._progress.state != RUNNING

    def snapshot(self) -> Progress:
        """Return the last known counts, with the time that has passed until now."""
        with self._lock:
            if self.ended:
                return self._progress
            # Tenths are what is shown: nobody need redraw for less.
            return replace(self._progress, elapsed=round(self._clock() - self._begun, 1))

    def update(self, done: int, failed: int, total: int | None) -> None:
        """Say how far it is."""
        with self._lock:
            self._progress = replace(self._progress, finished=done, failed=failed, total=total)
        if self.on_change is not None:
            self.on_change()

    def close(self, state: str) -> None:
        """Stop the clock: it is ``done``, ``failed`` or ``interrupted``."""
        with self._lock:
            self._progress = replace(self._progress, state=state, elapsed=self._clock() - self._begun)
        if self.on_change is not None:
            self.on_change()


class FutureView:
    """A call that was started. Showing a Future must not keep it, and the value that waits on the worker, alive."""

    def __init__(self, future: AnyFuture[Any]) -> None:
        self._future = weakref.ref(future)
        where: int = future.where  # type: ignore[attr-defined]
        numbers = (where, future.whence, future.id)  # type: ignore[attr-defined]
        kind = type(future).__name__ if isinstance(future, pydist.Future) else "Future"
        self._state = FutureState(f"{kind}({', '.join(map(str, numbers))})", where, "pending")
        self.on_change: Callable[[], object] | None = None
        """Called in some thread when the call has ended."""
        try:
            future.add_done_callback(self._done)
        except ValueError:  # it was released before it was shown
            self._end("released")
        else:
            weakref.finalize(future, self._end, "released").atexit = False

    @property
    def ended(self) -> bool:
        """Whether the call has."""
        return self._state.state != "pending"

    def snapshot(self) -> FutureState:
        """Return the state."""
        return self._state

    def _done(self, future: AnyFuture[Any]) -> None:
        if future.cancelled():
            self._end("cancelled")
        elif (error := _failure_of(future)) is not None:
            # Where it happened is said already.
            captured = getattr(error, "captured", None)
            cause = error if captured is None else captured.ex
            self._end("failed", f"{type(cause).__name__}: {cause}".partition("\n")[0])
        else:
            self._end("done")

    def _end(self, state: str, error: str = "") -> None:
        if not self.ended:
            self._state = replace(self._state, state=state, error=error)
            if self.on_change is not None:
                self.on_change()


def _failure_of(future: AnyFuture[Any]) -> BaseException | None:
    """Return what the call of a future that is done has raised."""
    # To look on is not to wait for it, and the cell that started it keeps a place for what nobody has waited for.
    return future.failure() if isinstance(future, pydist.Future) else future.exception(0)
