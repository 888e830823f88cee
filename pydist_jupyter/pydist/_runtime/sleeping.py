"""``time.sleep`` for workers: a sleep that an interrupt ends in any lane.

A signal wakes a sleeping main thread only. Elsewhere a sleeping thread would hear of its interrupt when it wakes up by
itself, so in pooled lanes ``time.sleep`` waits for a lock that the interrupt opens.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from typing import Any

from pydist._runtime.shield import MAIN, shield_of_this_thread, sleep_on

__all__ = ["install"]

_sleep = time.sleep


def sleep(seconds: Any, /) -> None:
    """Delay execution for some seconds; an interrupt of the call ends it in any thread of a worker."""
    shield = shield_of_this_thread()
    if shield is MAIN or shield.owner is None or not isinstance(seconds, int | float) or not seconds > 0:
        _sleep(seconds)
        return
    lock = allocate_lock()
    lock.acquire()
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        sleep_on(lock, left)


def install() -> None:
    """Put it in the place of ``time.sleep`` in this process."""
    time.sleep = sleep
