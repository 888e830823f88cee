"""Which node am I?

Every process has one default node; a test may run several in one process, each in a context of its own. This is the
only module of the runtime with state of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydist._runtime.call import Call
    from pydist._runtime.node import Node

__all__ = [
    "CAPTURE",
    "CURRENT_CALL",
    "STARTED",
    "Capture",
    "count_of_forks",
    "current_node",
    "peek_node",
    "set_default_node",
]


class Capture(NamedTuple):
    """A block of code whose output goes somewhere else than into the cell.

    Attributes:
        take: called with the type and the content of a message; returns False if it does not belong here.
        outer: the block around it.
    """

    take: Callable[[str, Mapping[str, Any]], bool]
    outer: Capture | None


_node: ContextVar[Node] = ContextVar("pydist_node")
_default: list[Node] = []

#: When this process began to use pydist, in seconds since 1970.
STARTED = time.time()
#: The remote call that the running code belongs to (None in the master's own code).
CURRENT_CALL: ContextVar[Call | None] = ContextVar("pydist_call", default=None)
#: On a worker: what takes in the place of the cell whatever the running code shows.
CAPTURE: ContextVar[Capture | None] = ContextVar("pydist_capture", default=None)

_forks = [0]


def count_of_forks() -> int:
    """Return a number that has changed if this process has been forked since it was asked last."""
    return _forks[0]


def _count_fork() -> None:
    _forks[0] += 1


if hasattr(os, "register_at_fork"):
    # Twice, for what another thread does in between.
    os.register_at_fork(before=_count_fork, after_in_parent=_count_fork)


def peek_node() -> Node | None:
    """Return this process's node, or None if pydist has not been used yet."""
    node = _node.get(None)
    if node is not None:
        return node
    return _default[0] if _default else None


def current_node() -> Node:
    """Return this process's node; the first use makes it the master of an empty cluster."""
    if _default and (node := _node.get(None)) is None:
        return _default[0]
    node = peek_node()
    if node is None:
        from pydist._runtime.node import Node

        node = Node(pid=1)
        set_default_node(node)
    return node


def set_default_node(node: Node | None) -> None:
    """Make ``node`` what this process is."""
    _default[:] = [] if node is None else [node]
