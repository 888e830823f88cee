"""Memory for what is large."""

from __future__ import annotations

import mmap
import sys

__all__ = ["OUT_OF_BAND", "allocate"]

#: Buffers at least this large travel beside the pickle. Measured cross-over on a Unix socket: below it one more copy
#: is cheaper than one more piece.
OUT_OF_BAND = 32 * 1024
_PAGES = 1 << 20


def allocate(size: int) -> object:
    """Return ``size`` writable bytes, not zeroed where that can be had.

    numpy, if somebody has imported it, asks for huge pages, which makes first touches five times cheaper.
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "empty"):
        return numpy.empty(size, numpy.uint8)
    return mmap.mmap(-1, size) if size >= _PAGES else bytearray(size)
