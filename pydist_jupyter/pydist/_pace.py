"""How much of a map is sent to a worker at once."""

from __future__ import annotations

import itertools
import pickle

from pydist._items import Inputs
from pydist._runtime.pickling import are_atoms

__all__ = ["Pace"]

#: ``batch_size="auto"``: a message should take about this long (seconds), and hold no more than so many items.
_TARGET = 0.001
_CAP = 4096
#: And there should be so many messages for each worker, so that they end at about the same time.
_SHARE = 2
#: What is sent before anything is known of the time that an item takes is no longer than this (bytes).
_FIRST = 64 * 1024
#: While messages take less than this (seconds), a second one waits at each worker, so that it never idles between two.
#: With slow ones that would only keep an item from a worker that is free sooner.
_QUICK = 0.02
#: Of very quick ones so many seconds' worth wait there, but no more than so many messages, or items: they are sent
#: together, which costs the less the more they are.
_AHEAD = 0.002
_DEPTH = 64
#: And no more than so many bytes, beyond the second message.
_HEAVY = 1 << 20
_WAITING = 64


class Pace:
    """The number of items in a message, and of messages at a worker; it follows from how long they take.

    Args:
        batch_size: items in a message, or "auto".
        total: how many items there are, None if that is not known.
    """

    def __init__(self, batch_size: int | str, total: int | None) -> None:
        self.auto = batch_size == "auto"
        #: Each item is sent for itself, or answered as if it had been.
        self.single = not self.auto and batch_size == 1
        #: Items in a message.
        self.size = 1 if self.auto else int(batch_size)
        #: Messages at a worker, the one that is worked on included.
        self.depth = 1
        #: How many workers there are now.
        self.workers = 1
        self._total = total
        #: So many messages are not too much to lie at a worker.
        self._light = _DEPTH

    def note(self, each: float, took: float, n: int) -> None:
        """A message with ``n`` items has been answered: more while they are quick, less when they are slow.

        Args:
            each: seconds from one message to the next, as seen from here.
            took: those of them in which the worker was at it. The rest it may have waited for a CPU, and would wait
                less often if more came at once.
            n: how many items.
        """
        if self.auto and n == self.size:
            if each < _TARGET:
                # Of the time of a quick one the most is the way there and back, which more items do not make longer.
                more = max((8 if 4 * each < _TARGET else 2) * n, int(n * _TARGET / max(each, 1e-6)))
                self.size = min(self._most(), more)
            elif each > 4 * _TARGET and n > 1:
                self.size = n // 2
        if took >= _QUICK:
            self.depth = 1
        else:
            self.depth = max(2, min(_DEPTH, int(_AHEAD / max(took, 1e-6)), _WAITING // self.size, self._light))

    def weigh(self, size: int) -> None:
        """A message had so many bytes: few large ones wait at a worker, however quick they are."""
        self._light = _HEAVY // max(1, size)

    def note_cut(self, kept: int) -> None:
        """A message lasts longer than was thought: only ``kept`` of its items are done there."""
        self.size = max(1, min(self.size, kept))
        self.depth = 1

    def guess(self, inputs: Inputs) -> None:
        """Begin with large messages if there are many small inputs, up to a worker's whole share.

        What proves too much is given back.
        """
        if self.auto and inputs.at_hand:
            first = inputs.peek(self._most(1))
            if first and (
                type(first) is range or are_atoms(itertools.chain.from_iterable(first) if inputs.star else first)
            ):
                self.size = max(1, min(len(first), _FIRST // len(pickle.dumps(first[0], 5))))
                self.depth = _SHARE

    def _most(self, share: int = _SHARE) -> int:
        if self._total is None:
            return _CAP // share
        return max(1, min(_CAP, -(-self._total // (share * max(1, self.workers)))))
