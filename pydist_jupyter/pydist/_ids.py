"""The name of a remote reference."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NULL_ID", "RRID"]


class RRID(NamedTuple):
    """Which process created a reference, and its running number there (Julia: ``RRID``).

    Both fields together are the identity: two handles with equal RRIDs stand for the same value.
    """

    whence: int
    id: int


NULL_ID = RRID(0, 0)
