"""Channels: queues between threads, and between processes if a RemoteChannel stands in front of them.

    put ─▶ [ items, at most maxsize ] ─▶ take
            putters wait when full       takers wait when empty

Whoever must wait leaves a `Ticket` in a queue, and can take it back. Nobody waits inside: a thread sleeps on the
ticket's lock, a remote caller is answered when its ticket is served, so a waiting remote call costs no thread.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydist._errors import InvalidStateException
from pydist._runtime.shield import shield_of_this_thread
from pydist._tickets import Handed, Sleeper, Ticket

__all__ = ["AbstractChannel", "Channel"]

T = TypeVar("T")
_NOTHING: Any = object()
_CLOSED = "Channel is closed."


@runtime_checkable
class AbstractChannel(Protocol):
    """What can stand behind a RemoteChannel: any object with these methods; extra arguments are passed on to them."""

    def put(self, *args: Any) -> Any:
        """Store a value; wait while there is no room."""

    def take(self, *args: Any) -> Any:
        """Remove a value and return it; wait while there is none."""

    def fetch(self, *args: Any) -> Any:
        """Return a value without removing it."""

    def wait(self, *args: Any) -> Any:
        """Wait until there is a value."""

    def isready(self, *args: Any) -> bool:
        """Return whether there is a value."""

    def close(self) -> None:
        """Accept nothing more."""


class Channel(Generic[T]):
    """A queue between threads (and coroutines) of this process. Julia: ``Channel``.

    Args:
        maxsize: how many items it holds. 0: none; a `put` waits until somebody takes. ``math.inf``: any number.
        type: the class of the items; None: any.

    Raises:
        ValueError: ``maxsize`` is negative.
        TypeError: ``maxsize`` is not a number, or ``type`` not a class.

    Example:
        >>> c = Channel(2)
        >>> c.put("a").put("b").take()
        'a'
    """

    def __init__(self, maxsize: float = 0, type: type[T] | None = None) -> None:  # noqa: A002 - Julia's word for it
        if isinstance(maxsize, bool) or not (isinstance(maxsize, int) or maxsize == math.inf):
            raise TypeError(f"the size of a channel must be an integer or math.inf, not {maxsize!r}")
        if maxsize < 0:
            raise ValueError(f"the size of a channel must not be negative, it is {maxsize}")
        if type is not None and not isinstance(type, _type):
            raise TypeError(f"the type of a channel must be a class, not {type!r}")
        self.maxsize = maxsize
        self.type = type
        self._items: deque[T] = deque()
        self._putters: deque[Ticket] = deque()
        self._takers: deque[Ticket] = deque()
        #: Those who want to see an item (fetch) or only know of one (wait).
        self._lookers: deque[Ticket] = deque()
        self._open = True
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        kind = "" if self.type is None else f", {self.type.__name__}"
        state = "" if self._open else ", closed"
        return f"Channel({self.maxsize}{kind}; {len(self._items)} items{state})"

    def __getstate__(self) -> Any:
        # A copy: what is in it travels, who waits at it does not.
        with self._lock:
            return (self.maxsize, self.type, list(self._items), self._open)

    def __setstate__(self, state: Any) -> None:
        self.__init__(state[0], state[1])  # type: ignore[misc]
        self._items.extend(state[2])
        self._open = state[3]

    # ---- the core: start something, or take it back

    def start_put(self, value: Any, served: Callable[[Any, BaseException | None], bool]) -> Ticket | None:
        """Put at once and return None, or return the ticket with which to wait."""
        value = self._checked(value)
        with self._lock:
            if not self._open:
                raise InvalidStateException(_CLOSED, "closed")
            while self._takers:
                if self._serve(self._takers.popleft(), value):
                    return None
            if len(self._items) < self.maxsize:
                self._items.append(value)
                self._show()
                return None
            ticket = Ticket(served, value)
            self._putters.append(ticket)
            self._show()
            return ticket

    def start_take(self, served: Callable[[Any, BaseException | None], bool]) -> tuple[Any, Ticket | None]:
        """Take at once and return ``(value, None)``, or ``(None, ticket)``."""
        with self._lock:
            if self._items:
                value = self._items.popleft()
                self._refill()
                return value, None
            while self._putters:
                # Nothing is kept in between: the putter is told when the taker has it.
                putter = self._putters.popleft()
                if not putter.done:
                    return Handed(putter), None
            if not self._open:
                raise InvalidStateException(_CLOSED, "closed")
            ticket = Ticket(served)
            self._takers.append(ticket)
            return None, ticket

    def start_look(
        self, served: Callable[[Any, BaseException | None], bool], *, only_ready: bool = False
    ) -> tuple[Any, Ticket | None]:
        """Return ``(first value, None)`` without removing it, or ``(None, ticket)``.

        Args:
            served: as for the others.
            only_ready: the value does not matter, so an unbuffered channel will do.
        """
        with self._lock:
            if self._items:
                return self._items[0], None
            if self.maxsize == 0:
                if not only_ready:
                    raise ValueError("`fetch` is not supported on an unbuffered Channel.")
                if self._putters:
                    return None, None
            if not self._open:
                raise InvalidStateException(_CLOSED, "closed")
            ticket = Ticket(served)
            self._lookers.append(ticket)
            return None, ticket

    def abandon(self, ticket: Ticket) -> bool:
        """Take a ticket back; return False if it has been served."""
        with self._lock:
            if ticket.done:
                return False
            ticket.done = True
            for queue in (self._putters, self._takers, self._lookers):
                if ticket in queue:
                    queue.remove(ticket)
            return True

    def give_back(self, value: Any) -> None:
        """Put an item in front again that its taker could not use."""
        with self._lock:
            while self._takers:
                if self._serve(self._takers.popleft(), value):
                    return
            self._items.appendleft(value)
            self._show()

    def put_back(self, putter: Ticket) -> None:
        """Let a putter wait on, in front: its taker is gone."""
        with self._lock:
            while self._takers:
                if self._serve(self._takers.popleft(), putter.value):
                    self._serve(putter, None)
                    return
            self._putters.appendleft(putter)

    def _serve(self, ticket: Ticket, value: Any, error: BaseException | None = None) -> bool:
        if ticket.done:
            return False
        ticket.done = True
        return ticket.served(value, error)

    def _refill(self) -> None:
        """There is room for the item of the next putter."""
        while self._putters and len(self._items) < self.maxsize:
            putter = self._putters.popleft()
            if not putter.done:
                self._items.append(putter.value)
                self._serve(putter, None)

    def _show(self) -> None:
        """An item can be seen."""
        while self._lookers:
            self._serve(self._lookers.popleft(), self._items[0] if self._items else None)

    def _checked(self, value: Any) -> Any:
        if self.type is None or isinstance(value, self.type):
            return value
        if self.type is float and isinstance(value, int):
            return float(value)
        raise TypeError(f"this channel takes {self.type.__name__}, not {value!r}")

    # ---- what threads do

    def put(self, value: T, *, timeout: float | None = None) -> Channel[T]:
        """Add an item, waiting for room. Returns the channel. Julia: ``put!``.

        Raises:
            InvalidStateException: the channel is closed.
            TypeError: the item is not of the channel's type.
            TimeoutError: there was no room within ``timeout`` seconds; nothing was added.
        """
        sleeper = Sleeper()
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            ticket = self.start_put(value, sleeper.served)
        finally:
            shield.lower()
        sleeper.wait(self, ticket, timeout, "there was no room")
        return self

    def put_nowait(self, value: T) -> Channel[T]:
        """Add an item if there is room now; otherwise raises TimeoutError."""
        return self.put(value, timeout=0)

    def take(self, *, timeout: float | None = None) -> T:
        """Remove the first item and return it, waiting for one. Julia: ``take!``.

        Raises:
            InvalidStateException: the channel is closed and empty.
            TimeoutError: there was none within ``timeout`` seconds; the next one is not lost.
        """
        sleeper = Sleeper()
        shield = shield_of_this_thread()
        value: Any = _NOTHING
        ticket = None
        try:
            shield.raise_()
            try:
                value, ticket = self.start_take(sleeper.served)
                if type(value) is Handed:
                    value = value.accept()
            finally:
                shield.lower()
        except KeyboardInterrupt:
            if ticket is not None:
                self.abandon(ticket)
            elif value is not _NOTHING:
                self.give_back(value)
            raise
        if ticket is None:
            return value  # type: ignore[no-any-return]
        try:
            return sleeper.wait(self, ticket, timeout, "there was no item")  # type: ignore[no-any-return]
        except KeyboardInterrupt:
            if sleeper.has_value:
                self.give_back(sleeper.value)
            raise

    def take_nowait(self) -> T:
        """Remove the first item and return it if there is one; otherwise raises TimeoutError."""
        return self.take(timeout=0)

    def fetch(self, *, timeout: float | None = None) -> T:
        """Return the first item, waiting for one; it stays. Julia: ``fetch``.

        Raises:
            ValueError: the channel is unbuffered.
            InvalidStateException, TimeoutError: as for `take`.
        """
        sleeper = Sleeper()
        value, ticket = self.start_look(sleeper.served)
        return value if ticket is None else sleeper.wait(self, ticket, timeout, "there was no item")  # type: ignore[no-any-return]

    def wait(self, *, timeout: float | None = None) -> Channel[T]:
        """Wait until there is an item; it stays. Returns the channel. Julia: ``wait``."""
        self.fetch(timeout=timeout)
        return self

    def isready(self) -> bool:
        """Return whether a `take` would not wait."""
        with self._lock:
            return bool(self._items) or bool(self._putters)

    def isempty(self) -> bool:
        """Return whether there is no item."""
        return not self.isready()

    def isopen(self) -> bool:
        """Return whether items are accepted."""
        return self._open

    def close(self) -> None:
        """Accept nothing more and wake everybody who waits; items that are in it can still be taken."""
        with self._lock:
            if self._open:
                self._open = False
                for queue in (self._putters, self._takers, self._lookers):
                    while queue:
                        self._serve(queue.popleft(), None, InvalidStateException(_CLOSED, "closed"))

    def __len__(self) -> int:
        return len(self._items)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                yield self.take()
            except InvalidStateException:
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        import asyncio

        loop = asyncio.get_running_loop()
        while True:
            ready: asyncio.Future[Any] = loop.create_future()

            def served(value: Any, error: BaseException | None, ready: asyncio.Future[Any] = ready) -> bool:
                loop.call_soon_threadsafe(_resolve, self, ready, value, error)
                return True

            try:
                value, ticket = self.start_take(served)
            except InvalidStateException:
                return
            if type(value) is Handed:
                yield value.accept()
            elif ticket is None:
                yield value
            else:
                try:
                    yield await ready
                except InvalidStateException:
                    return
                except asyncio.CancelledError:
                    self.abandon(ticket)
                    raise


def _resolve(channel: Channel[Any], ready: Any, value: Any, error: BaseException | None) -> None:
    if ready.cancelled():
        if error is None:
            channel.give_back(value)
    elif error is not None:
        ready.set_exception(error)
    else:
        ready.set_result(value)


#: The name is taken by a parameter above.
_type = type
