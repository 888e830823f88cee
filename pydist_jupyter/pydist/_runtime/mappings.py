"""Large buffers that arrive in memory of their sender, the receiver's half; segments.py has the other.

A loan is mapped privately: the array on arrival is a view of the sender's pages, and what is written to it goes into
pages of its own. The sender lets these pages be until it is told that the last user here is gone (`RETURNED`).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydist._protocol.frames import RETURNED, Loan, pack
from pydist._runtime.buffers import allocate
from pydist._runtime.current import count_of_forks

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection

__all__ = ["Borrower", "Mapping", "Returns", "max_descriptors", "read_notes"]

#: Of the descriptors that a process may have, mappings take no more than one in so many; Python keeps one for each.
_SHARE_OF_DESCRIPTORS = 4
_MOST_DESCRIPTORS = 1 << 16  # the kernel's usual bound for mappings, too


class Mapping(mmap.mmap):
    """A loan as it is seen here."""

    borrower: Borrower | None = None
    number: int
    born: int

    def __del__(self) -> None:
        if self.borrower is not None:  # else it could not be made
            self.borrower.give_back(self)


class Borrower:
    """What this process needs to see what one peer lends.

    Args:
        said: what the peer has said of its memory in the handshake, see `segments.Pool.offer`.
        returns: where loans go when nobody here uses them any more.

    Raises:
        OSError: the peer's memory cannot be opened from here (it lives in another container, say).
    """

    def __init__(self, said: Any, returns: Returns) -> None:
        self._process, fd, device, inode = map(int, said)
        self._returns = returns
        self.connection: Connection | None = None
        #: What the functions that this peer calls do with its loans; for whoever runs them.
        self.habits: Any = None
        os.close(self._open(fd, device, inode))
        self._device = device

    def _open(self, fd: int, device: int, inode: int) -> int:
        mine = os.open(f"/proc/{self._process}/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(mine)
        if (found.st_dev, found.st_ino) != (device, inode):
            os.close(mine)
            raise OSError(f"process {self._process} has something else under the descriptor that it has lent")
        return mine

    def borrow(self, loan: Loan) -> object:
        """Return the buffer of a loan: writable, and nobody else sees what is written.

        Raises:
            OSError: it is not there; the peer is dead.
        """
        fd = self._open(loan.fd, self._device, loan.inode)
        try:
            mapping = Mapping(fd, loan.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(fd)
        mapping.number, mapping.born = loan.number, count_of_forks()
        mapping.borrower = self
        if self._returns.has_room_for(mapping):
            return mapping
        # So many that descriptors would run out: this one is copied.
        buffer = allocate(loan.size)
        memoryview(buffer).cast("B")[:] = mapping  # type: ignore[arg-type]
        return buffer

    def give_back(self, mapping: Mapping) -> None:
        """Nobody uses a loan any more. Called by its finalizer."""
        # Who was forked meanwhile has a child that may look at these pages for ever.
        self._returns.drop(self, mapping, mapping.number << 1 | (mapping.born != count_of_forks()))


class Returns:
    """The loans that nobody in this process uses any more, on their way to their lenders.

    Args:
        wake: called when something was dropped and nothing had been before; must be harmless in a finalizer.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._dropped: deque[tuple[Borrower, int]] = deque()
        self._begun: set[Connection] = set()
        self._woken = False
        self._tidying = threading.RLock()
        #: The mappings in use, by identity.
        self._used: set[int] = set()
        self.limit = max_descriptors() // _SHARE_OF_DESCRIPTORS

    def has_room_for(self, mapping: Mapping) -> bool:
        """Note that there is one more; say whether it may stay."""
        self._used.add(id(mapping))
        return len(self._used) <= self.limit

    def drop(self, borrower: Borrower, mapping: Mapping, note: int) -> None:
        """Put a loan in; by finalizers."""
        self._used.discard(id(mapping))
        self._dropped.append((borrower, note))
        if not self._woken:
            self._woken = True
            self._wake()

    def begin(self) -> None:
        """Have the notes go out together with what is written next; `tidy` will see to it that they do."""
        if self._dropped:
            with self._tidying:
                for connection, frame in self._frames():
                    self._begun.add(connection)
                    connection.hold(frame)

    def tidy(self) -> None:
        """Tell the lenders."""
        if self._woken or self._begun:
            with self._tidying:
                # First the mark: what is dropped from now on wakes somebody again.
                self._woken = False
                for connection, frame in self._frames():
                    connection.post(frame)
                while self._begun:
                    self._begun.pop().flush_outbox()

    def _frames(self) -> list[tuple[Connection, bytes]]:
        """Return what is to be told, one frame for each lender."""
        notes: dict[Connection, list[int]] = {}
        while self._dropped:
            with contextlib.suppress(IndexError):
                borrower, note = self._dropped.popleft()
                connection = borrower.connection
                if connection is not None and not connection.closed:
                    notes.setdefault(connection, []).append(note)
        return [(connection, pack(RETURNED, 0, struct.pack(f"<{len(n)}Q", *n))) for connection, n in notes.items()]


def read_notes(body: Any) -> list[tuple[int, bool]]:
    """Return what a `RETURNED` frame says: loans, and whether a forked child over there may still look at them."""
    return [(note >> 1, bool(note & 1)) for note in struct.unpack(f"<{len(body) // 8}Q", body)]


def max_descriptors() -> int:
    """Return how many descriptors this process may have."""
    import resource  # Unix, as all of this

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_DESCRIPTORS if soft < 0 else min(soft, _MOST_DESCRIPTORS)
