"""A bell between processes: a named pipe that any of them can ring, and the test hears it."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

__all__ = ["Bell"]


class Bell:
    """Counts what it hears.

    In a worker: ``open(path, "a").write("x")``, or more to say. ``str(bell)`` is the path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        # Both ends: so nobody waits to open it, and it never ends.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def __str__(self) -> str:
        return str(self._path)

    def wait(self, n: int = 1, timeout: float = 20.0) -> str:
        """Wait until ``n`` characters have been said; return them."""
        said = ""
        deadline = time.monotonic() + timeout
        while len(said) < n:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                raise AssertionError(f"only {said!r} was said within {timeout:g} seconds")
            said += os.read(self._fd, n - len(said)).decode()
        return said

    def close(self) -> None:
        """Take it down."""
        os.close(self._fd)
        self._path.unlink()
