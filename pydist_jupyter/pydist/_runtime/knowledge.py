"""What this process knows about a peer: what it has, and what was sent to it."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Container
from types import CodeType
from typing import TYPE_CHECKING, Any

from pydist._runtime.namespaces import MISSING

if TYPE_CHECKING:
    from pydist._protocol.frames import Frame
    from pydist._runtime.shortcuts import Shortcut

__all__ = ["ABSENT", "Knowledge"]

#: Stands for the value of a name that is not bound.
ABSENT = object()


class _Weakly(weakref.ref[Any]):
    """A reference of ours: a global may be a weak reference itself."""


class Knowledge:
    """What this process knows about a peer: what it has, and what it has sent."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.lock = threading.RLock()
        #: callable -> its number over there
        self.functions: dict[Any, int] = {}
        self.by_code: dict[tuple[int, str], tuple[CodeType, int]] = {}
        self.numbers = itertools.count(1)
        self.digests: set[bytes] = set()
        #: (namespace, name) -> what was sent: the object if it is of a stable type, else the digest of its pickle
        self.sent: dict[tuple[str, str], tuple[Any, bytes]] = {}
        #: (namespace, name) -> the identity of the value here when the name was defined over there
        self._own: dict[tuple[str, str], Any] = {}
        #: Counts the changes of what is noted here about globals.
        self.state = 0
        #: id of a function -> see shortcuts.py
        self.shortcuts: dict[int, Shortcut] = {}
        #: number -> callable, or the frame of one that nobody has called yet, or another number that it has, too
        self.received: dict[int, Any] = {}
        #: globals that came in and are not in place yet: (rid of the call they came for, frame)
        self.names: deque[Frame] = deque()
        self.names_lock = threading.Lock()

    def note_own(self, mention: tuple[str, str], known: object) -> None:
        """The peer has a value of its own for a global that is ``known`` here. A note keeps no array in memory."""
        self.state += 1
        self._own[mention] = _Weakly(known) if type(known).__weakrefoffset__ else known

    def has_own(self, mention: tuple[str, str], known: object) -> bool:
        """Say whether the peer's own value of a global stands: it has not been bound anew here."""
        noted = self._own.get(mention, MISSING)
        return (noted() if type(noted) is _Weakly else noted) is known

    def renew_own(self, mention: tuple[str, str], known: object) -> None:
        """A global that the peer has of its own has got another value here; the peer's still stands."""
        if mention in self._own:
            self.note_own(mention, known)

    def drop_own(self, mention: tuple[str, str]) -> None:
        """Forget what was noted of a global."""
        self.state += 1
        self._own.pop(mention, None)

    def drop_deleted(self, namespace: str, names: Container[str]) -> None:
        """Forget the notes of a namespace about globals that it does not have any more, and so their values."""
        self.state += 1
        for mention, noted in list(self._own.items()):
            if mention[0] == namespace and mention[1] not in names and noted is not ABSENT:
                del self._own[mention]

    def forget_names(self) -> None:
        """The peer has lost what was sent: send it again when it is needed."""
        with self.lock:
            self.state += 1
            self.sent.clear()
