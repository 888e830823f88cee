"""What wakes a worker's watch thread: something has come in while the main thread is busy.

Looking every millisecond would do, but each look is a wake-up and a timer that is set, and most calls end in time: of
64 workers on a few CPUs those looks took more than the calls. So the system is asked to tell: the main thread arms the
bell when it begins with a call after a rest, and disarms it when it rests again. Neither wakes anybody.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock
from typing import Protocol

from pydist._runtime.poller import Poller

__all__ = ["Bell", "make_bell"]


class Bell(Protocol):
    """Armed and disarmed by the main thread, rung by any, waited for by one."""

    def arm(self) -> None:
        """Ring, once, as soon as a stream of the poller has something."""

    def disarm(self) -> None:
        """Do not; it may ring in this moment all the same."""

    def ring(self) -> None:
        """Let `wait` return now, or when it is called next."""

    def wait(self) -> None:
        """Sleep until it rings."""


def make_bell(poller: Poller) -> Bell:
    """Return the best bell of this system."""
    return _EpollBell(poller) if hasattr(select, "epoll") and isinstance(poller, select.epoll) else _LockBell()


class _EpollBell:
    """An epoll that watches another one: the kernel rings."""

    def __init__(self, poller: select.epoll) -> None:
        self._bell = select.epoll()
        self._streams = poller.fileno()
        #: Can always be written to, so that it rings as soon as anybody asks when it can.
        self._rope = os.eventfd(0)
        self._once = select.EPOLLIN | select.EPOLLONESHOT
        self._now = select.EPOLLOUT | select.EPOLLONESHOT
        self._modify = self._bell.modify
        self._bell.register(self._streams, 0)
        self._bell.register(self._rope, 0)

    def arm(self) -> None:
        """See `Bell`."""
        self._modify(self._streams, self._once)

    def disarm(self) -> None:
        """See `Bell`."""
        self._modify(self._streams, 0)

    def ring(self) -> None:
        """See `Bell`."""
        self._modify(self._rope, self._now)

    def wait(self) -> None:
        """See `Bell`."""
        self._bell.poll()


class _LockBell:
    """For other systems: it rings for every call."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def arm(self) -> None:
        """See `Bell`."""
        self.ring()

    def disarm(self) -> None:
        """See `Bell`."""

    def ring(self) -> None:
        """See `Bell`."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it has rung already

    def wait(self) -> None:
        """See `Bell`."""
        self._lock.acquire()
