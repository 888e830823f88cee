"""A limit on the time that code takes in this very thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pydist._runtime.shield import MAIN

__all__ = ["TimeUp", "time_limit"]

#: An alarm that comes while bytes are in hand is set again, to go off after so many seconds.
_AGAIN = 0.02


class TimeUp(BaseException):
    """The time is up. No ``except Exception`` of the code in question is to catch it."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeUp` in the block when it has taken so many seconds; None: never.

    Only the main thread can be stopped, and only where the system has alarms; elsewhere the block ends when it ends.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def strike(signum: int, frame: FrameType | None) -> None:
        if MAIN.up:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            raise TimeUp

    before = signal.signal(signal.SIGALRM, strike)
    timer = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if callable(before) else signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, *timer)
