"""Futures: handles to values that will be there."""

from __future__ import annotations

import functools
from _thread import LockType, allocate_lock
from typing import Any

from pydist import frontend
from pydist._errors import InvalidStateException, RemoteException, remote_exception
from pydist._future_faces import MISSING, Faces
from pydist._ids import NULL_ID, RRID
from pydist._protocol.frames import DONE, ERROR, INLINE, KEEP
from pydist._refs import FETCH, PUT, READY, WAIT
from pydist._runtime.asking import Prepared
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.pickling import current_job
from pydist._runtime.slots import Slot

__all__ = ["Future", "start", "start_prepared"]

_guard = allocate_lock()


class Future(Faces):
    """A value that will be there, in process ``where``. Julia: ``Future``.

    It stays there until somebody fetches it. It is also a `concurrent.futures.Future`, and can be awaited.

    Args:
        pid: the process that is to own the value; default: this one. The Future is unset; `put` sets it, once.

    Attributes:
        where: the owner.
        whence: the process that made the reference.
        id: its number there.

    Example:
        >>> f = Future()
        >>> f.put(42).fetch()
        42
    """

    def __init__(self, pid: int | None = None) -> None:
        node = current_node()
        ref = RRID(node.pid, node.next_id())
        owner = node.pid if pid is None else pid
        if owner != node.pid:
            node.peers.connection(owner)  # complains if there is no such process
            node.tell_holder(owner, ref, node.pid, 1)
        self._set_up(node, owner, ref)

    @classmethod
    def _of(cls, node: Node, owner: int, ref: RRID, slot: Slot | None) -> Future:
        self = cls.__new__(cls)
        self._set_up(node, owner, ref)
        self._slot = slot
        return self

    def __repr__(self) -> str:
        state = "pending"
        if self._value is not MISSING:
            state = "done"
        elif self._slot is not None and self._slot.done:
            state = "failed" if self._failed() else "done"
        elif self.where == self._node.pid:
            entry = self._node.store.entries.get(self._ref)
            if entry is not None and entry.settled:
                state = "failed" if entry.captured is not None else "done"
        return f"Future({self.where}, {self.whence}, {self.id}, {state})"

    # ---- the value

    def isready(self) -> bool:
        """Return whether the value (or the error) is there; asks the owner if need be. Julia: ``isready``."""
        self._check()
        if self._value is not MISSING or (self._slot is not None and self._slot.done):
            return True
        if self.where == self._node.pid:
            return self._node.store.entry(self._ref).settled
        if self._slot is not None:
            return False
        return bool(self._node.fetch(self._node.ask_verb(self.where, READY, tuple(self._ref))))

    def wait(self, timeout: float | None = None) -> Future:
        """Wait until it is ready; neither moves nor frees the value. Returns the Future. Julia: ``wait``.

        Raises:
            RemoteException: the call failed.
            ProcessExitedException: the owner is gone.
            TimeoutError: it is not ready within ``timeout`` seconds.
        """
        self._wait(timeout)
        if self._value is MISSING:
            self._raise_failure()
        return self

    def fetch(self, timeout: float | None = None) -> Any:
        """Return the value, waiting for it; the same object each time. Julia: ``fetch``.

        The first fetch brings it here and frees it at the owner.

        Raises:
            RemoteException: the call failed; each fetch raises it.
            ProcessExitedException: the owner is gone.
            TimeoutError: it is not ready within ``timeout`` seconds.
        """
        if self._value is not MISSING:
            return self._value
        slot = self._slot
        if slot is None or not slot.done or self._ref is NULL_ID:
            self._wait(timeout)
        else:
            self._note_wait()
        self._raise_failure()
        node = self._node
        if self.where == node.pid:
            value = node.store.entry(self._ref).value
        else:
            slot = self._slot
            assert slot is not None
            assert slot.frame is not None
            if slot.frame.kind == DONE and slot.frame.flags & INLINE:
                value = node.value_of(slot)
            else:
                value = self._bring(timeout)
        with _guard:
            # Several threads may fetch at the same time: all get the same object.
            if self._value is MISSING:
                self._value = value
        self._let_go()
        return self._value

    def _bring(self, timeout: float | None) -> Any:
        """Have the value sent; once, however many threads want it: the owner frees it when the first has it."""
        node = self._node
        with self._bringing():
            slot = self._transfer
            if slot is None and self._value is MISSING:
                slot = self._transfer = node.ask_verb(self.where, FETCH, tuple(self._ref))
        if slot is None:
            return self._value
        if not node.wait(slot, timeout):
            raise TimeoutError(f"{self!r} has not arrived after {timeout:g} seconds")
        with self._bringing():
            # Read once: each reading of a message counts the references in it.
            if self._value is MISSING:
                self._value = node.value_of(slot)
            return self._value

    def _bringing(self) -> LockType:
        with _guard:
            lock: LockType | None = self.__dict__.get("_lock")
            if lock is None:
                lock = self.__dict__["_lock"] = allocate_lock()
        return lock

    def put(self, value: Any) -> Future:
        """Set the value, once in the whole cluster. Returns the Future. Julia: ``put!``.

        Raises:
            InvalidStateException: it is set already.
            ProcessExitedException: the owner is gone.
        """
        self._check()
        if self._value is not MISSING:
            raise InvalidStateException("Future can be set only once", "set")
        node = self._node
        if self.where == node.pid:
            node.store.settle(self._ref, value)
        else:
            try:
                node.fetch(node.ask_verb(self.where, PUT, (tuple(self._ref), value)))
            except RemoteException as error:
                if isinstance(error.captured.ex, InvalidStateException):
                    raise error.captured.ex from None
                raise
            self._value = value
            self._let_go()
        return self

    def __getitem__(self, index: Any) -> Any:
        value = self.fetch()
        return value if index is ... else value[index]

    def _watch(self) -> Slot:
        """Return the slot that is settled when the value is there."""
        if self._slot is None:
            self._check()
            node = self._node
            if self.where == node.pid:
                slot = Slot(0, None)
                entry = node.store.entry(self._ref)
                self._slot = slot
                if node.store.when_settled(entry, functools.partial(slot.settle, None)):
                    slot.settle(None)
            else:
                self._slot = node.ask_verb(self.where, WAIT, tuple(self._ref))
        return self._slot

    def _wait(self, timeout: float | None) -> None:
        if self._value is not MISSING:
            return
        self._check()
        node, slot = self._node, self._watch()
        try:
            if not node.wait(slot, timeout):
                raise TimeoutError(f"{self!r} is not ready after {timeout:g} seconds")
        except KeyboardInterrupt:
            # What this very cell has started ends with it; a call of another cell goes on.
            if slot.origin == node.origin():
                node.cancel(slot)
            raise
        self._note_wait()

    def _note_wait(self) -> None:
        slot = self._slot
        if slot is not None:
            frontend.note_wait(slot.origin, slot.rid)

    def _failed(self) -> bool:
        slot = self._slot
        if slot is None:
            return False
        if self.where == self._node.pid and slot.frame is None:
            entry = self._node.store.entries.get(self._ref)
            return entry is not None and entry.captured is not None
        return slot.failure is not None or (slot.frame is not None and slot.frame.kind == ERROR)

    def _raise_failure(self) -> None:
        slot = self._slot
        assert slot is not None
        if self.where == self._node.pid:
            captured = self._node.store.entry(self._ref).captured
            if captured is not None:
                raise remote_exception(self._node.pid, captured)
        elif slot.failure is not None or (slot.frame is not None and slot.frame.kind == ERROR):
            self._node.value_of(slot)

    # ---- holding

    def release(self) -> None:
        """Let go of the value at the owner, fetched or not. A value that was fetched can still be had here."""
        self._let_go()
        if self._value is MISSING:
            self._ref = NULL_ID

    def __reduce__(self) -> Any:
        if current_job() is not None and self._value is not MISSING and self.where != self._node.pid:
            return _rebuild_with_value, (self.where, tuple(self._ref), self._value)
        return self._reduce(_rebuild)


def _rebuild(owner: int, ref: tuple[int, int], held: int) -> Future:
    """Make the handle of a Future that came in. Called by unpickling."""
    return Future._received(owner, ref, held)


def _rebuild_with_value(owner: int, ref: tuple[int, int], value: Any) -> Future:
    """The same for one whose value came along."""
    future = Future._received(owner, ref, 0)
    if future._value is MISSING:
        future._value = value
    return future


def start(
    node: Node, pid: int, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], once: Once | None = None
) -> Future:
    """Start a call whose result stays there; return its Future. The core of `remotecall`."""
    slot = node.call(pid, f, args, kwargs, KEEP, once)
    return Future._of(node, pid, RRID(node.pid, slot.rid), slot)


def start_prepared(node: Node, prepared: Prepared, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future:
    """The same for a function that the process has already."""
    slot = node.call_numbered(prepared, args, kwargs, KEEP)
    return Future._of(node, prepared.connection.pid, RRID(node.pid, slot.rid), slot)
