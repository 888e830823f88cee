"""The pieces in which a frame is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydist._protocol.frames import Loan, pack, pack_sizes
from pydist._runtime.once import Buffer
from pydist._runtime.segments import LEND_FROM, raw

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection

__all__ = ["pieces"]

#: A body above this is written beside its header instead of being joined to it.
_JOIN = 64 * 1024


def pieces(
    kind: int,
    rid: int,
    data: Any,
    buffers: Sequence[Buffer],
    aux: int,
    origin: int,
    flags: int,
    connection: Connection | None = None,
) -> tuple[bytes, list[memoryview]]:
    """Return a frame as the bytes to write first and the memory to write behind them.

    What can be lent to the peer of ``connection`` is copied now, and the frame must be sent there.
    """
    if not buffers and len(data) <= _JOIN:
        return pack(kind, rid, bytes(data), aux, origin, flags), []
    sizes: list[int | Loan] = []
    rest = [memoryview(data)]
    lender = None if connection is None else connection.lender
    for buffer in buffers:
        loan = lender.lend(buffer) if lender is not None and buffer.nbytes >= LEND_FROM else None
        sizes.append(buffer.nbytes if loan is None else loan)
        if loan is None:
            rest.append(raw(buffer))
        elif connection is not None:
            connection.bytes_out += loan.size
    table = pack_sizes(sizes)
    header = pack(kind, rid, b"", aux, origin, flags, len(buffers))
    # The header tells the length of table and pickle, which are written behind it without being joined.
    length = len(table) + len(data)
    return length.to_bytes(8, "little") + header[8:] + table, rest
