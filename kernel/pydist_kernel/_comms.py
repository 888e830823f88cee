"""What a front end says to a widget that lives in a worker goes there at once, whatever the kernel does.

A message for a widget of the kernel itself waits for the cell that runs, unless the front end sent it to a subshell.
Handing one over takes no time and touches nothing of the user's, so the thread that receives all requests does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipykernel.ipkernel import IPythonKernel

__all__ = ["hand_over"]

_KINDS = ("comm_msg", "comm_close")
#: Where the header stands behind the line between addresses and message: after the signature.
_HEADER = 1


def hand_over(kernel: IPythonKernel, frames: Sequence[Any]) -> bool:
    """Give a request to the worker that it is for; return False if it is not for one.

    Args:
        kernel: the kernel.
        frames: the request as it came.
    """
    session: Any = kernel.session
    idents, rest = session.feed_identities(frames, copy=False)
    # All requests come by here: a look at the bytes before they are parsed.
    if len(rest) <= _HEADER or b'"comm_' not in bytes(rest[_HEADER]):
        return False
    peeked = session.deserialize(rest, content=False, copy=False)
    if peeked["header"]["msg_type"] not in _KINDS:
        return False
    comms = kernel.comm_manager.comms
    comm = comms.get(session.unpack(peeked["content"]).get("comm_id"))
    if getattr(comm, "worker", None) is None:
        return False
    message = session.deserialize(rest, content=True, copy=False)
    # The front end sends no more of a widget's changes until it hears that the kernel is idle again.
    kernel._publish_status("busy", "shell", parent=message)
    kernel.shell_handlers[message["header"]["msg_type"]](None, idents, message)
    kernel._publish_status("idle", "shell", parent=message)
    return True
