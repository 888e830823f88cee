"""Who holds which reference, and what may be freed.

Theory of operation. A handle travels from S to D; O owns the value. Before S writes the message, it writes
``Hold(D, +1)`` to O on its own stream. D counts how often it received the handle and, when its last object is gone,
writes ``Release(n)``. O sums up per holder. A Release may overtake its Hold (they come over different streams), so a
sum may be negative for a while; S's own hold, which can only end behind the Hold on the same stream, keeps the value
alive meanwhile. The value is free when every sum is zero. A dead process holds nothing, whatever arrives later.
"""

from __future__ import annotations

__all__ = ["Holders", "Receipts"]


class Holders:
    """The holders of one value, as its owner knows them."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, pid: int, n: int = 1) -> None:
        """``pid`` holds the reference ``n`` times more; ``n`` may be negative."""
        count = self._counts.get(pid, 0) + n
        if count:
            self._counts[pid] = count
        else:
            self._counts.pop(pid, None)

    def forget(self, pid: int) -> None:
        """``pid`` is dead."""
        self._counts.pop(pid, None)

    def pids(self) -> list[int]:
        """Return who holds it now."""
        return sorted(self._counts)

    def __bool__(self) -> bool:
        return bool(self._counts)


class Receipts:
    """How often this process has received each handle of others: what it owes when it lets go."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], int] = {}

    def add(self, ref: tuple[int, int], n: int = 1) -> None:
        """The handle came in ``n`` times more."""
        self._counts[ref] = self._counts.get(ref, 0) + n

    def settle(self, ref: tuple[int, int]) -> int:
        """Let go: return the number to release, and forget it."""
        return self._counts.pop(ref, 0)

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, ref: object) -> bool:
        return ref in self._counts
