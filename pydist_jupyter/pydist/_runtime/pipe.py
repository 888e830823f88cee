"""What C code and subprocesses of a worker write."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from pydist._runtime.output import FULL

__all__ = ["Pipe"]


class Pipe:
    """The master's end of a worker's file descriptors 1 and 2."""

    def __init__(self, fd: int, show: Callable[[str], None]) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._show = show
        self._tail = b""
        self._lock = threading.Lock()
        self.closed = False

    def drain(self) -> None:
        """Show whatever lines are there."""
        with self._lock:
            while not self.closed:
                try:
                    data = os.read(self.fd, 65536)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
                if not data:
                    self._end()
                    return
                lines, newline, self._tail = (self._tail + data).rpartition(b"\n")
                if newline:
                    self._show((lines + newline).decode("utf-8", "replace"))
                elif len(self._tail) > FULL:
                    tail, self._tail = self._tail, b""
                    self._show(tail.decode("utf-8", "replace"))

    def settle(self, drain: int) -> None:
        """Before a result is delivered: show what the call has written below Python."""
        if drain:
            self.drain()
        elif self._lock.locked():  # the reader has it in hand just now
            with self._lock:
                return

    def finish(self) -> None:
        """The worker has ended: show what is left, and close."""
        self.drain()
        with self._lock:
            self._end()

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            tail, self._tail = self._tail, b""
            if tail:
                self._show(tail.decode("utf-8", "replace"))
