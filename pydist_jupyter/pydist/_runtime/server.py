"""Serving: reading all the streams that nobody reads for himself.

The server is the thread that holds the lead and sits in the poller. On the master that is a background thread; on a
worker the idle main thread, which runs the call it has just read, while the watch thread steps in for it (lanes.py).
`Reader` adds the threads that wait for one answer and read its stream directly.
"""

from __future__ import annotations

import contextlib
import os
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from pydist._runtime.poller import READ, make_poller

if TYPE_CHECKING:
    from pydist._protocol.frames import Frame
    from pydist._runtime.connection import Connection

__all__ = ["MISSES", "TICK", "Server"]

#: A stream that nobody has read directly for this long goes back to the server.
TICK = 0.005
#: Tries of a non-blocking receive before blocking. One costs about a microsecond; the wake-up of a sleeping process
#: 15 to 40 (performance.md §1.2).
_SPIN = 25
#: After so many fruitless spins in a row the answers are evidently slow ones: block at once.
MISSES = 4
#: After a sleep that was shorter than this (seconds) it tries again before it sleeps. Ten times as long helps maps and
#: bursts for many workers, and makes calls in turn on one processor three times slower: all workers look out then.
_SHORT = 1e-4
#: What is held back in a burst goes out after this many seconds at the latest.
_SOON = 0.001
#: After so many messages in a row from one stream the others are looked at, too.
_TURN = 64
_sched_yield = getattr(os, "sched_yield", lambda: None)


class Server:
    """The serving of one node: its poller, its streams, and who has the lead.

    Args:
        handle: called with each frame that comes in, in the order of its stream; must not block.
        lost: called with a connection whose peer is gone.
        after: called when a batch of frames has been handled, by the thread that read it.
        tidy: called by the server between batches, for what can wait.
    """

    def __init__(
        self,
        handle: Callable[[Connection, Frame], None],
        lost: Callable[[Connection], None],
        after: Callable[[], None],
        tidy: Callable[[], None],
    ) -> None:
        self.poller = make_poller()
        self._handle = handle
        self._lost = lost
        self._after = after
        self._tidy = tidy
        #: Called when a worker's main lane is about to sleep.
        self.rests: Callable[[], None] = lambda: None
        self._connections: dict[int, Connection] = {}
        self._others: dict[int, Callable[[], None]] = {}
        self._parked: set[Connection] = set()
        #: Held exactly while serving.
        self._lead = allocate_lock()
        self._guard = allocate_lock()
        #: By a thread that waits for something of its own, see `Reader.lead_until`.
        self.is_shared = False
        self._wanted = 0
        self._free = Event()
        self._free.set()
        self._closed = False
        #: The stream on which something came last.
        self._latest: Connection | None = None
        #: How often it was read since all the others were.
        self._in_a_row = 0
        self._ticking = False
        #: Streams with something to write that nobody hurries with.
        self._held: deque[Connection] = deque()
        self._sleepers: list[LockType] = []
        self._kick_r, self._kick_w = os.pipe()
        os.set_blocking(self._kick_r, False)
        os.set_blocking(self._kick_w, False)
        self.poller.register(self._kick_r, READ)

    # ---- streams

    def add(self, connection: Connection) -> None:
        """Start to read a stream."""
        with connection.reading:
            self._connections[connection.fd] = connection
            connection.watch()

    def add_other(self, fd: int, ready: Callable[[], None]) -> None:
        """Call ``ready`` whenever ``fd`` is readable; it must not block."""
        self._others[fd] = ready
        self.poller.register(fd, READ)

    def remove_other(self, fd: int) -> None:
        """Forget it."""
        if self._others.pop(fd, None) is not None:
            with contextlib.suppress(OSError, KeyError):
                self.poller.unregister(fd)

    def remove(self, connection: Connection) -> None:
        """Forget a stream and close it."""
        self._connections.pop(connection.fd, None)
        self._parked.discard(connection)
        if self._latest is connection:
            self._latest = None
        connection.close()

    def release(self, connection: Connection) -> None:
        """Let the server read a stream that was kept claimed: nobody is about to wait for it."""
        if connection.parked:
            self._hand_back(connection)

    def _hand_back(self, connection: Connection) -> None:
        if connection.reading.acquire(False):
            try:
                self._parked.discard(connection)
                connection.hot = 0
                connection.watch()
            finally:
                connection.reading.release()

    def _keep_parked(self, connection: Connection) -> None:
        """Keep a stream from the server, until it goes cold. The caller holds its `reading`."""
        if connection not in self._parked:
            self._parked.add(connection)
            if not self._ticking:
                self.kick()

    def write_soon(self, connection: Connection) -> None:
        """Have written what a stream holds back; within a few milliseconds, if nothing else is sent before."""
        self._held.append(connection)
        if self.is_led:  # else whoever begins to serve looks first
            self.kick()

    # ---- serving

    def serve(
        self, until: Callable[[], bool], timeout: float | None = None, *, spin: bool = False, longest: float = -1.0
    ) -> None:
        """Read all streams until ``until()`` is true or ``timeout`` seconds are over. The caller has the lead.

        Args:
            until: asked after each batch of frames.
            timeout: seconds.
            spin: this is a worker's main lane. It first tries for a moment whether the stream that spoke last goes on,
                and runs itself what comes in.
            longest: no single poll lasts longer than this many seconds; -1: for ever.
        """
        deadline = None if timeout is None else monotonic() + timeout
        poll = self.poller.poll
        while not until():
            while self._held:
                self._held.popleft().flush_outbox()
            wait = longest
            if self._parked:
                self._give_back(monotonic())
                if self._parked:
                    wait = _SOON if self._write_held() else TICK
                    self._ticking = True
            if deadline is not None:
                left = deadline - monotonic()
                if left <= 0:
                    return
                wait = left if wait < 0 else min(wait, left)
            if spin and self._latest is not None:
                if self._in_a_row >= _TURN:
                    wait = 0.0
                elif self._spin(self._latest):
                    self._in_a_row += 1
                    continue
            self._in_a_row = 0
            if spin and wait:
                self.rests()
            start = monotonic()
            for fd, events in poll(wait):
                self._serve_one(fd, events)
            if spin and self._latest is not None and monotonic() - start < _SHORT:
                self._latest.spin_misses = 0
            self._ticking = False
            self._tidy()
            if not spin:
                self._after()

    def _spin(self, connection: Connection) -> bool:
        """Try some times without blocking; return whether something came."""
        if connection.spin_misses >= MISSES or connection.closed or not connection.reading.acquire(False):
            return False
        try:
            found = self._try_some_times(connection)
            connection.spin_misses = 0 if found else connection.spin_misses + 1
            return found
        finally:
            connection.reading.release()

    def _try_some_times(self, connection: Connection) -> bool:
        for _ in range(_SPIN):
            if self.pump(connection):
                return True
            _sched_yield()
        return False

    def _serve_one(self, fd: int, events: int) -> None:
        connection = self._connections.get(fd)
        if connection is not None:
            if connection.reading.acquire(False):
                try:
                    if events & ~READ:
                        connection.flush_outbox()
                    if not connection.parked:
                        self.pump(connection)
                        self._latest = connection
                finally:
                    connection.reading.release()
        elif fd == self._kick_r:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 4096)
        elif (ready := self._others.get(fd)) is not None:
            ready()

    def pump(self, connection: Connection) -> bool:
        """Handle what a stream has; return whether there was anything. The caller holds its `reading`."""
        try:
            frames = connection.receive()
        except EOFError:
            self._lost(connection)
            return False
        if frames is None:
            return False
        connection.last_heard = monotonic()
        handle = self._handle
        for frame in frames:
            handle(connection, frame)
        return True

    def _write_held(self) -> bool:
        """Write what is held back in bursts; return whether there are any."""
        bursts = [connection for connection in list(self._parked) if connection.in_burst]
        for connection in bursts:
            if connection.has_output:
                connection.flush_outbox()
        return bool(bursts)

    def _give_back(self, now: float) -> None:
        for connection in list(self._parked):
            if now - connection.last_read > TICK:
                self._hand_back(connection)

    @property
    def is_led(self) -> bool:
        """Somebody serves."""
        return self._lead.locked()

    def try_lead(self) -> bool:
        """Take the server's role if it is free."""
        return self._lead.acquire(False)

    def lead(self, share: bool = False) -> bool:
        """Take the server's role, from whoever has it; return whether that could be done.

        ``share``: not from one who keeps it until his own wait is over, but for whom all others can wait, too.
        """
        if self._lead.acquire(False):
            return True
        if share and self.is_shared:
            return False
        with self._guard:
            self._wanted += 1
            self._free.clear()
        try:
            self.kick()
            while not self._lead.acquire(True, TICK if share else -1):
                if self.is_shared:
                    return False
            return True
        finally:
            with self._guard:
                self._wanted -= 1

    def leave(self, soon_back: bool = False) -> None:
        """Give the server's role up; ``soon_back``: the background thread need not hurry to take it."""
        self._lead.release()
        if soon_back or self._free.is_set():
            return
        with self._guard:
            if not self._wanted:
                self._free.set()

    @property
    def wanted(self) -> bool:
        """Somebody wants the server's role."""
        return self._wanted > 0 or self._closed

    def kick(self) -> None:
        """Wake the server, and whoever sleeps until something has changed."""
        for lock in list(self._sleepers):
            with contextlib.suppress(RuntimeError):
                lock.release()
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._kick_w, b"x")

    def wake_soon(self) -> None:
        """Wake the server, unless it will look within a few milliseconds anyway; harmless in a finalizer."""
        if not self._ticking:
            self.kick()

    def serve_in_background(self) -> None:
        """Serve for ever, stepping aside for whoever wants to lead: the master's background thread."""
        while not self._closed:
            # Whoever said it would soon be back is not waited for longer than a tick.
            self._free.wait(TICK)
            if self._free.is_set():
                with self._lead:
                    self.serve(lambda: self._wanted > 0 or self._closed)
            elif self._lead.acquire(False):
                try:
                    self.serve(lambda: self._wanted > 0 or self._closed)
                finally:
                    self._lead.release()

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self._free.set()
        self.kick()
