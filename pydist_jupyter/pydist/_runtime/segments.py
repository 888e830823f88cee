"""Large buffers for processes of this host, the sender's half; mappings.py has the other.

    buffer ──copy──▶ segment (a memfd, mapped here) ◀──private mapping── receiver
                        ▲                                    │
                        └───────── free again ◀── RETURNED ──┘

A segment is written only while nobody else uses it, so a receiver has a copy as good as its own. Its pages stay warm:
the next buffer of about that size is one memcpy. There are no names, so nothing is left behind by whoever dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import sys
import threading
from collections import Counter
from time import monotonic
from typing import Any, NamedTuple

from pydist._protocol.frames import Loan
from pydist._runtime.mappings import max_descriptors, read_notes

__all__ = ["LEND_FROM", "Frozen", "Lender", "Pool", "Segment", "raw"]

#: Buffers at least this large are lent (bytes). Measured cross-over with the stream.
LEND_FROM = 1 << 20
#: What is free is kept up to so many bytes, and for so many seconds.
_IDLE_BYTES = 512 << 20
_IDLE = 30.0
#: So much may lie in segments that one peer has not given back. Beyond it buffers go through the stream, which makes
#: the sender wait for the receiver.
_LENT_BYTES = 512 << 20
#: All segments of a process together take no more than this part of the machine's memory.
_SHARE_OF_MEMORY = 1 / 4
#: And one in so many of its descriptors.
_SHARE_OF_DESCRIPTORS = 8
#: Pages that nobody has used before cost more than the stream, so segments are made on trust: at first so many, one
#: more for each that comes back, and for each so many buffers that had to go through the stream.
_TRUST = 2
_MOST_TRUST = 16
_MISSES = 4
_GRAIN = 1 << 16


class Segment:
    """Some memory that others can open."""

    __slots__ = ("fd", "fresh", "holds", "inode", "memory", "number", "since", "size", "spoiled")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.fd = os.memfd_create("pydist", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, size)
            # Whoever has mapped it can rely on its pages.
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self.inode = os.fstat(self.fd).st_ino
            self.memory = mmap.mmap(self.fd, size)
        except BaseException:
            os.close(self.fd)
            raise
        self.fresh = True
        #: How many peers use it, or are about to.
        self.holds = 0
        #: It must not be written again: somebody may look at it of whom we shall not hear.
        self.spoiled = False
        self.since = 0.0

    def fill(self, buffer: memoryview) -> None:
        """Copy a buffer to the start of it, without holding the interpreter where that can be had."""
        size = buffer.nbytes
        numpy = sys.modules.get("numpy")
        if self.fresh:
            # The kernel fills new pages faster than faults do.
            done = 0
            while done < size:
                done += os.pwrite(self.fd, buffer[done:], done)
            self.fresh = False
        elif numpy is not None and hasattr(numpy, "copyto"):
            numpy.copyto(numpy.frombuffer(self.memory, numpy.uint8, size), numpy.frombuffer(buffer, numpy.uint8))
        else:
            memoryview(self.memory)[:size] = buffer

    def close(self) -> None:
        """Give the memory back to the system, as soon as nobody has it mapped."""
        os.close(self.fd)
        with contextlib.suppress(BufferError):  # somebody reads it: it goes with the last view
            self.memory.close()


class Frozen(NamedTuple):
    """The copy of a buffer that lies at the start of a segment."""

    segment: Segment
    nbytes: int

    @property
    def view(self) -> memoryview:
        """The copy, to be read."""
        return memoryview(self.segment.memory)[: self.nbytes]


def raw(buffer: memoryview | Frozen) -> memoryview:
    """Return the bytes of a buffer."""
    return buffer.view if isinstance(buffer, Frozen) else buffer


class Pool:
    """The segments of one process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.enabled = (
            sys.platform == "linux" and hasattr(os, "memfd_create") and os.environ.get("PYDIST_SHARED_MEMORY") != "0"
        )
        #: All segments, free or not, by number.
        self.segments: dict[int, Segment] = {}
        #: Those that nobody uses; the one used last at the end.
        self.free: list[Segment] = []
        #: How many peers can open our memory.
        self.lenders = 0
        self._count = 0
        self._trust = float(_TRUST)
        self._probe: list[int] = []
        self._timer: threading.Timer | None = None
        self._most_bytes = self._most_segments = 0

    # ---- the agreement

    def offer(self, sock: socket.socket) -> dict[str, Any]:
        """Return what the other end of a stream needs to find out whether it can open memory of this process."""
        if not self.enabled or sock.family != socket.AF_UNIX:
            return {}
        with self.lock:
            if not self._probe:
                fd = os.memfd_create("pydist", os.MFD_CLOEXEC)
                found = os.fstat(fd)
                self._probe = [os.getpid(), fd, found.st_dev, found.st_ino]
        return {"memory": self._probe}

    # ---- taking and giving back

    @property
    def bytes(self) -> int:
        """How large all segments are together."""
        return sum(segment.size for segment in list(self.segments.values()))

    def take(self, size: int, sure: bool = False) -> Segment | None:
        """Return a segment for ``size`` bytes, held once; None: the stream is the better way.

        Args:
            size: in bytes.
            sure: it will be used by several, so that making one pays.
        """
        with self.lock:
            fitting = [segment for segment in self.free if size <= segment.size <= 2 * size + _GRAIN]
            if fitting:
                # The best fit; among equals the one used last, whose pages are warm.
                segment = min(reversed(fitting), key=lambda segment: segment.size)
                self.free.remove(segment)
            else:
                made = self._make(size) if sure or self._trust >= 1 else None
                if made is None:
                    self._trust += 1 / _MISSES
                    return None
                segment = made
                self._trust -= not sure
            segment.holds = 1
            return segment

    def copy(self, buffer: memoryview, sure: bool = False) -> Frozen | None:
        """Return a copy of a buffer in a segment, held once; see `take`."""
        segment = self.take(buffer.nbytes, sure) if self.lenders else None
        if segment is None:
            return None
        try:
            segment.fill(buffer)
        except OSError:  # no memory for new pages
            self.let_go(segment, spoiled=True)
            return None
        return Frozen(segment, buffer.nbytes)

    def _make(self, size: int) -> Segment | None:
        if not self._most_bytes:
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            self._most_bytes = int(memory * _SHARE_OF_MEMORY)
            self._most_segments = max_descriptors() // _SHARE_OF_DESCRIPTORS
        # Somewhat larger than asked for: the next may be. Pages that are not touched cost nothing.
        size = -(-size // _GRAIN) * _GRAIN
        while self.free and self._is_full(size):
            self._drop(self.free.pop(0))
        if self._is_full(size):
            return None
        self._count += 1
        try:
            segment = self.segments[self._count] = Segment(self._count, size)
        except (OSError, ValueError):
            return None
        return segment

    def _is_full(self, size: int) -> bool:
        return len(self.segments) >= self._most_segments or self.bytes + size > self._most_bytes

    def let_go(self, segment: Segment, *, spoiled: bool = False) -> None:
        """One of those who held it does not any more."""
        with self.lock:
            segment.spoiled |= spoiled
            segment.holds -= 1
            if segment.holds:
                return
            if segment.spoiled:
                self._drop(segment)
                return
            self._trust = min(_MOST_TRUST, self._trust + 1)
            segment.since = monotonic()
            self.free.append(segment)
            while len(self.free) > 1 and sum(one.size for one in self.free) > _IDLE_BYTES:
                self._drop(self.free.pop(0))
            self._look_later()

    def _drop(self, segment: Segment) -> None:
        del self.segments[segment.number]
        segment.close()

    # ---- what is idle goes

    def _look_later(self) -> None:
        if self._timer is None and self.free:
            left = self.free[0].since + _IDLE - monotonic()
            self._timer = threading.Timer(max(0.0, left), self._look)
            self._timer.name = "pydist-memory"
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self.lock:
            self._timer = None
            self.give_back_idle(monotonic() - _IDLE)
            self._look_later()

    def give_back_idle(self, since: float) -> None:
        """Give back to the system what nobody has used since then (monotonic)."""
        with self.lock:
            while self.free and self.free[0].since <= since:
                self._drop(self.free.pop(0))


class Lender:
    """What one peer has of our memory.

    Args:
        pool: where it comes from.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._holds: Counter[int] = Counter()
        self.lent = 0
        self._closed = False
        with pool.lock:
            pool.lenders += 1

    def lend(self, buffer: memoryview | Frozen) -> Loan | None:
        """Copy a buffer to where the peer can open it, if it is not there; None: it must go through the stream."""
        if type(buffer) is Frozen:
            return self._lend(buffer)
        assert type(buffer) is memoryview
        if self.lent and self.lent + buffer.nbytes > _LENT_BYTES:
            return None
        copied = self._pool.copy(buffer)
        if copied is None:
            return None
        loan = self._lend(copied)
        self._pool.let_go(copied.segment)
        return loan

    def _lend(self, copied: Frozen) -> Loan | None:
        segment, size = copied
        with self._pool.lock:
            if self._closed:
                return None
            segment.holds += 1
            self._holds[segment.number] += 1
            self.lent += segment.size
        return Loan(size, segment.number, segment.fd, segment.inode)

    def _forget(self, number: int, *, spoiled: bool) -> None:
        segment = self._pool.segments.get(number)
        if segment is None or not self._holds[number]:
            return
        self._holds[number] -= 1
        if not self._holds[number]:
            del self._holds[number]
        self.lent -= segment.size
        self._pool.let_go(segment, spoiled=spoiled)

    def returned(self, body: Any) -> None:
        """The peer says that it has no use for some of it any more."""
        with self._pool.lock:
            for number, abandoned in read_notes(body):
                self._forget(number, spoiled=abandoned)

    def close(self) -> None:
        """The stream has ended. The peer may live and look at what it has, so that is never written again."""
        with self._pool.lock:
            self._pool.lenders -= not self._closed
            self._closed = True
            for number, n in list(self._holds.items()):
                for _ in range(n):
                    self._forget(number, spoiled=True)
