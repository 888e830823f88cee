"""A stream keeps frames whole, whoever writes at the same time."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

from pydist._protocol.frames import OUTPUT, RESULT, Frame, pack
from pydist._runtime.connection import Connection
from pydist._runtime.pieces import pieces
from pydist._runtime.poller import make_poller


class _PostsInBetween(deque[memoryview]):
    """An outbox at which another thread posts a frame whenever something is put in."""

    def __init__(self, frame: bytes) -> None:
        super().__init__()
        self._frame: bytes | None = frame

    def _post(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None:
            super().append(memoryview(frame))

    def append(self, item: memoryview) -> None:
        super().append(item)
        self._post()

    def extend(self, items: Any) -> None:
        super().extend(items)
        self._post()


def test_a_frame_that_is_posted_meanwhile_does_not_get_between_another_and_its_buffers() -> None:
    here, there = socket.socketpair()
    poller = make_poller()
    sender, receiver = (Connection(sock, 2, poller, lambda connection: None) for sock in (here, there))
    sender._outbox = _PostsInBetween(pack(OUTPUT, 7, b"posted"))
    first, buffers = pieces(RESULT, 5, b"body", [memoryview(b"x" * 40_000), memoryview(b"y" * 50_000)], 0, 0, 0)
    sender.send(first, buffers)
    frames: list[Frame] = []
    while len(frames) < 2:
        frames += receiver.receive() or []
    assert [(frame.kind, frame.rid, bytes(frame.body)) for frame in frames] == [
        (RESULT, 5, b"body"),
        (OUTPUT, 7, b"posted"),
    ]
    received: list[Any] = list(frames[0].buffers)
    assert [bytes(buffer) for buffer in received] == [b"x" * 40_000, b"y" * 50_000]
    sender.close()
    receiver.close()
