"""Frames: whatever pieces a stream arrives in, the same messages come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from pydist._protocol import frames
from pydist._protocol.frames import Frame, FrameParser, Loan, pack, pack_sizes
from pydist._runtime.answers import DRAIN, LOST

#: (kind, flags, rid, aux, origin, body, buffers)
Message = tuple[int, int, int, int, int, bytes, tuple[bytes, ...]]

messages = st.tuples(
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=60),
    st.lists(st.binary(max_size=80), max_size=4).map(tuple),
)


def on_the_wire(message: Message) -> bytes:
    kind, flags, rid, aux, origin, body, buffers = message
    if buffers:
        body = pack_sizes([len(buffer) for buffer in buffers]) + body
    return pack(kind, rid, body, aux, origin, flags, len(buffers)) + b"".join(buffers)


def receive(parser: FrameParser, data: bytes, cuts: Iterable[int]) -> list[Frame]:
    """Give ``data`` to the parser as a socket would: at most so many bytes at a time, where the parser wants them."""
    found: list[Frame] = []
    pos = 0
    sizes = iter(cuts)
    while pos < len(data):
        n = next(sizes, len(data))
        target = parser.target
        if target is None:
            piece = data[pos : pos + n]
            found += parser.feed(piece)
        else:
            piece = data[pos : pos + min(n, len(target))]
            target[: len(piece)] = piece
            found += parser.filled(len(piece))
        pos += len(piece)
    return found


def plain(frame: Frame) -> Message:
    buffers = tuple(bytes(memoryview(buffer)) for buffer in frame.buffers)  # type: ignore[arg-type]
    return (frame.kind, frame.flags, frame.rid, frame.aux, frame.origin, bytes(frame.body), buffers)


@given(st.lists(messages, max_size=5), st.lists(st.integers(1, 120), max_size=40))
@example([(1, 0, 1, 0, 0, b"", (b"", b"x", b""))], [28, 24, 1])
@example([(1, 0, 1, 0, 0, b"a", (b"",)), (2, 0, 2, 0, 0, b"b", ())], [])
def test_messages_cut_into_any_pieces_come_out_whole(sent: list[Message], cuts: list[int]) -> None:
    stream = b"".join(map(on_the_wire, sent))
    assert [plain(frame) for frame in receive(FrameParser(), stream, cuts)] == sent


@given(st.lists(messages, min_size=1, max_size=3), st.integers(1, 3))
def test_messages_that_drip_come_out_whole(sent: list[Message], drop: int) -> None:
    stream = b"".join(map(on_the_wire, sent))
    assert [plain(frame) for frame in receive(FrameParser(), stream, [drop] * len(stream))] == sent


@given(messages, st.data())
def test_an_incomplete_message_does_not_come_out(message: Message, data: st.DataObject) -> None:
    stream = on_the_wire(message)
    missing = data.draw(st.integers(1, len(stream)))
    parser = FrameParser()
    assert receive(parser, stream[:-missing], []) == []
    assert [plain(frame) for frame in receive(parser, stream[-missing:], [])] == [message]


LARGE = b"large" * frames.LARGE


@pytest.mark.parametrize("buffers", [(), (b"",), (b"b", b"", LARGE), (LARGE, LARGE)], ids=len)
@pytest.mark.parametrize("body", [b"", LARGE], ids=["no body", "large body"])
@pytest.mark.parametrize("piece", [frames.LARGE, 100_003])
def test_large_parts_arrive_whole_with_what_follows_them(body: bytes, buffers: tuple[bytes, ...], piece: int) -> None:
    first: Message = (frames.CALL, 3, 7, 1, 2, body, buffers)
    second: Message = (frames.RESULT, 0, 8, 0, 0, b"next", ())
    stream = on_the_wire(first) + on_the_wire(second)
    found = receive(FrameParser(), stream, [piece] * (len(stream) // piece + 1))
    assert [plain(frame) for frame in found] == [first, second]


def test_a_buffer_is_received_into_memory_of_the_caller_s_making() -> None:
    made: list[bytearray] = []

    def allocate(size: int) -> bytearray:
        made.append(bytearray(size))
        return made[-1]

    message: Message = (frames.CALL, 0, 1, 0, 0, b"body", (b"12345", b"", b"678"))
    (frame,) = receive(FrameParser(allocate), on_the_wire(message), [])
    assert made == [b"12345", b"678"]
    assert frame.buffers[0] is made[0]


def test_received_buffers_can_be_written_to() -> None:
    (frame,) = receive(FrameParser(), on_the_wire((1, 0, 1, 0, 0, b"", (b"abc", b""))), [])
    assert [memoryview(buffer).readonly for buffer in frame.buffers] == [False, False]  # type: ignore[arg-type]


def test_as_many_buffers_as_a_frame_can_have_arrive() -> None:
    message: Message = (frames.CALL, 0, 1, 0, 0, b"", (b"",) * (frames.MAX_BUFFERS - 1) + (b"last",))
    (frame,) = receive(FrameParser(), on_the_wire(message), [])
    assert len(frame.buffers) == frames.MAX_BUFFERS
    assert frame.buffers[-1] == b"last"


loans = st.builds(Loan, *[st.integers(0, 2**40)] * 2, st.integers(0, 2**30), st.integers(0, 2**64 - 1))


@given(st.lists(st.one_of(st.binary(max_size=80), loans), min_size=1, max_size=6), st.lists(st.integers(1, 60)))
def test_what_is_lent_is_borrowed_in_its_place_and_does_not_follow_the_body(
    sent: list[bytes | Loan], cuts: list[int]
) -> None:
    table = pack_sizes([one if isinstance(one, Loan) else len(one) for one in sent])
    stream = pack(frames.CALL, 1, table + b"body", nbuf=len(sent))
    stream += b"".join(one for one in sent if isinstance(one, bytes)) + pack(frames.CALL, 2, b"next")
    parser = FrameParser(borrow=lambda loan: [loan])
    first, second = receive(parser, stream, cuts)
    assert bytes(first.body) == b"body"
    assert [one[0] if isinstance(one, list) else bytes(one) for one in first.buffers] == sent  # type: ignore[call-overload]
    assert (second.rid, second.body) == (2, b"next")


def test_who_has_not_agreed_to_borrow_says_so() -> None:
    data = pack(frames.CALL, 1, pack_sizes([Loan(1, 2, 3, 4)]), nbuf=1)
    with pytest.raises(OSError, match="has not agreed to open"):
        receive(FrameParser(), data, [])


def _numbers(names: Sequence[str]) -> list[Any]:
    return [getattr(frames, name) for name in names]


def test_kinds_differ() -> None:
    kinds = _numbers(["CALL", "ASK", "RESULT", "DONE", "ERROR", "FUNCTION", "DEFINE", "NAMES", "OUTPUT", "CANCEL"])
    kinds += _numbers(["HOLD", "RELEASE", "MEMBERS", "JOIN", "EXIT", "ENDED", "OPENS", "RETURNED"])
    assert len(set(kinds)) == len(kinds)


def test_flags_are_single_bits_that_differ() -> None:
    flags = [*_numbers(["KEEP", "QUIET", "MAP", "INLINE", "REFS"]), DRAIN, LOST]
    assert all(flag & (flag - 1) == 0 for flag in flags)
    assert len(set(flags)) == len(flags)
