"""The clock of live output: the first text at once, then at most ten messages a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Pacer"]

# A notebook server drops what exceeds a thousand messages a second; the eye sees no difference beyond ten.
PERIOD = 0.1


class Pacer:
    """Calls ``work`` soon after a poke, in a thread of its own, never twice within ``period`` seconds.

    Args:
        work: What is to be done.
        period: Seconds between two calls.
    """

    def __init__(self, work: Callable[[], None], period: float = PERIOD) -> None:
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
            self._work()
            if self._stopped.wait(self._period):
                return
