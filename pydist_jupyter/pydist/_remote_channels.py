"""RemoteChannel: a handle to a channel that lies in some process.

Every operation runs on the owner. One that must wait leaves a ticket at the channel (see _channels.py) and is answered
when it is served; a caller that gives up takes its ticket back first, so that no ghost eats the next item.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from pydist._channels import Channel
from pydist._errors import InvalidStateException, RemoteException
from pydist._ids import RRID
from pydist._refs import Reference
from pydist._runtime.call import LATER, Call
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._runtime.slots import Slot
from pydist._tickets import Handed

__all__ = ["RemoteChannel", "channel_from_id"]

MAKE, OPERATE = 10, 11
#: How long a caller that gives up waits for the owner's word on whether it was served in that moment (seconds).
_VERDICT = 5.0


class RemoteChannel(Reference):
    """A channel in process ``where``, to be used from any process. Julia: ``RemoteChannel``.

    It travels as a handle: all copies stand for one channel.

    Args:
        factory: a function that makes the channel (any `AbstractChannel`) on its owner, run there now; or an id, as a
            short form of ``pid``. None: a ``Channel(1)``, made at first use.
        pid: the owner; default: this process.

    Raises:
        ValueError: there is no such process.
        TypeError: ``factory`` is not callable, or has made no channel.
        RemoteException: ``factory`` raised.

    Example:
        >>> jobs = RemoteChannel(lambda: Channel(32))
        >>> jobs.put("first").take()
        'first'
    """

    def __init__(self, factory: Callable[[], Any] | int | None = None, pid: int | None = None) -> None:
        if isinstance(factory, int) and not isinstance(factory, bool):
            if pid is not None:
                raise TypeError("RemoteChannel takes one process id, not two")
            factory, pid = None, factory
        if factory is not None and not callable(factory):
            raise TypeError(f"RemoteChannel takes a function that makes a channel, not {factory!r}")
        node = current_node()
        owner = node.pid if pid is None else pid
        ref = RRID(node.pid, node.next_id())
        if owner != node.pid:
            node.peers.connection(owner)  # complains if there is no such process
            node.tell_holder(owner, ref, node.pid, 1)
        self._set_up(node, owner, ref)
        if factory is not None:
            arguments = ((ref.whence, ref.id), factory)
            if owner == node.pid:
                _make(None, arguments)
            else:
                node.fetch(node.ask_verb(owner, MAKE, arguments))

    def __repr__(self) -> str:
        return f"RemoteChannel({self.where}, {self.whence}, {self.id})"

    def __reduce__(self) -> Any:
        return self._reduce(_rebuild)

    # ---- operations

    def put(self, *args: Any, timeout: float | None = None) -> Self:
        """Add an item, waiting for room. Returns the RemoteChannel. Julia: ``put!``.

        Raises:
            InvalidStateException: the channel is closed.
            TimeoutError: there was no room within ``timeout`` seconds; nothing was added.
            ProcessExitedException: the owner is gone.
        """
        self._operate("put", args, timeout)
        return self

    def put_nowait(self, *args: Any) -> Self:
        """Add an item if there is room now; otherwise raises TimeoutError."""
        return self.put(*args, timeout=0)

    def take(self, *args: Any, timeout: float | None = None) -> Any:
        """Remove the first item and return it, waiting for one. Julia: ``take!``.

        Raises:
            InvalidStateException: the channel is closed and empty.
            TimeoutError: there was none within ``timeout`` seconds; the next one is not lost.
            ProcessExitedException: the owner is gone.
        """
        return self._operate("take", args, timeout)

    def take_nowait(self, *args: Any) -> Any:
        """Remove the first item and return it if there is one; otherwise raises TimeoutError."""
        return self.take(*args, timeout=0)

    def fetch(self, *args: Any, timeout: float | None = None) -> Any:
        """Return the first item, waiting for one; it stays. Julia: ``fetch``."""
        return self._operate("fetch", args, timeout)

    def wait(self, *args: Any, timeout: float | None = None) -> Self:
        """Wait until there is an item; it stays. Returns the RemoteChannel. Julia: ``wait``."""
        self._operate("wait", args, timeout)
        return self

    def isready(self, *args: Any) -> bool:
        """Return whether there is an item now."""
        return bool(self._operate("isready", args, None))

    def isempty(self) -> bool:
        """Return whether there is no item; consumes nothing."""
        return not self.isready()

    def isopen(self) -> bool:
        """Return whether the channel accepts items."""
        return bool(self._operate("isopen", (), None))

    def close(self) -> None:
        """Close the channel: nothing more is accepted, everybody who waits is woken, what is in it can be taken."""
        self._operate("close", (), None)

    def __getitem__(self, index: Any) -> Any:
        """Return ``fetch()[index]``, worked out on the owner; ``rc[...]`` is the whole item."""
        return self._operate("fetch" if index is ... else "item", () if index is ... else (index,), None)

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                yield self.take()
            except InvalidStateException as error:
                if error.state != "closed":
                    raise
                return

    async def __aiter__(self) -> AsyncIterator[Any]:
        import asyncio

        while True:
            loop = asyncio.get_running_loop()
            ready: asyncio.Future[None] = loop.create_future()
            slot = self._ask("take", ())
            slot.add_callback(lambda ready=ready, loop=loop: loop.call_soon_threadsafe(_set, ready))  # type: ignore[misc]
            try:
                await ready
            except asyncio.CancelledError:
                self._give_up(slot, "take")
                raise
            try:
                yield self._node.value_of(slot)
            except InvalidStateException as error:
                if error.state != "closed":
                    raise
                return

    # ---- the way to the owner

    def _operate(self, operation: str, args: tuple[Any, ...], timeout: float | None) -> Any:
        self._check()
        node = self._node
        if timeout == 0 and self.where != node.pid:
            # "Now" means at the owner: it decides, whatever the way there takes.
            return _translated(
                lambda: node.fetch(node.ask_verb(self.where, OPERATE, (tuple(self._ref), operation + "_nowait", args)))
            )
        if self.where == node.pid:
            return _operate_here(self._backing(), operation, args, timeout)
        slot = self._ask(operation, args)
        try:
            settled = node.wait(slot, timeout)
        except KeyboardInterrupt:
            self._give_up(slot, operation)
            raise
        if not settled:
            node.cancel(slot)
            node.wait(slot, _VERDICT)
            if not slot.done or _was_cancelled(node, slot):
                raise TimeoutError(f"{operation}: nothing within {timeout:g} seconds")
        return _translated(lambda: node.value_of(slot))

    def _ask(self, operation: str, args: tuple[Any, ...]) -> Slot:
        self._check()
        return self._node.ask_verb(self.where, OPERATE, (tuple(self._ref), operation, args))

    def _backing(self) -> Any:
        return _backing(self._node, (self.whence, self.id))

    def _give_up(self, slot: Slot, operation: str) -> None:
        """Take the ticket back; an item that was on its way goes back too."""
        node = self._node
        node.cancel(slot)
        if operation != "take":
            return
        where, ref = self.where, tuple(self._ref)

        def too_late() -> None:
            if slot.failure is None and slot.frame is not None:
                with contextlib.suppress(Exception):
                    value = node.value_of(slot)
                    node.ask_verb(where, OPERATE, (ref, "give_back", (value,)))

        slot.add_callback(too_late)


def _set(ready: Any) -> None:
    if not ready.done():
        ready.set_result(None)


def _translated(ask: Callable[[], Any]) -> Any:
    """Raise what the channel itself says as it is; what the user's objects say stays a RemoteException."""
    try:
        return ask()
    except RemoteException as error:
        raised = error.captured.ex
        if isinstance(raised, TimeoutError) and not isinstance(raised, RemoteException):
            raise TimeoutError(str(raised)) from None
        raise


def _was_cancelled(node: Node, slot: Slot) -> bool:
    try:
        node.value_of(slot)
    except KeyboardInterrupt:
        return True
    except Exception:
        return False
    return False


def _rebuild(owner: int, ref: tuple[int, int], held: int) -> RemoteChannel:
    """Make the handle of a channel that came in. Called by unpickling."""
    return RemoteChannel._received(owner, ref, held)


# ---- on the owner


def _backing(node: Node, ref: tuple[int, int]) -> Any:
    entry = node.store.entry(ref)
    if entry.backing is None:
        with node.store.lock:
            if entry.backing is None:
                entry.backing = Channel(1)
    return entry.backing


def _make(call: Call | None, arguments: tuple[tuple[int, int], Callable[[], Any]]) -> None:
    ref, factory = arguments
    made = factory() if call is None else current_node().executor.run_users_code(call, factory)
    for method in ("put", "take", "fetch", "isready", "wait"):
        if not callable(getattr(made, method, None)):
            raise TypeError(
                f"a RemoteChannel needs an object with put, take, fetch, isready and wait; {made!r} has no {method}"
            )
    current_node().store.entry(ref).backing = made


def _operate(call: Call, arguments: tuple[tuple[int, int], str, tuple[Any, ...]]) -> Any:
    ref, operation, args = arguments
    node = current_node()
    backing = _backing(node, ref)
    if operation == "give_back":
        return backing.give_back(*args) if isinstance(backing, Channel) else backing.put(*args)
    if operation.endswith("_nowait"):
        return _operate_here(backing, operation.removesuffix("_nowait"), args, 0)
    if isinstance(backing, Channel) and operation in ("put", "take", "fetch", "wait", "until_ready", "item"):
        return _with_ticket(node, backing, call, operation, args)
    if isinstance(backing, Channel):
        return _operate_here(backing, operation, args, None)
    return node.executor.run_users_code(call, _operate_here, backing, operation, args, None)


def _with_ticket(node: Node, channel: Channel[Any], call: Call, operation: str, args: tuple[Any, ...]) -> Any:
    """Do it now, or leave a ticket and answer when it is served."""

    def served(value: Any, error: BaseException | None) -> bool:
        if error is not None:
            node.executor.fail(call, error)
            return True
        return node.executor.answer(
            call, value[args[0]] if operation == "item" else None if operation == "wait" else value
        )

    if operation == "put":
        ticket = channel.start_put(args[0], served)
        value = None
    elif operation == "take":
        value, ticket = channel.start_take(served)
        if type(value) is Handed:
            # The putter goes on when the item has been written out: it may use its memory again then (julia#29932).
            item = value.peek()
            if node.executor.answer(call, item):
                value.accept()
            else:
                value.refuse(channel)
            return LATER
    else:
        value, ticket = channel.start_look(served, only_ready=operation == "until_ready")
        if ticket is None:
            value = None if operation in ("wait", "until_ready") else value[args[0]] if operation == "item" else value
    if ticket is None:
        return value
    waiting = ticket
    call.abandon = lambda: channel.abandon(waiting)
    return LATER


def _operate_here(backing: Any, operation: str, args: tuple[Any, ...], timeout: float | None) -> Any:
    """Operate on a channel of this process, in this thread."""
    if operation == "item":
        return backing.fetch()[args[0]]
    if operation == "isopen":
        return backing.isopen() if hasattr(backing, "isopen") else True
    method = getattr(backing, operation, None)
    if method is None:
        raise TypeError(f"{backing!r} has no method {operation}")
    if isinstance(backing, Channel) and operation in ("put", "take", "fetch", "wait"):
        return method(*args, timeout=timeout)
    if timeout is not None:
        raise TypeError(f"{type(backing).__name__} knows no time-outs")
    return method(*args)


def channel_from_id(ref: RRID | tuple[int, int]) -> Any:
    """Return the channel behind a RemoteChannel that this process owns. Julia: ``channel_from_id``.

    Raises:
        LookupError: this process owns no such reference.

    Example:
        >>> channel = RemoteChannel()
        >>> _ = channel.put("item")
        >>> channel_from_id(remoteref_id(channel)).take()
        'item'
    """
    entry = current_node().store.entries.get((ref[0], ref[1]))
    if entry is None or entry.backing is None:
        raise LookupError("Local instance of remote reference not found")
    return entry.backing


VERBS: dict[int, Callable[[Call, Any], Any]] = {MAKE: _make, OPERATE: _operate}
