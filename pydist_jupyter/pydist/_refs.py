"""Remote references: what all handles have in common, and what an owner does when it is asked about a value."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Self

from pydist._ids import NULL_ID, RRID
from pydist._runtime.call import LATER, Call
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._runtime.pickling import current_job
from pydist._runtime.shield import shield_of_this_thread
from pydist._runtime.store import Carried

__all__ = ["Reference", "remoteref_id"]

# The verbs of references.
FETCH, WAIT, READY, PUT = 1, 2, 3, 4

_MISSING: Any = object()
_PENDING, _FINISHED = "PENDING", "FINISHED"


class Reference:
    """What Future and RemoteChannel have in common: a name, an owner, and a share in keeping the value alive.

    Attributes:
        where: the owner.
        whence: the process that made the reference.
        id: its number there.
    """

    where: int
    _node: Node
    _ref: RRID
    _held: int

    def _set_up(self, node: Node, owner: int, ref: RRID) -> None:
        self._node = node
        self._ref = ref
        self.where = owner
        if owner != node.pid:
            self._held = 1
            return
        # In one step: what lets go of it must have held it, and the other way round.
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            node.store.hold(ref, node.pid)
            self._held = 1
        finally:
            shield.lower()

    @classmethod
    def _received(cls, owner: int, ref: tuple[int, int], held: int) -> Self:
        """Return the handle of a reference that came in; within one process equal references are one object."""
        node = current_node()
        rrid = RRID(*ref)
        known = node.handles.recall(rrid)
        if known is not None:
            known._held += held
            return known  # type: ignore[no-any-return]
        self = cls.__new__(cls)
        self._set_up(node, owner, rrid)
        self._held = held
        if owner == node.pid and rrid != NULL_ID:
            node.store.release(rrid, node.pid)  # `_set_up` holds it once; what came in has been counted by the sender
        if rrid != NULL_ID:
            node.handles.remember(self)
        return self

    @property
    def whence(self) -> int:
        """The process that made the reference."""
        return self._ref.whence

    @property
    def id(self) -> int:
        """Its number there."""
        return self._ref.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._ref == other._ref

    def __hash__(self) -> int:
        return hash(self._ref)

    def _check(self) -> None:
        if self._ref == NULL_ID:
            raise ValueError("no process with id 0 exists")

    def _reduce(self, rebuild: Callable[..., Any]) -> Any:
        """Pickle the handle, noting its new holder; ``rebuild(owner, ref, held)`` makes it there."""
        job = current_job()
        if job is None:
            # Not for a process of ours (a file, a queue): a handle that means nothing there, but does no harm.
            return rebuild, (0, tuple(NULL_ID), 0)
        job.refs.append((self.where, tuple(self._ref)))
        self._node.handles.remember(self)
        return rebuild, (self.where, tuple(self._ref), 1)

    def release(self) -> None:
        """Let go of the value at its owner now; the handle is of no further use then."""
        self._let_go()
        self._ref = NULL_ID

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.release()

    def _let_go(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._node.handles.drop(self.where, self._ref, held)

    def __del__(self) -> None:
        # Any thread, at any moment: only an entry in a queue.
        if getattr(self, "_held", 0):
            self._node.handles.drop(self.where, self._ref, self._held)


def remoteref_id(ref: Any) -> RRID:
    """Return which process made a reference, and its number there. Julia: ``remoteref_id``.

    Example:
        >>> remoteref_id(Future()).whence
        1
    """
    return ref._ref  # type: ignore[no-any-return]


# ---- what the owner does when it is asked; see `Node.verbs`


def _answer_when_settled(call: Call, ref: tuple[int, int], what: Callable[[Any], Any]) -> Any:
    node = current_node()

    def answer() -> None:
        if entry.captured is not None:
            node.executor.fail(call, Carried(entry.captured))
        else:
            node.executor.answer(call, what(entry))

    # Weakly: it has the call, which has this, and a circle would keep the value until the garbage is collected.
    weak = weakref.ref(answer)

    def abandon() -> bool:
        node.store.call_no_more(ref, weak())
        return True

    call.abandon = abandon
    with node.store.lock:  # in one step: an entry that nobody holds or waits for may go
        entry = node.store.entry(ref)
        is_there = node.store.when_settled(entry, answer)
    if is_there:
        answer()
    return LATER


def _fetch(call: Call, ref: tuple[int, int]) -> Any:
    return _answer_when_settled(call, ref, lambda entry: entry.value)


def _wait(call: Call, ref: tuple[int, int]) -> Any:
    return _answer_when_settled(call, ref, lambda entry: None)


def _ready(call: Call, ref: tuple[int, int]) -> bool:
    return current_node().store.entry(ref).settled


def _put(call: Call, arguments: tuple[tuple[int, int], Any]) -> None:
    ref, value = arguments
    store = current_node().store
    store.entry(ref)
    store.settle(ref, value)


VERBS: dict[int, Callable[[Call, Any], Any]] = {FETCH: _fetch, WAIT: _wait, READY: _ready, PUT: _put}
