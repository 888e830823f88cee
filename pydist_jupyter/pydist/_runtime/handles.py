"""The handles of this process: found again when they come in, and reported to their owners when they are dropped."""

from __future__ import annotations

import pickle
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from pydist._protocol.frames import RELEASE, pack
from pydist._runtime.peers import Peers
from pydist._runtime.store import Store

__all__ = ["Handles"]

Ref = tuple[int, int]


class Handles:
    """The handles of one process.

    Args:
        pid: says who this process is.
        store: what it owns itself.
        peers: the way to other owners.
        wake: called when something was dropped and nothing had been before; must be harmless in a finalizer.
    """

    def __init__(self, pid: Callable[[], int], store: Store, peers: Peers, wake: Callable[[], None]) -> None:
        self._pid = pid
        self._store = store
        self._peers = peers
        self._wake = wake
        self._travelled: weakref.WeakValueDictionary[Ref, Any] = weakref.WeakValueDictionary()
        #: What nobody has been told yet.
        self.dropped: deque[tuple[int, Ref, int]] = deque()
        #: Somebody has been woken to `tidy`, who has not begun yet.
        self._woken = False
        #: Whoever returns from `tidy` may count on the notes being out, also those that another thread has in hand.
        self._tidying = threading.RLock()

    def remember(self, handle: Any) -> None:
        """Find this handle again when its reference comes in."""
        self._travelled[handle._ref] = handle

    def recall(self, ref: Ref) -> Any:
        """Return the handle of a reference, None if there is none here."""
        return self._travelled.get(ref)

    def travelled(self) -> dict[Ref, Any]:
        """Return the handles that have travelled, by reference."""
        return dict(self._travelled)

    def drop(self, owner: int, ref: Ref, n: int) -> None:
        """A handle is gone. Called by finalizers: nothing but an entry in a queue, and a push if none is on its way."""
        self.dropped.append((owner, (ref[0], ref[1]), n))
        if not self._woken:
            self._woken = True
            self._wake()

    def tidy(self) -> None:
        """Tell the owners what was dropped; by whoever serves."""
        with self._tidying:
            # First the mark: what is dropped from now on wakes somebody again.
            self._woken = False
            if self.dropped:
                self._send_notes()

    def _send_notes(self) -> None:
        dropped, me = self.dropped, self._pid()
        by_owner: dict[int, list[tuple[Ref, int, int]]] = {}
        while dropped:
            try:
                owner, ref, n = dropped.popleft()
            except IndexError:
                break
            if owner == me:
                self._store.release(ref, me, n)
            else:
                by_owner.setdefault(owner, []).append((ref, me, -n))
        for owner, notes in by_owner.items():
            peer = self._peers.get(owner)
            if peer is not None and peer.connection is not None:
                peer.connection.post(pack(RELEASE, 0, pickle.dumps(notes, 5)))
