"""Slots: where the answer to a request is waited for."""

from __future__ import annotations

import contextlib
from _thread import LockType, allocate_lock
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydist._protocol.frames import Frame
    from pydist._runtime.connection import Connection

__all__ = ["Slot"]

_guard = allocate_lock()


class Slot:
    """One answer that is to come: a frame, or a failure of the way there.

    The frame stays as it came; whoever wants the value unpickles it, in a thread of its own choice.
    """

    __slots__ = ("callbacks", "connection", "done", "failure", "frame", "origin", "rid", "waiters")

    def __init__(self, rid: int, connection: Connection | None, origin: int = 0) -> None:
        self.rid = rid
        self.connection = connection
        self.origin = origin
        self.done = False
        self.frame: Frame | None = None
        self.failure: BaseException | None = None
        self.waiters: list[LockType] | None = None
        self.callbacks: list[Callable[[], None]] | None = None

    def part(self, frame: Frame) -> None:
        """One item of a map has been answered, and it is not the last; for whoever maps."""

    def cut(self, kept: int) -> None:
        """Of the items of a map only the first ``kept`` are done there; for whoever maps."""

    def settle(self, frame: Frame | None, failure: BaseException | None = None) -> bool:
        """Put the answer in, wake whoever waits; the first answer counts. Return whether this was the first."""
        if self.done:
            return False
        self.frame = frame
        self.failure = failure
        self.done = True
        # Whoever adds itself looks at `done` once more afterwards, so no one is missed without a lock here.
        if self.waiters is not None or self.callbacks is not None:
            with _guard:
                waiters, self.waiters = self.waiters, None
                callbacks, self.callbacks = self.callbacks, None
            for lock in waiters or ():
                with contextlib.suppress(RuntimeError):
                    lock.release()
            for callback in callbacks or ():
                callback()
        return True

    def add_waiter(self, lock: LockType) -> None:
        """Have ``lock`` released when the answer is in; it is at once if it is there already."""
        with _guard:
            self.waiters = [*(self.waiters or ()), lock]
        if self.done:  # it may have come in between, see `settle`
            self.remove_waiter(lock)
            with contextlib.suppress(RuntimeError):
                lock.release()

    def remove_waiter(self, lock: LockType) -> None:
        """Take the lock out again."""
        with _guard:
            if self.waiters is not None and lock in self.waiters:
                self.waiters.remove(lock)

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when the answer is in, in the thread that read it; at once if it is there."""
        with _guard:
            self.callbacks = [*(self.callbacks or ()), callback]
        if self.done:
            with _guard:
                mine = callback in (self.callbacks or ())
                if mine and self.callbacks is not None:
                    self.callbacks.remove(callback)
            if mine:
                callback()

    def remove_callback(self, callback: Callable[[], None]) -> None:
        """Do not call it any more."""
        with _guard:
            if self.callbacks is not None and callback in self.callbacks:
                self.callbacks.remove(callback)
