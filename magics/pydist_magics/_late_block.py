"""A block of a cell, for what its calls write when it has ended. Only where nobody looks on.

Programs that execute notebooks (nbclient, papermill) drop what comes for a cell that has ended, but find a display by
its id and change it wherever it is. So the cell shows an empty display before it ends, and what comes later is put
there, by messages of whichever cell runs then.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import monotonic
from typing import Any

from pydist_magics._folding import Piece, folded
from pydist_magics._publisher import CellPublisher

__all__ = ["LateBlock", "Writer"]

#: A worker and the number of a call.
Writer = tuple[int, int]

#: Seconds between two updates, and how much longer for each character: an update carries the whole text.
_PERIOD = 0.1
_PER_CHARACTER = 5e-6


class LateBlock:
    """One such block.

    In it the text of each call stands by itself, worker by worker: which of them was faster is chance.

    Args:
        texts: What has come already.
        fold: Equal lines of several workers are to be one.
    """

    def __init__(self, texts: Mapping[Writer, list[Piece]], *, fold: bool = False) -> None:
        self._texts = {writer: list(pieces) for writer, pieces in texts.items()}
        self._fold = fold
        self._display_id = os.urandom(16).hex()
        self._unsent: list[str] = []
        self._due = 0.0
        #: A line for the end.
        self.note = ""

    @property
    def pending(self) -> bool:
        """Text has come that is not shown yet."""
        return bool(self._unsent)

    def write(self, writer: Writer, stream: str, text: str) -> None:
        """Take whole lines."""
        self._texts.setdefault(writer, []).append((stream, text))
        self._unsent.append(text)

    def reserve(self, cell: CellPublisher) -> None:
        """Show the block in its cell, which is about to end. While there is nothing in it, it takes no room."""
        self._send(cell, "display_data")

    def update(self, running: CellPublisher, *, now: bool = True) -> None:
        """Show what has come, by a message of the cell that runs; not ``now``: if the last time was long ago."""
        if self._unsent and (now or monotonic() >= self._due):
            self._send(running, "update_display_data")

    def rest(self) -> str:
        """Return what has come and cannot be shown any more."""
        unsent, self._unsent = self._unsent, []
        return "".join(unsent)

    def text(self) -> str:
        """Return the whole text."""
        pieces = self._folded() if self._fold else [piece for _, own in sorted(self._texts.items()) for piece in own]
        return "".join([text for _, text in pieces] + [self.note])

    def _folded(self) -> list[Piece]:
        workers: dict[int, list[Piece]] = {}
        for (pid, _), pieces in sorted(self._texts.items()):
            workers.setdefault(pid, []).extend(pieces)
        return folded(workers)

    def _send(self, publisher: CellPublisher, msg_type: str) -> None:
        text = self.text()
        self._unsent.clear()
        self._due = monotonic() + _PERIOD + len(text) * _PER_CHARACTER
        content: dict[str, Any] = {
            "data": {"text/plain": text.removesuffix("\n")},
            # `pydist run` tells by it what it has to look at again.
            "metadata": {"pydist": "late"},
            "transient": {"display_id": self._display_id},
        }
        publisher.display(msg_type, content)
