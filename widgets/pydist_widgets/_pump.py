"""The one thread that keeps every display of this process true while time passes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydist_widgets._live import Live, View

if TYPE_CHECKING:
    from pydist_widgets._screens import Screen

__all__ = ["Pump"]

_log = logging.getLogger(__name__)

# Five looks a second are smooth to the eye, and a tenth of what the server lets through.
PERIOD = 0.2
# When nobody looks (nbclient), or nothing has happened for a while.
SLOW_PERIOD = 1.0
QUIET_AFTER = 3.0


class Pump:
    """Refreshes the displays given to it until they end.

    Only this thread, and whoever ends a cell, writes to displays; those who cause a change only change their view.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lock = threading.Lock()
        self._lives: list[Live] = []
        self._thread: threading.Thread | None = None
        self._wanted = threading.Event()
        self._closed = threading.Event()

    def add(self, live: Live, view: View | None = None) -> None:
        """Look after ``live`` from now on; with ``view``, let it show that instead of what it has shown so far."""
        with self._lock:
            live.view = view or live.view
            if live not in self._lives:
                self._lives.append(live)
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="pydist-widgets", daemon=True)
                self._thread.start()
        self._wanted.set()

    def wake(self, *_: object) -> None:
        """Something is about to change (a cell begins, say): be quick again."""
        self._wanted.set()

    def settle(self, *_: object) -> None:
        """Bring every display up to date, documents included. For the end of a cell."""
        self._each(Live.settle)

    def close(self) -> None:
        """Stop, and leave plain html behind."""
        self._closed.set()
        self._wanted.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * SLOW_PERIOD)
        self.settle()
        self._each(Live.close)

    def _run(self) -> None:
        changed_at = time.monotonic()
        while not self._closed.is_set():
            quiet = time.monotonic() - changed_at >= QUIET_AFTER
            if quiet or not self._screen.watched:
                if self._wanted.wait(SLOW_PERIOD if self._lives else None):
                    changed_at = time.monotonic()
            else:
                self._closed.wait(PERIOD)
            self._wanted.clear()
            if self._closed.is_set():
                return
            if self._each(Live.rest if quiet and not self._screen.running else Live.refresh):
                changed_at = time.monotonic()

    def _each(self, renew: Callable[[Live], object]) -> bool:
        """Apply ``renew`` to all displays, forget those that have ended; return whether any said true."""
        changed = False
        with self._lock:
            lives = list(self._lives)
        for live in lives:
            view = live.view
            ended = view.ended
            try:
                changed = bool(renew(live)) or changed
                if ended and live.settled:
                    self._forget(live, view)
            except Exception:  # a display that fails must not take the others, or the cell, with it
                _log.debug("a display could not be renewed", exc_info=True)
        return changed

    def _forget(self, live: Live, view: View) -> None:
        with self._lock:
            if live.view is view and live in self._lives:
                self._lives.remove(live)
