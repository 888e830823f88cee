"""Calling functions in other processes."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeVar

from pydist._futures import Future, start, start_prepared
from pydist._ids import RRID
from pydist._protocol.frames import QUIET
from pydist._runtime.call import Call
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.shield import shield_of_this_thread

__all__ = [
    "AbstractWorkerPool",
    "announce",
    "begin",
    "close",
    "fetch",
    "isready",
    "listeners",
    "put",
    "remote_do",
    "remotecall",
    "remotecall_fetch",
    "remotecall_wait",
    "start_here",
    "take",
    "wait",
]

R = TypeVar("R")
#: Told of each Future that a user's call has started, while there are blocks of ``sync`` (see _sync.py).
listeners: list[Callable[[Future], None]] = []


class AbstractWorkerPool(abc.ABC):
    """What a call may be sent to instead of an id: it says which worker is to do it. Julia: ``AbstractWorkerPool``."""

    @abc.abstractmethod
    def push(self, pid: int) -> Any:
        """Add a worker."""

    @abc.abstractmethod
    def take(self, timeout: float | None = None) -> int:
        """Return a free worker, waiting for one. Called before each call to the pool."""

    @abc.abstractmethod
    def put(self, pid: int) -> Any:
        """Take a worker back. Called when the call has ended, however."""

    @abc.abstractmethod
    def workers(self) -> list[int]:
        """Return the ids of all its live workers."""

    def prepared(self, pid: int, f: Callable[..., Any]) -> Any:
        """Return the function as that worker has it already, or None. For pools that keep functions there."""
        return None


Target = int | AbstractWorkerPool


def _check(f: Any, pid: Any) -> int:
    if not callable(f):
        raise TypeError(f"the first argument must be callable, not {f!r}; the process comes second")
    if type(pid) is not int and (isinstance(pid, bool) or not isinstance(pid, int)):
        raise TypeError(f"the process must be given by its id (an integer), not {pid!r}")
    return pid


def remotecall(f: Callable[..., Any], pid: Target, /, *args: Any, **kwargs: Any) -> Future:
    """Start ``f(*args, **kwargs)`` in process ``pid``; return the Future of its result. Julia: ``remotecall``.

    Raises:
        ValueError: there is no such process.
        ProcessExitedException: it is dead.
        TypeError: ``f`` is not callable, or ``pid`` not an id.
        Exception: an argument cannot be pickled; nothing is sent then.

    Example:
        >>> remotecall(pow, 2, 3, 4).fetch()
        81
    """
    return (_begin_and_announce if listeners else begin)(f, pid, args, kwargs)


def begin(
    f: Callable[..., Any], pid: Target, args: tuple[Any, ...], kwargs: dict[str, Any], once: Once | None = None
) -> Future:
    """Do what `remotecall` does, for a call that is part of another verb: ``sync`` is told of that one alone."""
    if type(pid) is not int and isinstance(pid, AbstractWorkerPool):
        return _on_pool(pid, f, args, kwargs)
    pid = _check(f, pid)
    node = current_node()
    if pid == node.pid:
        return start_here(node, f, args, kwargs)
    return start(node, pid, f, args, kwargs, once)


def announce(future: Future) -> None:
    """Tell the blocks of ``sync`` of something that was started."""
    for tell in [*listeners]:
        tell(future)


def _begin_and_announce(f: Callable[..., Any], pid: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future:
    if isinstance(pid, AbstractWorkerPool):
        future = _on_pool(pid, f, args, kwargs)  # may wait for a worker, so there is no shield
        announce(future)
        return future
    shield = shield_of_this_thread()
    # No interrupt between the two: what has been sent must be known, or nobody stops it.
    shield.raise_()
    try:
        future = begin(f, pid, args, kwargs)
        announce(future)
    finally:
        shield.lower()
    return future


def _give_back_when_done(pool: AbstractWorkerPool, pid: int, future: Future) -> None:
    # A pool may ask another process, so this is not for the reader's thread.
    future.add_done_callback(lambda done: pool.put(pid))


def _on_pool(pool: AbstractWorkerPool, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future:
    """Start a call on a free worker of a pool; the worker is busy until the call has ended."""
    _check(f, 1)
    pid = pool.take()
    try:
        prepared = pool.prepared(pid, f)
        node = current_node()
        future = begin(f, pid, args, kwargs) if prepared is None else start_prepared(node, prepared, args, kwargs)
    except BaseException:
        pool.put(pid)
        raise
    _give_back_when_done(pool, pid, future)
    return future


def remotecall_wait(f: Callable[..., Any], pid: Target, /, *args: Any, **kwargs: Any) -> Future:
    """Run ``f(*args, **kwargs)`` in process ``pid``, wait for its end, leave the result there.

    Julia: ``remotecall_wait``.

    Raises:
        RemoteException: ``f`` raised.
        Exception: as for `remotecall`.

    Example:
        >>> remotecall_wait(pow, 2, 3, 4).fetch()
        81
    """
    return begin(f, pid, args, kwargs).wait()


def remotecall_fetch(f: Callable[..., R], pid: Target, /, *args: Any, **kwargs: Any) -> R:
    """Return ``f(*args, **kwargs)`` of process ``pid``. Julia: ``remotecall_fetch``.

    An interrupt (Ctrl-C) interrupts the call over there too.

    Raises:
        RemoteException: ``f`` raised; also an instance of the class that it raised.
        ProcessExitedException: the process ended meanwhile.
        Exception: as for `remotecall`.

    Example:
        >>> remotecall_fetch(pow, 2, 3, 4)
        81
    """
    if type(pid) is not int or not callable(
        f
    ):  # this is the shortest way to a worker and back: one look if all is well
        if isinstance(pid, AbstractWorkerPool):
            return _on_pool(pid, f, args, kwargs).fetch()  # type: ignore[no-any-return]
        pid = _check(f, pid)
    node = current_node()
    if pid == node.pid:
        return start_here(node, f, args, kwargs).fetch()  # type: ignore[no-any-return]
    return node.call_fetch(pid, f, args, kwargs)  # type: ignore[no-any-return]


def remote_do(f: Callable[..., Any], pid: Target, /, *args: Any, **kwargs: Any) -> None:
    """Run ``f(*args, **kwargs)`` in process ``pid`` without waiting; an error is printed. Julia: ``remote_do``.

    Raises:
        Exception: as for `remotecall`.

    Example:
        >>> channel = RemoteChannel()
        >>> remote_do(put, 2, channel, "done")
        >>> channel.take()
        'done'
    """
    if isinstance(pid, AbstractWorkerPool):
        pool = pid
        pid = pool.take()
        pool.put(pid)  # nobody will say when it has ended
    pid = _check(f, pid)
    node = current_node()
    if pid == node.pid:
        start_here(node, f, args, kwargs, quiet=True)
    else:
        node.tell(pid, f, args, kwargs)


def start_here(
    node: Node, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], quiet: bool = False
) -> Future:
    """Run a call in this very process, in a thread of its own: same objects, no copy."""
    rid = node.next_id()
    future = Future._of(node, node.pid, RRID(node.pid, rid), None)
    ref = tuple(future._ref)
    call = Call(None, None, rid, node.origin())
    call.asked = QUIET if quiet else 0

    def ended(value: Any, captured: Any) -> None:
        node.store.settle(ref, value if captured is None else (f, args, kwargs), captured)  # type: ignore[arg-type]

    call.local = (f, args, kwargs, ended)
    slot = future._watch()
    slot.origin = call.origin
    future._local_call = call
    shield = shield_of_this_thread()
    # What is taken in must run, or it would be under way for ever.
    shield.raise_()
    try:
        node.executor.accept(call)
        node.lanes.start(call)
    finally:
        shield.lower()
    return future


def fetch(x: Any, timeout: float | None = None) -> Any:
    """Return the value of a Future or the next one of a channel (it stays there); anything else as it is.

    Julia: ``fetch``.

    Example:
        >>> fetch(remotecall(abs, 2, -1)), fetch("anything else")
        (1, 'anything else')
    """
    method = getattr(type(x), "fetch", None)
    return x if method is None else x.fetch(timeout=timeout)


def wait(x: Any, timeout: float | None = None) -> Any:
    """Wait until a Future or a channel has a value; return it (not the value). Julia: ``wait``.

    Example:
        >>> wait(remotecall(abs, 2, -1)).isready()
        True
    """
    return x.wait(timeout=timeout)


def take(x: Any, timeout: float | None = None) -> Any:
    """Take the next item of a channel. Julia: ``take!``.

    Example:
        >>> channel = Channel(1)
        >>> take(put(channel, 7))
        7
    """
    return x.take(timeout=timeout)


def close(x: Any) -> None:
    """Close a channel. Julia: ``close``.

    Example:
        >>> channel = Channel(1)
        >>> close(channel)
        >>> channel.isopen()
        False
    """
    x.close()


def isready(x: Any) -> bool:
    """Return whether a Future or a channel has a value. Julia: ``isready``.

    Example:
        >>> isready(Future()), isready(Future().put(1))
        (False, True)
    """
    return bool(x.isready())


def put(x: Any, value: Any) -> Any:
    """Put a value into a Future or a channel; return it. Julia: ``put!``.

    Example:
        >>> channel = Channel(1)
        >>> take(put(channel, "item"))
        'item'
    """
    return x.put(value)
