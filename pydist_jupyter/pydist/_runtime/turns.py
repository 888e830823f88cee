"""Calls that take turns: the messages of one map on one worker.

Further messages of a map may wait at a worker while the first one is worked on, so that the worker never idles between
them. They must wait: whoever maps a function expects that each worker does one item at a time.

They do not wait for ever: what has not begun when the one before it lasts is given back to whoever sent it, and done by
another worker. Without that an item that waits for a later one could wait for what stands behind itself.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from time import monotonic

from pydist._protocol.frames import CUT, EACH, MAP
from pydist._runtime.call import Call

__all__ = ["Turns"]

#: After so many seconds in one message that may be cut, what will not begin within as many more is given back.
_LONG = 0.004
#: After so many seconds in one message, those behind it are given back; and of one whose items are answered one by one,
#: all behind an item that lasts so long, and what will not begin within as many more.
_PATIENCE = 0.02


class _Turn:
    """The message that is worked on, and those behind it."""

    __slots__ = ("call", "since", "waiting")

    call: Call
    since: float

    def __init__(self) -> None:
        self.waiting: deque[Call] = deque()


class Turns:
    """Whose turn it is, for each mapped function of each peer."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._turns: dict[tuple[int, int], _Turn] = {}
        self._spare: _Turn | None = None

    def begin(self, call: Call) -> bool:
        """Return whether the call may run now; if not, `end` of the one before it returns it."""
        if not call.asked & MAP:
            return True
        with self._lock:
            turn = self._turns.get(call.turn)
            if turn is not None:
                turn.waiting.append(call)
                return False
            turn, self._spare = self._spare, None
            if turn is None:
                turn = _Turn()
            turn.call, turn.since = call, monotonic()
            self._turns[call.turn] = turn
            return True

    def end(self, call: Call) -> Call | None:
        """The call has run; return the one whose turn it is now, to be run in the same thread."""
        if not call.asked & MAP:
            return None
        with self._lock:
            turn = self._turns[call.turn]
            if turn.waiting:
                turn.call, turn.since = turn.waiting.popleft(), monotonic()
                return turn.call
            self._spare = self._turns.pop(call.turn)
            del turn.call
            return None

    def next_look(self) -> float | None:
        """Return after how many seconds something may have to be given back; None: there is nothing."""
        with self._lock:
            for turn in self._turns.values():
                items = turn.call.items
                # Before it is decoded nobody knows, and the one who asks may not be woken again.
                if turn.waiting or (turn.call.asked & (CUT | EACH) and (items is None or items)):
                    return _LONG
        return None

    def overdue(self) -> list[tuple[Call, int]]:
        """Return what is to be given back: calls, and how many of their items stay here."""
        now = monotonic()
        back: list[tuple[Call, int]] = []
        with self._lock:
            for turn in self._turns.values():
                lasted, call = now - turn.since, turn.call
                kept = None
                if call.items is None:
                    pass
                elif call.asked & EACH:
                    if now - call.items.since >= _PATIENCE:
                        kept = call.items.cut_all()
                    elif lasted >= _PATIENCE:
                        kept = call.items.cut(lasted, _PATIENCE)
                elif call.asked & CUT and lasted >= _LONG:
                    kept = call.items.cut(lasted, _LONG)
                if kept is not None:
                    back.append((call, kept))
                if lasted >= _PATIENCE:
                    back += [(turn.waiting.pop(), 0) for _ in range(len(turn.waiting))]
        return back
