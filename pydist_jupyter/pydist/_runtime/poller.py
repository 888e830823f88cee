"""Waiting for many descriptors at once, with registrations changed from other threads."""

from __future__ import annotations

import os
import select
from typing import Protocol

__all__ = ["Poller", "make_poller"]

READ = 1
WRITE = 4


class Poller(Protocol):
    """The part of epoll that is used; its methods may be called while another thread polls."""

    def register(self, fd: int, events: int, /) -> None:
        """Watch ``fd``."""

    def modify(self, fd: int, events: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching it."""

    def poll(self, timeout: float | None = None, maxevents: int = -1, /) -> list[tuple[int, int]]:
        """Return ``(fd, events)`` of what is ready; ``timeout`` in seconds, None or -1 for ever."""


def make_poller() -> Poller:
    """Return the best poller of this platform (epoll on Linux; a poll() with a wake-up pipe elsewhere)."""
    if hasattr(select, "epoll"):
        return select.epoll()
    return _PollPoller()  # macOS and the BSDs


class _PollPoller:
    """epoll's behaviour on top of poll(): a change wakes the poll that is under way."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}
        self._r, self._w = os.pipe()
        os.set_blocking(self._r, False)
        os.set_blocking(self._w, False)

    def _changed(self) -> None:
        try:
            os.write(self._w, b"x")
        except BlockingIOError:
            return  # it is awake already

    def register(self, fd: int, events: int, /) -> None:
        self._events[fd] = events
        self._changed()

    modify = register

    def unregister(self, fd: int, /) -> None:
        del self._events[fd]
        self._changed()

    def poll(self, timeout: float | None = None, maxevents: int = -1, /) -> list[tuple[int, int]]:
        poll = select.poll()
        for fd, events in list(self._events.items()):
            poll.register(fd, events)
        poll.register(self._r, READ)
        ready = poll.poll(None if timeout is None or timeout < 0 else timeout * 1000)
        if any(fd == self._r for fd, _ in ready):
            os.read(self._r, 4096)
        return [(fd, events) for fd, events in ready if fd != self._r]
