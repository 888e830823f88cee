"""What this process holds of others, and owns for others. Imported when it is first asked for, as `_worker_info` is."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from pydist._ids import RRID
from pydist._protocol.frames import KEEP
from pydist._runtime.current import current_node

__all__ = ["RefInfo", "refs"]


@dataclasses.dataclass(frozen=True)
class RefInfo:
    """One remote reference, as seen from this process.

    Attributes:
        ref: its (whence, id).
        where: the process that owns the value.
        kind: ``"value"`` or ``"channel"``; ``"handle"`` for a value of another process.
        ready: whether the value is there; None if it is not known here.
        held_by: for what this process owns: the processes that hold a handle.
        nbytes: for what this process owns: the size of the value in bytes, as far as it tells.
    """

    ref: RRID
    where: int
    kind: str
    ready: bool | None
    held_by: tuple[int, ...]
    nbytes: int | None


def refs() -> list[RefInfo]:
    """Return the references that this process owns or has received, with their sizes.

    Example:
        >>> f = Future()
        >>> any(info.ref == remoteref_id(f) for info in refs())
        True
    """
    node = current_node()
    node.handles.tidy()
    found = []
    for ref, entry in sorted(node.store.entries.items()):
        kind = "channel" if entry.backing is not None else "value"
        size = (
            _size(entry.backing if entry.backing is not None else entry.value)
            if entry.settled or entry.backing is not None
            else None
        )
        found.append(
            RefInfo(
                RRID(*ref),
                node.pid,
                kind,
                entry.settled or entry.backing is not None,
                tuple(entry.holders.pids()),
                size,
            )
        )
    for call in list(node.executor.calls.values()):
        # What this process has been asked for and will own.
        if call.asked & KEEP and call.connection is not None:
            ref = (call.connection.pid, call.rid)
            if ref not in node.store.entries:
                found.append(RefInfo(RRID(*ref), node.pid, "value", False, (ref[0],), None))
    owned = {info.ref for info in found}
    for ref, handle in sorted(node.handles.travelled().items()):
        if ref not in owned:
            found.append(RefInfo(RRID(*ref), handle.where, "handle", None, (), None))
    return found


def _size(value: Any) -> int:
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    try:
        return sys.getsizeof(value)
    except TypeError:
        return 0
