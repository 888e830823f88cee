"""Who reads.

Whoever waits, reads: a thread that waits for one peer's answer claims that peer's stream out of the poller and reads it
itself (no thread switch between the answer and its reader). All other streams stay with the server (server.py).

A claimed stream is given back when the wait is over. While waits follow each other within a few milliseconds the
stream stays claimed ("hot"), which saves two system calls each time; the server then looks every `TICK` for streams
that have gone cold. Whoever sends a burst of requests, and waits for none of them, reads in between.
"""

from __future__ import annotations

import select
from _thread import allocate_lock
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pydist._runtime import shield as shields
from pydist._runtime.server import MISSES, TICK, Server

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection
    from pydist._runtime.slots import Slot

__all__ = ["Reader"]

#: So many requests under way that nobody waits for are a burst.
_BURST = 16
#: So many of a burst are sent together: with several workers on few processors each group wakes one.
_GROUP = 64


class Reader(Server):
    """The reading of one node: its server, and the threads that wait."""

    def wait(self, slot: Slot, timeout: float | None = None, *, direct: bool = True) -> bool:
        """Wait until the slot is settled; return whether it is.

        Args:
            slot: what to wait for.
            timeout: seconds, None for ever.
            direct: the calling thread may read the slot's stream itself.

        Raises:
            KeyboardInterrupt: an interrupt came; nothing is lost by it.
        """
        if slot.done:
            return True
        deadline = None if timeout is None else monotonic() + timeout
        shield = shields.shield_of_this_thread()
        if shield is shields.MAIN:
            shields.install()
        connection = slot.connection
        shield.raise_()
        try:
            if connection is not None and connection.in_burst:
                connection.in_burst = False  # first: whoever holds something back looks at this afterwards
                connection.flush_outbox()
            if direct and connection is not None and not connection.closed and connection.reading.acquire(False):
                try:
                    self._read_until(connection, slot, deadline, shield)
                finally:
                    self._stop_reading(connection)
            while not _over(slot, shield):
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    break
                self._sleep(slot, left, shield)
            return slot.done
        finally:
            shield.lower()

    def _sleep(self, slot: Slot, left: float | None, shield: shields.Shield) -> None:
        """Sleep until the slot is settled or the shield is struck; others read meanwhile."""
        lock = allocate_lock()
        lock.acquire()
        shield.sleeping = lock
        slot.add_waiter(lock)
        try:
            if not shield.pending:
                if shield is shields.MAIN:
                    left = shields.LOOK if left is None else min(left, shields.LOOK)
                lock.acquire(True, -1 if left is None else left)
        finally:
            shield.sleeping = None
            slot.remove_waiter(lock)

    def _read_until(self, connection: Connection, slot: Slot, deadline: float | None, shield: shields.Shield) -> None:
        connection.claim()
        pump = self.pump
        while not slot.done and not shield.pending and not connection.closed:
            if connection.spin_misses < MISSES:
                if self._try_some_times(connection):
                    connection.spin_misses = 0
                    if not _over(slot, shield):  # else `_stop_reading` does it
                        self._after()
                else:
                    connection.spin_misses += 1
                continue
            start = monotonic()
            left = None if deadline is None else deadline - start
            if left is not None and left <= 0:
                return
            poll = select.poll()
            poll.register(connection.fd, select.POLLIN | (select.POLLOUT if connection.has_output else 0))
            poll.register(shield.wake_fd(), select.POLLIN)
            # The limit is also for output that is posted while we sit here: see `Connection.post`.
            left = shields.LOOK if left is None else min(shields.LOOK, left)
            poll.poll(max(1, left * 1000))
            if connection.has_output:
                connection.flush_outbox()
            if pump(connection):
                if monotonic() - start < 1e-4:
                    connection.spin_misses = 0
                self._after()

    def _stop_reading(self, connection: Connection) -> None:
        """Give the stream back, or keep it if the next wait is likely to follow at once. Holds `reading`."""
        now = monotonic()
        connection.hot = connection.hot + 1 if now - connection.last_read < TICK else 0
        connection.last_read = now
        if connection.hot > 1 and not connection.has_output and not connection.closed:
            self._keep_parked(connection)
        else:
            self._parked.discard(connection)
            connection.watch()
        connection.reading.release()
        self._after()

    def lead_until(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Serve all streams in the calling thread until ``until()``; for waits on many peers at once.

        Whatever makes ``until()`` true in another thread must `kick`. Return ``until()``.

        Raises:
            KeyboardInterrupt: an interrupt came.
        """
        shield = shields.shield_of_this_thread()
        if shield is shields.MAIN:
            shields.install()
        if shield.owner is not None and shield is not shields.MAIN:
            return self._sleep_until(until, timeout, shield)
        wake = shield.wake_fd()
        if wake not in self._others:
            self.add_other(wake, shield.drain)
        for connection in list(self._parked):
            self.release(connection)
        shield.raise_()
        try:
            if not self.lead(share=True):
                return self._sleep_until(until, timeout, shield)
            self.is_shared = True
            try:
                longest = shields.LOOK if shield is shields.MAIN else -1.0
                self.serve(lambda: until() or shield.pending, timeout, longest=longest)
            finally:
                self.is_shared = False
                self.leave(soon_back=not self._sleepers)
            return until()
        finally:
            if shield is not shields.MAIN:
                self.remove_other(wake)  # the thread may end, and its descriptor be another's
            shield.lower()

    def _sleep_until(self, until: Callable[[], bool], timeout: float | None, shield: shields.Shield) -> bool:
        """The same for those that do not read: they sleep, and are woken by every `kick`.

        These are pooled lanes, and whoever finds that another thread serves, for a wait of its own.
        """
        deadline = None if timeout is None else monotonic() + timeout
        lock = allocate_lock()
        lock.acquire()
        shield.raise_()
        self._sleepers.append(lock)
        try:
            while not until() and not shield.pending:
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    break
                if shield is shields.MAIN:
                    left = shields.LOOK if left is None else min(left, shields.LOOK)
                shield.sleeping = lock
                lock.acquire(True, -1 if left is None else left)
            return until()
        finally:
            shield.sleeping = None
            self._sleepers.remove(lock)
            shield.lower()

    # ---- bursts

    def nobody_waits(self, connection: Connection) -> None:
        """Prepare for a request whose answer the calling thread will not wait for.

        A single one leaves the reading to the server. In a burst of them the caller reads the answers itself, now and
        then, and the requests in between are held back and sent together (see `Connection.ask`): a server that woke up
        for each answer would fight for the interpreter's lock with whoever sends, and a worker for each request for a
        processor; that costs more than all the rest.
        """
        if connection.in_burst:
            connection.held += 1
            if connection.held >= _GROUP:
                self._read_in_between(connection)
        elif len(connection.pending) >= _BURST:
            self._read_in_between(connection)
        elif connection.parked:
            self.release(connection)

    def _read_in_between(self, connection: Connection) -> None:
        connection.held = 0
        shield = shields.shield_of_this_thread()
        if shield is not shields.MAIN and shield.owner is not None:
            return
        shield.raise_()
        try:
            if not connection.closed and connection.reading.acquire(False):
                try:
                    connection.claim()
                    connection.in_burst = True
                    connection.last_read = monotonic()
                    self._keep_parked(connection)
                    self.pump(connection)
                finally:
                    connection.reading.release()
                self._after()
        finally:
            shield.lower()


def _over(slot: Slot, shield: shields.Shield) -> bool:
    return slot.done or shield.pending
