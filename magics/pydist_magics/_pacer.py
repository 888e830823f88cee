"""The clock of live output: the first text at once, then a message every now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["BRISK", "Pacer"]

#: Seconds between two messages. A notebook server drops what exceeds a thousand a second, and a page draws the whole
#: text of a cell again for each: a quarter of a second for a megabyte.
PERIOD = 0.1
#: The same as long as that is quickly done.
BRISK = 0.03


class Pacer:
    """Calls ``work`` soon after a poke, in a thread of its own, never twice within ``period`` seconds.

    Args:
        work: What is to be done; returns the seconds until it may be done again, if ``period`` does not fit.
        period: Seconds between two calls.
    """

    def __init__(self, work: Callable[[], float | None], period: float = PERIOD) -> None:
        self._work = work
        self._period = period
        self._poked = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def poke(self) -> None:
        """Ask for a call of ``work``. Cheap, from any thread."""
        if self._poked.is_set():
            return
        self._poked.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="pydist-output", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread. Pokes do nothing from then on."""
        self._stopped.set()
        self._poked.set()

    def _run(self) -> None:
        while True:
            self._poked.wait()
            if self._stopped.is_set():
                return
            self._poked.clear()
            rest = self._work()
            if self._stopped.wait(self._period if rest is None else rest):
                return
