"""Calls that take turns: the messages of one pmap on one worker.

A second message of a pmap may wait at a worker while the first one is worked on, so that the worker never idles between
them. It must wait: whoever maps a function expects that each worker does one item at a time.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque

from pydist._protocol.frames import MAP
from pydist._runtime.calls import Call

__all__ = ["Turns"]


class Turns:
    """Whose turn it is, for each mapped function of each peer."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._waiting: dict[tuple[int, int], deque[Call]] = {}

    def begin(self, call: Call) -> bool:
        """Return whether the call may run now; if not, `end` of the one before it returns it."""
        if not call.asked & MAP:
            return True
        with self._lock:
            waiting = self._waiting.get(call.turn)
            if waiting is None:
                self._waiting[call.turn] = deque()
                return True
            waiting.append(call)
            return False

    def end(self, call: Call) -> Call | None:
        """The call has run; return the one whose turn it is now, to be run in the same thread."""
        if not call.asked & MAP:
            return None
        with self._lock:
            waiting = self._waiting[call.turn]
            if waiting:
                return waiting.popleft()
            del self._waiting[call.turn]
            return None
