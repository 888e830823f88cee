"""A stream keeps frames whole, whoever writes at the same time."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from pydist._protocol.frames import CALL, OUTPUT, RESULT, Frame, pack
from pydist._runtime.connection import Connection
from pydist._runtime.pieces import pieces
from pydist._runtime.poller import make_poller
from pydist._runtime.shield import MAIN


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


class _TakesPartAtFirst(socket.socket):
    """A socket that takes only the start of the first frame, while another thread posts a frame."""

    post: Callable[[], None] | None = None

    def send(self, data: Any, flags: int = 0, /) -> int:
        if self.post is None:
            return super().send(data, flags)
        post, self.post = self.post, None
        sent = super().send(data[:10], flags)
        post()
        return sent


def both_ends(sock: socket.socket, other: socket.socket) -> tuple[Connection, Connection]:
    poller = make_poller()
    return Connection(sock, 2, poller), Connection(other, 2, poller)


def received(connection: Connection, n: int) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < n:
        frames += connection.receive() or []
    return frames


def test_a_frame_that_is_posted_meanwhile_does_not_get_between_another_and_its_buffers() -> None:
    sender, receiver = both_ends(*socket.socketpair())
    sender._outbox = _PostsInBetween(pack(OUTPUT, 7, b"posted"))
    first, buffers = pieces(RESULT, 5, b"body", [memoryview(b"x" * 40_000), memoryview(b"y" * 50_000)], 0, 0, 0)
    sender.send(first, buffers)
    frames = received(receiver, 2)
    assert [(frame.kind, frame.rid, bytes(frame.body)) for frame in frames] == [
        (RESULT, 5, b"body"),
        (OUTPUT, 7, b"posted"),
    ]
    assert [bytes(buffer) for buffer in list[Any](frames[0].buffers)] == [b"x" * 40_000, b"y" * 50_000]
    sender.close()
    receiver.close()


def test_a_frame_that_is_posted_meanwhile_does_not_get_into_the_middle_of_another() -> None:
    here, there = socket.socketpair()
    sock = _TakesPartAtFirst(fileno=here.detach())
    sender, receiver = both_ends(sock, there)
    sock.post = lambda: sender.post(pack(OUTPUT, 7, b"posted"))
    sender.send(pack(RESULT, 5, b"body"))
    assert [(frame.kind, bytes(frame.body)) for frame in received(receiver, 2)] == [
        (RESULT, b"body"),
        (OUTPUT, b"posted"),
    ]
    sender.close()
    receiver.close()


def test_an_interrupt_ends_the_waiting_for_the_peer_whoever_has_read_the_wake_up() -> None:
    sender, receiver = both_ends(*socket.socketpair())
    MAIN.raise_()
    try:
        MAIN.pending = True  # and nothing is in the pipe
        sender.send(pack(RESULT, 5, bytes(16 << 20)))
        assert sender.has_output
    finally:
        MAIN.pending = False
        MAIN.lower()
    frames: list[Frame] = []
    while not frames:
        frames += receiver.receive() or []
        sender.flush_outbox()
    assert len(frames[0].body) == 16 << 20
    sender.close()
    receiver.close()


def test_requests_that_are_held_back_keep_their_order_while_others_write() -> None:
    sender, receiver = both_ends(*socket.socketpair())
    enough = threading.Event()

    def write_in_between() -> None:
        for _ in iter(enough.is_set, True):
            sender.flush_outbox()
        sender.post(pack(OUTPUT, 0, b""))

    other = threading.Thread(target=write_in_between)
    sender.in_burst = True
    asked: list[int] = []
    other.start()
    for i in range(1, 3001):
        sender.held = i % 16
        sender.in_burst = i % 100 != 0
        sender.ask(pack(CALL, i, b""))
        if i % 10 == 0:
            asked += [frame.rid for frame in receiver.receive() or [] if frame.kind == CALL]
    enough.set()
    while len(asked) < 3000:
        sender.flush_outbox()
        asked += [frame.rid for frame in receiver.receive() or [] if frame.kind == CALL]
    other.join()
    assert asked == [*range(1, 3001)]
    sender.close()
    receiver.close()


def test_what_a_peer_has_said_before_its_end_is_read_by_whoever_finds_it_gone_too() -> None:
    ours, theirs = both_ends(*socket.socketpair())
    ours.send(pack(CALL, 1, b"nobody reads this"))
    theirs.send(pack(RESULT, 1, b"the last word"))
    theirs.close()
    with pytest.raises(EOFError):
        ours.send(pack(CALL, 2, b""))
    assert not ours.closed
    assert [bytes(frame.body) for frame in received(ours, 1)] == [b"the last word"]
    with pytest.raises(EOFError):
        ours.receive()
    ours.close()
