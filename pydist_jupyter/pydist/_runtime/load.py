"""What one peer still has to do for us: so much that whoever would send more waits.

Requests that are not answered lie at the peer with their arguments. It cannot stop to read them: behind a request may
come the answer that the ones before it wait for. So the sender holds back. It does not do so for ever either, since
what is done there may wait for something that the sender would do next: one call goes out each `PATIENCE` all the same.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Sized
from typing import Any

__all__ = ["LOOK", "MANY", "PATIENCE", "SMALL", "Load"]

#: Of arguments (bytes), and of requests, so many may lie at a peer.
_MUCH = 64 << 20
MANY = 10_000
#: Requests of up to so many bytes are counted, not weighed.
SMALL = 4096
#: How long a call waits for room (seconds), and how often it looks whether there is some.
PATIENCE = 1.0
LOOK = 0.02


class Load:
    """The unanswered requests on one stream.

    Args:
        pending: all of them.
    """

    def __init__(self, pending: Sized) -> None:
        self._pending = pending
        #: By request: the bytes of its arguments, if they are not few.
        self.sizes: dict[int, int] = {}
        self._bytes = 0
        #: The bytes are enough.
        self.is_heavy = False
        self._lock = allocate_lock()

    def add(self, rid: int, size: int) -> None:
        """A large request goes out."""
        with self._lock:
            self.sizes[rid] = size
            self._bytes += size
            self.is_heavy = self._bytes > _MUCH

    def take_off(self, rid: int) -> None:
        """It has been answered, or never will be."""
        with self._lock:
            self._bytes -= self.sizes.pop(rid, 0)
            self.is_heavy = self._bytes > _MUCH

    @property
    def is_full(self) -> bool:
        """Whether it is enough."""
        return self.is_heavy or len(self._pending) >= MANY

    def holds_back(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Say whether a call with these arguments is to wait: small ones go on as long as they are not many."""
        return len(self._pending) >= MANY or (self.is_heavy and not all(map(_is_light, (*args, *kwargs.values()))))


def _is_light(x: Any) -> bool:
    return type(x) in _NUMBERS or (type(x) in _TEXTS and len(x) <= SMALL)


_NUMBERS = frozenset({int, float, bool, type(None)})
_TEXTS = frozenset({str, bytes})
