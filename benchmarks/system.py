"""What a system must be able to do to be measured; what it cannot do stays blank."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks import work

__all__ = ["NotOffered", "System"]


class NotOffered(Exception):
    """This system has nothing like it: the row stays blank."""


class System:
    """One way to have work done by ``n`` worker processes.

    Workers are addressed 0 … n-1; a pool that cannot address them takes any (`addresses` is False then).
    """

    name = ""
    #: What a user writes first; timed by itself.
    statement = "pass"
    #: A call can be sent to one particular worker.
    addresses = True
    #: Sizes of batches to try for the best map; None: the system's own choice.
    chunks: Sequence[int | None] = (None,)

    def __init__(self, n: int) -> None:
        self.n = n

    # ---- life

    def load(self) -> None:
        """Import the library."""
        exec(self.statement)

    def settle(self) -> None:
        """Do what a user's session has done before it starts workers, beside importing."""

    def start(self) -> None:
        """Start the workers; those of them that are started on demand may be missing until the first call."""
        raise NotImplementedError

    def stop(self) -> None:
        """End all that was started; return when it has ended."""
        raise NotImplementedError

    # ---- calls

    def call(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        """Return ``f(x)`` of that worker."""
        return self.gather([self.submit(worker, f, x)])[0]

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        """Start ``f(x)``; return a handle."""
        raise NotImplementedError

    def gather(self, handles: list[Any]) -> list[Any]:
        """Wait for the handles; return the values."""
        return [handle.result() for handle in handles]

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        """Return ``[f(x) for x in xs]``, made by all workers, ``chunk`` items in a message."""
        raise NotOffered

    def loop(self, n: int) -> None:
        """Add up 0 … n-1 in a loop, a part of it on each worker."""
        parts = [range(n * i // self.n, n * (i + 1) // self.n) for i in range(self.n)]
        totals = self.gather([self.submit(i, work.total, part) for i, part in enumerate(parts)])
        assert sum(totals) == n * (n - 1) // 2

    # ---- data

    def argument(self, f: Callable[[Any], Any], a: Any) -> Any:
        """Call ``f(a)`` on one worker by the way that the system recommends for a large ``a``."""
        return self.call(0, f, a)

    def result(self) -> Any:
        """Bring the array of a worker here."""
        return self.call(0, work.get, 0)

    def broadcast(self, f: Callable[[Any], Any], a: Any) -> None:
        """Call ``f(a)`` on all workers."""
        self.gather([self.submit(i, f, a) for i in range(self.n)])

    def between(self) -> int:
        """Have a worker fetch the array of another; return its length."""
        raise NotOffered

    # ---- the rest

    def channel(self) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        """Return put and take of a queue that lies in another process."""
        raise NotOffered

    def everywhere(self) -> None:
        """Run one statement on all workers."""
        raise NotOffered

    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        found: set[int] = set()
        for _ in range(20):
            handles = [self.submit(i, work.who, random.random()) for i in range(self.n)]
            found.update(self.gather(handles))
            if len(found) == self.n:
                break
        return sorted(found)
