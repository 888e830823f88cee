"""Waiting for the first of many."""

from __future__ import annotations

import functools
from _thread import allocate_lock
from collections import deque
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

from pydist._channels import Channel
from pydist._futures import Future
from pydist._remote_channels import RemoteChannel, _translated
from pydist._runtime.shield import sleep_on

__all__ = ["as_completed", "select", "wait_any"]


class _Bell:
    """Rung from any thread, heard by one."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self.rung: deque[Any] = deque()
        self._hung: list[tuple[Future, Any]] = []

    def hang_at(self, future: Future) -> None:
        """Ring when a Future is ready."""
        ring = functools.partial(self.ring, future)
        self._hung.append((future, ring))
        future.when_ready(ring)

    def take_down(self) -> None:
        """Leave nothing at Futures that are not ready: it would keep them alive."""
        while self._hung:
            future, ring = self._hung.pop()
            future.not_when_ready(ring)

    def ring(self, what: Any) -> None:
        self.rung.append(what)
        try:
            self._lock.release()
        except RuntimeError:
            return  # it has been rung and not been heard yet

    def hear(self, deadline: float | None) -> bool:
        """Wait for a ring; return False when the time is over."""
        while not self.rung:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return False
            sleep_on(self._lock, left)
        return True


def as_completed(fs: Iterable[Future], timeout: float | None = None) -> Iterator[Future]:
    """Yield Futures as they become ready, failed ones too; each once.

    Args:
        fs: Futures.
        timeout: seconds for all of them together.

    Raises:
        TimeoutError: when some are not ready in time.

    Example:
        >>> sorted(f.fetch() for f in as_completed([spawn(abs, -1), spawn(abs, -2)]))
        [1, 2]
    """
    bell = _Bell()
    futures = list(dict.fromkeys(fs))
    for future in futures:
        if not isinstance(future, Future):
            raise TypeError(f"as_completed takes Futures, not {future!r}")
        bell.hang_at(future)
    deadline = None if timeout is None else monotonic() + timeout
    try:
        for left in range(len(futures), 0, -1):
            if not bell.hear(deadline):
                raise TimeoutError(f"{left} of {len(futures)} Futures are not ready after {timeout:g} seconds")
            yield bell.rung.popleft()
    finally:
        bell.take_down()


def wait_any(fs: Iterable[Future], timeout: float | None = None) -> tuple[list[Future], list[Future]]:
    """Wait until at least one Future is ready; return the lists of those that are, and that are not.

    Julia: ``waitany``.

    Raises:
        ValueError: there is nothing to wait for.
        TimeoutError: none is ready within ``timeout`` seconds.

    Example:
        >>> ready, others = wait_any([spawn(abs, -1), Future()])
        >>> len(ready), len(others)
        (1, 1)
    """
    futures = list(fs)
    if not futures:
        raise ValueError("wait_any needs at least one Future")
    bell = _Bell()
    for future in futures:
        if not isinstance(future, Future):
            raise TypeError(f"wait_any takes Futures, not {future!r}")
        bell.hang_at(future)
    try:
        if not bell.hear(None if timeout is None else monotonic() + timeout):
            raise TimeoutError(f"none of {len(futures)} Futures is ready after {timeout:g} seconds")
    finally:
        bell.take_down()
    heard = set(map(id, bell.rung))
    ready = [future for future in futures if id(future) in heard or future.done()]
    return ready, [future for future in futures if not any(future is other for other in ready)]


def select(channels: Iterable[RemoteChannel | Channel[Any]], timeout: float | None = None) -> tuple[Any, Any]:
    """Wait until one of the channels has an item, take it; return ``(channel, item)``.

    Where several have one, the earlier in the list is taken from.

    Raises:
        ValueError: there are no channels.
        InvalidStateException: all are closed and empty.
        TimeoutError: there was no item within ``timeout`` seconds; none is lost.

    Example:
        >>> a, b = Channel(1), Channel(1)
        >>> b.put(7)
        Channel(1; 1 items)
        >>> select([a, b])[1]
        7
    """
    from pydist._errors import InvalidStateException

    queue = list(channels)
    if not queue:
        raise ValueError("select needs at least one channel")
    deadline = None if timeout is None else monotonic() + timeout
    while True:
        closed: InvalidStateException | None = None
        alive = 0
        for channel in queue:
            try:
                return channel, channel.take_nowait()
            except TimeoutError:
                alive += 1
            except InvalidStateException as error:
                closed = error
        if not alive and closed is not None:
            raise closed
        bell = _Bell()
        undo = [_watch(channel, bell) for channel in queue]
        try:
            if not bell.hear(deadline):
                raise TimeoutError(f"none of {len(queue)} channels had an item within {timeout:g} seconds")
        finally:
            for take_back in undo:
                take_back()


def _watch(channel: RemoteChannel | Channel[Any], bell: _Bell) -> Any:
    """Ring when the channel has an item or is closed; return what takes that back."""
    from pydist._errors import InvalidStateException

    if isinstance(channel, RemoteChannel) and channel.where != channel._node.pid:
        slot = channel._ask("until_ready", ())

        def news() -> None:
            # A closed channel is no news: it would ring for ever.
            try:
                _translated(lambda: channel._node.value_of(slot))
            except InvalidStateException:
                return
            except Exception:
                pass
            bell.ring(channel)

        slot.add_callback(news)
        return lambda: channel._node.cancel(slot)
    local = channel._backing() if isinstance(channel, RemoteChannel) else channel

    def served(value: Any, error: BaseException | None) -> bool:
        if error is None:
            bell.ring(channel)
        return True

    try:
        _, ticket = local.start_look(served, only_ready=True)
    except InvalidStateException:
        return lambda: None
    if ticket is None:
        bell.ring(channel)
        return lambda: None
    return lambda: local.abandon(ticket)
