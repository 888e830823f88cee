r"""Frames: how one message lies in a byte stream.

    +--------+------+-----------+-------------------------------+------------------+
    | header | body | (28 bytes in front, little endian)        | buffer … buffer  |
    +--------+------+-----------+-------------------------------+------------------+
      length u64      bytes of the body
      rid    u64      the request this belongs to, numbered by whoever asked
      aux    u32      a function number (CALL), a verb (ASK), a pid (OUTPUT)
      origin u32      the cell that all this happens for; see pydist.frontend
      nbuf   u16      buffers that follow the body; the body then begins with a table of nbuf sizes (u64 each)
      kind   u8       one of the constants below
      flags  u8

The header stands apart from the body, so that a body which cannot be unpickled can still be answered. Large buffers
follow the body raw: they are never copied into the pickle, and are received into memory of their own.

A buffer may also lie in memory of the sender that the receiver can open (runtime: segments.py). Its size then has the
highest bit set, nothing follows the body for it, and the table goes on with a `Loan` for each of them, in order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = [
    "ALSO",
    "ASK",
    "BACK",
    "CALL",
    "CANCEL",
    "COMM",
    "CUT",
    "DEFINE",
    "DONE",
    "EACH",
    "ENDED",
    "ERROR",
    "EXIT",
    "FUNCTION",
    "HOLD",
    "INLINE",
    "JOIN",
    "KEEP",
    "MAP",
    "MAX_BUFFERS",
    "MEMBERS",
    "NAMES",
    "OPENS",
    "OUTPUT",
    "PART",
    "QUIET",
    "REFS",
    "RELEASE",
    "RESULT",
    "RETURNED",
    "STAR",
    "Frame",
    "FrameParser",
    "Loan",
    "pack",
    "pack_sizes",
]

# Requests. Each is answered by exactly one of RESULT, DONE, ERROR, unless it is QUIET.
CALL = 1
ASK = 2
# Replies.
RESULT = 3
DONE = 4
ERROR = 5
# One-way notes.
FUNCTION = 10  # a callable gets a number on this connection
DEFINE = 11  # code or a class, by digest
NAMES = 12  # globals for the functions that follow
OUTPUT = 13
CANCEL = 14  # interrupt the request rid; rid 0: everything that runs
HOLD = 15  # somebody else holds a reference now
RELEASE = 16  # a holder has let go
MEMBERS = 17  # who is in the cluster
JOIN = 18  # end of the handshake: who you are
EXIT = 19  # please leave
ENDED = 20  # the request rid, which was answered while it went on, has ended now
OPENS = 21  # this process can open the memory of that one
RETURNED = 22  # nobody here looks into these loans any more; see runtime's mappings.py
BACK = 23  # of the items of request rid (MAP) only the first aux are done here; 0: it is not answered at all
COMM = 24  # what the front end says to a widget of this worker

# Flags
KEEP = 1  # CALL: keep the result there, answer DONE
QUIET = 2  # CALL: no answer at all (remote_do)
MAP = 32  # CALL: the body is a list of items; answer (values, failure or None, seconds), stopping at the first failure
EACH = 16  # CALL with MAP: each item is answered by itself, failed or not; what has not begun may be given back
PART = 32  # RESULT: of one item of such a call, and not the last answer to it
CUT = 4  # CALL with MAP: what has not begun when the call lasts may be given back
STAR = 8  # CALL with MAP: the items are argument tuples
ALSO = 1  # FUNCTION: what has the number rid gets this one, too
REFS = 64  # the body has references in it: whoever drops the frame unread must let go of them
INLINE = 4  # DONE: the kept value is small and travels along

MAX_BUFFERS = 0xFFFF

_HEADER = struct.Struct("<QQIIHBB")
_SIZE = _HEADER.size
_pack_header = _HEADER.pack
_unpack_header = _HEADER.unpack_from

#: A body larger than this is received into memory of its own instead of being joined from pieces.
#: Anything smaller arrives in a few receives.
LARGE = 256 * 1024


class Frame(NamedTuple):
    """One message as it came in."""

    kind: int
    flags: int
    rid: int
    aux: int
    origin: int
    body: bytes | bytearray | memoryview
    buffers: Sequence[object]


_new_frame = tuple.__new__


def pack(kind: int, rid: int, body: bytes, aux: int = 0, origin: int = 0, flags: int = 0, nbuf: int = 0) -> bytes:
    """Return header and body as one bytes object; the buffers, if any, are to be written right behind it."""
    return _pack_header(len(body), rid, aux, origin, nbuf, kind, flags) + body


class Loan(NamedTuple):
    """A buffer that lies in memory of the sender.

    Attributes:
        size: in bytes.
        number: the sender's own name for that memory, to be given back with `RETURNED`.
        fd: its descriptor in the sender.
        inode: what must be found there.
    """

    size: int
    number: int
    fd: int
    inode: int


_LENT = 1 << 63
_LOAN = struct.Struct("<QQQ")


def pack_sizes(sizes: Sequence[int | Loan]) -> bytes:
    """Return the table that opens the body of a frame with buffers: their sizes, and what is lent of them."""
    table = struct.pack(f"<{len(sizes)}Q", *[_LENT | size.size if isinstance(size, Loan) else size for size in sizes])
    return table + b"".join([_LOAN.pack(*size[1:]) for size in sizes if isinstance(size, Loan)])


def _unpack_sizes(body: bytes | bytearray, nbuf: int) -> tuple[list[int | Loan], int]:
    """Return what `pack_sizes` was given, and how long the table is."""
    sizes: list[int | Loan] = list(struct.unpack_from(f"<{nbuf}Q", body))
    end = 8 * nbuf
    for i, size in enumerate(sizes):
        if size & _LENT:  # type: ignore[operator]
            sizes[i] = Loan(size ^ _LENT, *_LOAN.unpack_from(body, end))  # type: ignore[operator]
            end += _LOAN.size
    return sizes, end


def _no_loan(loan: Loan) -> object:
    raise OSError("a buffer lies in memory of the sender, which this process has not agreed to open")


class FrameParser:
    """Turns received bytes into frames.

    `target` says where to receive: None means "anything up to some KB, give it to `feed`", a memoryview
    means "right here, then tell `filled` how much". Both return the frames that are complete.

    Args:
        allocate: makes a writable buffer of n bytes for what is large.
        borrow: returns the buffer of a loan; an OSError from it comes out of `feed` and `filled`.
    """

    def __init__(
        self, allocate: Callable[[int], object] = bytearray, borrow: Callable[[Loan], object] = _no_loan
    ) -> None:
        self._allocate = allocate
        self._borrow = borrow
        self._tail = b""
        # A frame whose large parts are still coming in: its header, its body once that is there, its buffers.
        self._header: tuple[int, ...] | None = None
        self._body: bytes | bytearray | memoryview | None = None
        self._parts: list[object] = []
        self._sizes: list[int | Loan] = []
        #: The memory that waits for the next bytes, or None.
        self.target: memoryview | None = None

    def filled(self, n: int) -> list[Frame]:
        """Take note that ``n`` bytes were received into `target`."""
        assert self.target is not None
        self.target = self.target[n:]
        frames: list[Frame] = []
        if not len(self.target):
            self.target = None
            self._advance(frames)
        return frames

    def feed(self, data: bytes) -> list[Frame]:
        """Take received bytes; may only be called while `target` is None."""
        if self._tail:
            data = self._tail + data
            self._tail = b""
        frames: list[Frame] = []
        pos, end = 0, len(data)
        while pos + _SIZE <= end:
            header = _unpack_header(data, pos)
            length, rid, aux, origin, nbuf, kind, flags = header
            stop = pos + _SIZE + length
            if stop <= end:
                body = data[pos + _SIZE : stop]
                pos = stop
                if not nbuf:
                    frames.append(_new_frame(Frame, (kind, flags, rid, aux, origin, body, ())))
                    continue
                self._header = header
                self._start_buffers(body, nbuf)
                if self.target is None:  # all of them are empty or lent: nothing more is to come
                    assert self._body is not None
                    self._finish(frames, Frame(kind, flags, rid, aux, origin, self._body, self._parts))
                    continue
                pos = self._pour(data, pos, frames)
                if self.target is not None:
                    return frames
            elif length > LARGE:
                self._header = header
                whole = bytearray(length)
                self._body = None
                self._parts = [whole]
                self.target = memoryview(whole)
                self._pour(data, pos + _SIZE, frames)
                return frames
            else:
                break
        self._tail = data[pos:]
        return frames

    def _pour(self, data: bytes, pos: int, frames: list[Frame]) -> int:
        """Copy what ``data`` holds beyond ``pos`` into the waiting memory; return the position behind it."""
        while self.target is not None and pos < len(data):
            n = min(len(self.target), len(data) - pos)
            self.target[:n] = data[pos : pos + n]
            pos += n
            self.target = self.target[n:]
            if not len(self.target):
                self.target = None
                self._advance(frames)
        return pos

    def _start_buffers(self, body: bytes | bytearray, nbuf: int) -> None:
        self._sizes, end = _unpack_sizes(body, nbuf)
        self._body = memoryview(body)[end:]
        self._parts = []
        self._next_buffer()

    def _next_buffer(self) -> None:
        """Make room for the next buffer that has any bytes in it."""
        while len(self._parts) < len(self._sizes):
            size = self._sizes[len(self._parts)]
            if isinstance(size, Loan):
                self._parts.append(self._borrow(size))
                continue
            buffer = self._allocate(size) if size else bytearray()
            self._parts.append(buffer)
            if size:
                self.target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
                return
        self.target = None

    def _advance(self, frames: list[Frame]) -> None:
        """One part is complete: go on to the next, or finish the frame."""
        assert self._header is not None
        _length, rid, aux, origin, nbuf, kind, flags = self._header
        if self._body is None:
            whole = self._parts[0]
            assert isinstance(whole, bytearray)
            if not nbuf:
                self._finish(frames, Frame(kind, flags, rid, aux, origin, whole, ()))
                return
            self._start_buffers(whole, nbuf)
        else:
            self._next_buffer()
        if self.target is None:
            assert self._body is not None
            self._finish(frames, Frame(kind, flags, rid, aux, origin, self._body, self._parts))

    def _finish(self, frames: list[Frame], frame: Frame) -> None:
        frames.append(frame)
        self._header = self._body = None
        self._parts, self._sizes = [], []
