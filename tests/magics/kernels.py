"""A kernel that is none: it keeps what is sent, by the cell it is sent to."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from typing import Any

__all__ = ["FakeKernel", "Stream"]


class FakeKernel:
    """As much of ipykernel as the router uses."""

    def __init__(self) -> None:
        self.session = self
        self.iopub_socket = object()
        self._parent: Mapping[str, Any] = {}
        self._sent: list[dict[str, Any]] = []

    def begin(self, name: str, metadata: Mapping[str, Any], allow_stdin: bool) -> None:
        """Receive a request."""
        header = {"msg_id": name, "msg_type": "execute_request"}
        self._parent = {"header": header, "metadata": metadata, "content": {"allow_stdin": allow_stdin}}
        Stream.parent.set(name)

    def get_parent(self, channel: str) -> Mapping[str, Any]:
        return self._parent

    def send(
        self, socket: object, msg_type: str, content: Mapping[str, Any], parent: Mapping[str, Any], ident: bytes
    ) -> None:
        assert socket is self.iopub_socket
        self._sent.append({"msg_type": msg_type, "content": content, "parent": parent["header"]["msg_id"]})

    def messages(self, name: str) -> list[dict[str, Any]]:
        """Return what was sent to a cell."""
        return [message for message in self._sent if message["parent"] == name]


class Stream:
    """A stream like ipykernel's: it finds its cell in the context, and sends when it is flushed."""

    parent: contextvars.ContextVar[str] = contextvars.ContextVar("parent")

    def __init__(self, name: str, kernel: FakeKernel) -> None:
        self._name = name
        self._kernel = kernel
        self._texts: dict[str, list[str]] = {}

    def write(self, text: str) -> int:
        self._texts.setdefault(self.parent.get(), []).append(text)
        return len(text)

    def flush(self) -> None:
        texts, self._texts = self._texts, {}
        for name, parts in texts.items():
            content = {"name": self._name, "text": "".join(parts)}
            self._kernel.send(self._kernel.iopub_socket, "stream", content, {"header": {"msg_id": name}}, b"")
