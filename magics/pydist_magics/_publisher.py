"""Messages to the output area of one cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CellPublisher"]


class CellPublisher:
    """Sends messages to the output area of one cell, from any thread.

    ipykernel's own publishers find the cell through a context variable with a global to fall back on, and neither is
    right in a thread: versions differ in which cell they take, and a widget's message takes it away from both.
    """

    def __init__(self, kernel: Any, parent: Mapping[str, Any]) -> None:
        self._kernel = kernel
        # The header is all that a message needs of its parent; the rest would keep the code of every cell alive.
        self.parent = {"header": dict(parent.get("header") or {})}

    def stream(self, stream: str, text: str) -> None:
        """Send text."""
        self._send("stream", {"name": stream, "text": text}, b"stream." + stream.encode())

    def display(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """Send a rich message; ``content`` is that of a Jupyter message."""
        from ipykernel.jsonutil import encode_images, json_clean

        clean = dict(content)
        if msg_type != "clear_output":
            clean = {"data": encode_images(dict(content.get("data") or {})), "metadata": {}, "transient": {}}
            clean["metadata"] = content.get("metadata") or {}
            clean["transient"] = content.get("transient") or {}
        self._send(msg_type, json_clean(clean), b"display_data")

    def _send(self, msg_type: str, content: Mapping[str, Any], ident: bytes) -> None:
        kernel = self._kernel
        # This socket hands over to the thread that owns the real one: it is safe in threads and does not block.
        kernel.session.send(kernel.iopub_socket, msg_type, content, parent=self.parent, ident=ident)
