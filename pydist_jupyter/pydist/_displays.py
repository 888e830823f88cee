"""Rich output of a worker: what is shown there goes into the cell that started the call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydist._runtime.current import CAPTURE, CURRENT_CALL, current_node
from pydist._runtime.output import rich_frame

__all__ = ["display_message", "publish"]

#: A view of a widget goes the way that the messages of its model go, and after them.
_VIEW = "application/vnd.jupyter.widget-view+json"


def publish(msg_type: str, content: Mapping[str, Any]) -> None:
    """Send a rich message to the cell of the call that runs in this thread; its text so far goes ahead.

    Args:
        msg_type: ``"display_data"``, ``"update_display_data"`` or ``"clear_output"``.
        content: that of a Jupyter message of this type; images may be bytes.
    """
    block = CAPTURE.get()
    if block is not None and block.take(msg_type, content):
        return
    node = current_node()
    call = CURRENT_CALL.get()
    connection = call.connection if call is not None else None
    if connection is None or connection.closed or _VIEW in (content.get("data") or ()):
        master = node.peers.get(1)
        connection = None if master is None else master.connection
    if connection is None:
        return
    if call is not None and node.output is not None:
        node.output.finish(call, at_end=False)
    rid, origin = (call.rid, call.origin) if call is not None else (0, 0)
    connection.send(rich_frame(rid, node.pid, origin, msg_type, content))


def display_message(
    data: Mapping[str, Any], metadata: Mapping[str, Any] | None, transient: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the content of a display message."""
    return {
        "data": dict(data),
        "metadata": dict(metadata or {}),
        "transient": dict(transient or {}),
    }
