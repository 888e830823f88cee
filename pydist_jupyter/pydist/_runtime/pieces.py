"""The pieces in which a frame is written."""

from __future__ import annotations

from typing import Any

from pydist._protocol.frames import Loan, pack, pack_sizes
from pydist._runtime.segments import LEND_FROM, Lender

__all__ = ["pieces"]

#: A body above this is written beside its header instead of being joined to it.
_JOIN = 64 * 1024


def pieces(
    kind: int,
    rid: int,
    data: Any,
    buffers: list[memoryview],
    aux: int,
    origin: int,
    flags: int,
    lender: Lender | None = None,
) -> tuple[bytes, list[memoryview]]:
    """Return a frame as the bytes to write first and the memory to write behind them.

    What the lender lends of the buffers is copied now, and the frame must be sent.
    """
    if not buffers and len(data) <= _JOIN:
        return pack(kind, rid, bytes(data), aux, origin, flags), []
    sizes: list[int | Loan] = []
    rest = [memoryview(data)]
    for buffer in buffers:
        loan = lender.lend(buffer) if lender is not None and buffer.nbytes >= LEND_FROM else None
        sizes.append(buffer.nbytes if loan is None else loan)
        if loan is None:
            rest.append(buffer)
    table = pack_sizes(sizes)
    header = pack(kind, rid, b"", aux, origin, flags, len(buffers))
    # The header tells the length of table and pickle, which are written behind it without being joined.
    length = len(table) + len(data)
    return length.to_bytes(8, "little") + header[8:] + table, rest
