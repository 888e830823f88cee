"""The threads in which calls run.

On a worker the main thread reads and runs: the call it has just read starts without any hand-over. If that call lasts,
the watch thread takes the reading over within about a millisecond, and what arrives meanwhile runs in pooled threads,
made on demand and kept for a while. On the master calls always run in pooled threads: its main thread is the user's.
"""

from __future__ import annotations

import functools
import threading
from _thread import allocate_lock, start_new_thread
from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING

from pydist._protocol.frames import CUT, EACH, MAP
from pydist._runtime.bell import make_bell
from pydist._runtime.call import Call
from pydist._runtime.calls import Executor
from pydist._runtime.shield import MAIN, shield_of_this_thread
from pydist._runtime.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydist._runtime.reader import Reader

__all__ = ["Lanes", "MainLane"]

#: A pooled thread without work ends after so many seconds.
_IDLE = 10.0
#: How often the watch thread looks whether the main thread is still in the same call, while there are calls.
_TICK = 0.001
#: The same while that call reads for itself.
_LONGEST_TICK = 0.016
#: Lines that follow each other within this time (seconds) are sent together.
_FLUSH = 0.01


class _Lane:
    """One pooled thread."""

    __slots__ = ("call", "go")

    def __init__(self) -> None:
        self.go = allocate_lock()
        self.go.acquire()
        self.call: Call | None = None


class Lanes:
    """The lanes of one node, and the queue in front of them."""

    def __init__(self, executor: Executor) -> None:
        self.inbox: deque[Call] = deque()
        self._executor = executor
        self.turns = Turns()
        #: Called when a call has begun to wait for its turn.
        self.waits: Callable[[], None] = lambda: None
        self._idle: list[_Lane] = []
        self._handing = threading.Lock()
        self._started = allocate_lock()
        self._started.acquire()

    def hand_out(self) -> None:
        """Start everything in the inbox in pooled threads, in the order in which it came."""
        inbox = self.inbox
        with self._handing:
            while inbox:
                try:
                    call = inbox.popleft()
                except IndexError:
                    return
                if self.turns.begin(call):
                    self._start(call)
                else:
                    self.waits()

    def give_back(self) -> None:
        """Give back what others should do, of what waits here."""
        for call, kept in self.turns.overdue():
            self._executor.give_back(call, kept)

    def start(self, call: Call) -> None:
        """Start one call in a pooled thread, from any thread."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            with self._handing:
                self._start(call)
        finally:
            shield.lower()

    def _start(self, call: Call) -> None:
        """Return when the thread has the call in hand, so that starts keep their order. The caller holds `_handing`."""
        try:
            lane = self._idle.pop()
        except IndexError:
            lane = _Lane()
            lane.call = call
            start_new_thread(self._live, (lane,))
        else:
            lane.call = call
            lane.go.release()
        self._started.acquire()

    def _live(self, lane: _Lane) -> None:
        shield_of_this_thread().up = True
        while True:
            call, lane.call = lane.call, None
            self._started.release()
            while call is not None:
                self._executor.run(call)
                call = self.turns.end(call)
            self._idle.append(lane)
            if not lane.go.acquire(True, _IDLE):
                try:
                    self._idle.remove(lane)
                except ValueError:
                    lane.go.acquire()  # it was given a call in this very moment
                else:
                    return


class MainLane:
    """The main thread of a worker, and the watch thread that stands in for it."""

    def __init__(self, lanes: Lanes, reader: Reader, executor: Executor, tick: Callable[[], None]) -> None:
        self._lanes = lanes
        self._reader = reader
        self._executor = executor
        self._on_tick = tick
        self._count = 0
        #: Wakes the watch thread.
        self._bell = make_bell(reader.poller)
        #: Nobody needs to: it looks every tick.
        self._is_awake = False
        #: The main thread has nothing to do. While it has, the bell is armed, or has rung.
        self._rests = True
        #: When `tick` is to be called, or None.
        self._due: float | None = None
        lanes.waits = self._look_soon
        reader.rests = self._rest

    def _look_soon(self) -> None:
        """Something waits for its turn: have it looked after."""
        self._ring()
        self._reader.kick()

    def flush_soon(self) -> None:
        """Have `tick` called in a few milliseconds."""
        if self._due is None:
            self._due = monotonic() + _FLUSH
            self._ring()
            self._reader.kick()

    def run(self) -> None:
        """Read and run until the process ends."""
        MAIN.up = True
        start_new_thread(self._watch, ())
        inbox, turns, reader, run = self._lanes.inbox, self._lanes.turns, self._reader, self._executor.run
        reader.lead()
        while True:
            reader.serve(lambda: bool(inbox), spin=True)
            reader.leave()
            # Whoever stands in takes from the inbox, too: both at once would begin calls out of their order.
            while inbox and not reader.is_led:
                # All this while the call is still in the inbox: whoever steps in now begins with it.
                if self._rests:
                    self._rests = False
                    self._bell.arm()
                try:
                    if not self._is_awake and (len(inbox) > 1 or inbox[0].asked & (CUT | EACH)):
                        self._ring()  # others cannot wait for long, or what is not begun of it
                    call = inbox.popleft()
                except IndexError:
                    break
                self._count += 1
                if not call.asked & MAP:
                    run(call)
                elif turns.begin(call):
                    run(call)
                    while (following := turns.end(call)) is not None:
                        call = following
                        self._count += 1
                        run(call)
                del call
            self._executor.flush()
            reader.lead()

    def _rest(self) -> None:
        """The main thread is about to sleep in the poller."""
        if not self._rests:
            self._rests = True
            self._bell.disarm()

    def _ring(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._bell.ring()

    def _has_to_watch(self) -> bool:
        return not self._rests or self._due is not None or self._lanes.turns.next_look() is not None

    def _watch(self) -> None:
        """Stand in as the reader while the main thread is in one call for longer than a tick."""
        reader, seen, tick = self._reader, 0, _TICK
        while True:
            # In this order: who finds it awake relies on what is looked at afterwards.
            self._is_awake = False
            if not self._has_to_watch():
                self._bell.wait()
                seen, tick = -1, _TICK  # who begins in this moment has a whole tick
            self._is_awake = True
            sleep(tick)
            self._flush_if_due()
            self._executor.flush()
            self._lanes.give_back()
            if self._rests or self._count != seen:
                seen, tick = self._count, _TICK
            elif reader.try_lead():
                self._stand_in()
            else:
                tick = min(2 * tick, _LONGEST_TICK)  # the call waits for something, and reads itself meanwhile

    def _flush_if_due(self) -> float | None:
        """Return how long there is still to wait, None if nothing waits."""
        due = self._due
        if due is None:
            return None
        left = due - monotonic()
        if left > 0:
            return left
        self._due = None
        self._on_tick()
        return self._flush_if_due()  # some of it may have to wait once more

    def _has_news(self, due: float | None, look: float | None) -> bool:
        lanes = self._lanes
        return (
            self._reader.wanted
            or bool(lanes.inbox)
            or self._due is not due
            or (look is None and lanes.turns.next_look() is not None)
        )

    def _stand_in(self) -> None:
        """Serve until the main thread wants to read again; calls go to the pooled threads."""
        reader, lanes = self._reader, self._lanes
        try:
            while not reader.wanted:
                lanes.hand_out()
                lanes.give_back()
                left, due = self._flush_if_due(), self._due
                look = lanes.turns.next_look()
                if look is not None and (left is None or look < left):
                    left = look
                reader.serve(functools.partial(self._has_news, due, look), left)
        finally:
            reader.leave()
