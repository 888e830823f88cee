"""Frames as a state machine: writer and reader take turns as they like, over a stream that is never complete."""

from __future__ import annotations

from collections import deque

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pydist._protocol.frames import LARGE, FrameParser, pack, pack_sizes

#: (rid, body, buffers)
Message = tuple[int, bytes, tuple[bytes, ...]]


class Stream(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.parser = FrameParser()
        self.wire = bytearray()
        self.sent: deque[Message] = deque()

    @rule(rid=st.integers(0, 9), body=st.binary(max_size=40), buffers=st.lists(st.binary(max_size=40), max_size=3))
    def write(self, rid: int, body: bytes, buffers: list[bytes]) -> None:
        table = pack_sizes([len(buffer) for buffer in buffers])
        self.wire += pack(1, rid, table + body, nbuf=len(buffers)) + b"".join(buffers)
        self.sent.append((rid, body, tuple(buffers)))

    @rule(size=st.integers(LARGE - 30, LARGE + 30))
    def write_something_large(self, size: int) -> None:
        self.wire += pack(1, 0, bytes(size))
        self.sent.append((0, bytes(size), ()))

    @rule(n=st.one_of(st.integers(1, 60), st.just(LARGE)))
    def read(self, n: int) -> None:
        target = self.parser.target
        if target is not None:
            n = min(n, len(target))
        piece = bytes(self.wire[:n])
        del self.wire[:n]
        if not piece:
            return
        if target is None:
            frames = self.parser.feed(piece)
        else:
            target[: len(piece)] = piece
            frames = self.parser.filled(len(piece))
        for frame in frames:
            buffers = tuple(bytes(memoryview(buffer)) for buffer in frame.buffers)  # type: ignore[arg-type]
            assert (frame.rid, bytes(frame.body), buffers) == self.sent.popleft()

    @invariant()
    def what_is_still_to_come_is_on_the_wire_or_begun(self) -> None:
        if not self.sent:
            assert not self.wire

    def teardown(self) -> None:
        """Read the rest: everything has arrived then."""
        while self.wire:
            self.read(LARGE)
        assert not self.sent


Stream.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestStream = Stream.TestCase
