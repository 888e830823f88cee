"""Waiting at a channel: who leaves a ticket is served when its turn comes, and can take the ticket back."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from pydist._runtime.shield import sleep_on

__all__ = ["Handed", "Queue", "Sleeper", "Ticket"]


class Queue(Protocol):
    """What a ticket was left at."""

    def abandon(self, ticket: Ticket) -> bool:
        """Take a ticket back; False if it has been served."""

    def put_back(self, putter: Ticket) -> None:
        """Let a putter wait on, in front."""


class Ticket:
    """Somebody who waits at a channel.

    Args:
        served: called with ``(value, error)`` when it is this one's turn; returns whether the value was of use. If it
            was not, the value goes to the next.
        value: what a putter has brought.
    """

    __slots__ = ("done", "served", "value")

    def __init__(self, served: Callable[[Any, BaseException | None], bool], value: Any = None) -> None:
        self.served = served
        self.value = value
        self.done = False


class Handed:
    """An item straight from the hands of a putter, who is told when the taker has it."""

    __slots__ = ("_putter",)

    def __init__(self, putter: Ticket) -> None:
        putter.done = True
        self._putter = putter

    def peek(self) -> Any:
        """Return the item; the putter still waits."""
        return self._putter.value

    def accept(self) -> Any:
        """Return the item; the putter goes on."""
        self._putter.served(None, None)
        return self._putter.value

    def refuse(self, channel: Queue) -> None:
        """The taker is gone: the putter waits on, in front."""
        self._putter.done = False
        channel.put_back(self._putter)


class Sleeper:
    """A thread that waits for its ticket."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self._error: BaseException | None = None
        self.value: Any = None
        self.has_value = False

    def served(self, value: Any, error: BaseException | None) -> bool:
        """See `Ticket`."""
        self.value, self._error = value, error
        self.has_value = error is None
        try:
            self._lock.release()
        except RuntimeError:  # an interrupt has opened it already
            return True
        return True

    def wait(self, channel: Queue, ticket: Ticket | None, timeout: float | None, what: str) -> Any:
        """Sleep until the ticket is served; take it back if that does not happen."""
        if ticket is None:
            return None
        try:
            deadline = None if timeout is None else monotonic() + timeout
            while not ticket.done:
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    break
                sleep_on(self._lock, left)
        except KeyboardInterrupt:
            channel.abandon(ticket)
            raise
        if channel.abandon(ticket):
            raise TimeoutError(f"{what} within {timeout:g} seconds")
        if self._error is not None:
            raise self._error
        return self.value
