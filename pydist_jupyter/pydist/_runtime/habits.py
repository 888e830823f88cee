"""Which functions write into the large arguments they are called with.

A page of a loan that is written to is copied by a fault of its own, several times dearer than its part of a copy of the
whole (performance.md §3). So after a call some pages are looked at; a function that has written to most of them gets
copies from then on, and a loan again now and then, in case it has changed.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence

from pydist._runtime.buffers import allocate
from pydist._runtime.mappings import Mapping

__all__ = ["Habits"]

#: So many pages of a buffer are looked at.
_SAMPLES = 16
#: One that writes is given a loan again in one of so many calls; one that does not is looked at in one of so many, or
#: in all of them where the look (some 30 microseconds) does not count beside the copy.
_EVERY_WRITER = 16
_EVERY_READER = 4
_LARGE = 8 << 20
#: Of a page in /proc/self/pagemap: it is there, and it belongs to a file (or is shared).
_PRESENT, _OF_FILE = 1 << 63, 1 << 61
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Habits:
    """The functions that one peer calls here, by their numbers."""

    def __init__(self) -> None:
        self._writers: set[int] = set()
        self._calls: Counter[int] = Counter()

    def receive(self, number: int, buffers: Sequence[object]) -> tuple[Sequence[object], list[Mapping]]:
        """Return the buffers of a call as its function should get them, and those to `look` at when it has ended."""
        loans = [buffer for buffer in buffers if isinstance(buffer, Mapping)]
        if not loans or not _can_look():
            return buffers, []
        count = self._calls[number]
        self._calls[number] += 1
        if number in self._writers and count % _EVERY_WRITER:
            return [_copy(buffer) if isinstance(buffer, Mapping) else buffer for buffer in buffers], []
        if count % _EVERY_READER and sum(map(len, loans)) < _LARGE:
            return buffers, []
        return buffers, loans

    def look(self, number: int, loans: list[Mapping]) -> None:
        """A call has ended: note whether it has written into most of what it got."""
        if 2 * sum(map(_written, loans)) > len(loans):
            self._writers.add(number)
        else:
            self._writers.discard(number)


def _can_look() -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and hasattr(numpy, "copyto") and os.access("/proc/self/pagemap", os.R_OK)


def _copy(loan: Mapping) -> object:
    numpy = sys.modules["numpy"]
    target = allocate(len(loan))
    numpy.copyto(target, numpy.frombuffer(loan, numpy.uint8))
    return target


def _written(loan: Mapping) -> bool:
    """Say whether most of the pages that are looked at are private copies."""
    numpy = sys.modules["numpy"]
    first = numpy.frombuffer(loan, numpy.uint8).__array_interface__["data"][0] // _PAGE
    pages = -(-len(loan) // _PAGE)
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = [os.pread(fd, 8, 8 * (first + i * pages // _SAMPLES)) for i in range(_SAMPLES)]
    finally:
        os.close(fd)
    states = [int.from_bytes(entry, sys.byteorder) for entry in found]
    return sum(bool(state & _PRESENT) and not state & _OF_FILE for state in states) > _SAMPLES // 2
