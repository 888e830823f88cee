"""The values that this process owns, and who holds a handle to them.

An entry is made at first touch, and goes when its last holder has let go (_protocol/refcounts.py tells how that is
known). Answers to those who wait are given by the thread that settles the entry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pydist._errors import CapturedException, InvalidStateException
from pydist._protocol.refcounts import Holders

__all__ = ["Carried", "Entry", "Store"]

Ref = tuple[int, int]


class Carried(BaseException):
    """An exception captured earlier, to be handed on as it is."""

    def __init__(self, captured: CapturedException) -> None:
        super().__init__(captured)
        self.captured = captured


class Entry:
    """One owned value."""

    __slots__ = ("backing", "callbacks", "captured", "holders", "settled", "value")

    def __init__(self) -> None:
        self.holders = Holders()
        self.settled = False
        #: If it has failed: what was called, for `recreate`, as long as that is kept.
        self.value: Any = None
        self.captured: CapturedException | None = None
        self.callbacks: list[Callable[[], object]] | None = None
        #: For a RemoteChannel: the channel.
        self.backing: Any = None


class Store:
    """All entries of one process, by RRID."""

    def __init__(self) -> None:
        self.entries: dict[Ref, Entry] = {}
        self.lock = threading.RLock()
        self._dead: set[int] = set()
        #: Says whether a value is asked for, and will be kept when it is there.
        self.is_to_come: Callable[[Ref], bool] = lambda ref: False

    def entry(self, ref: Ref) -> Entry:
        """Return the entry of a reference, made now if nobody has touched it before."""
        entry = self.entries.get(ref)
        if entry is None:
            with self.lock:
                entry = self.entries.setdefault(ref, Entry())
        return entry

    def settle(self, ref: Ref, value: Any, captured: CapturedException | None = None) -> None:
        """Fill an entry for the first and only time; if everybody has let go of it already, there is nothing to do.

        Raises:
            InvalidStateException: it has a value.
        """
        with self.lock:
            entry = self.entries.get(ref)
            if entry is None:
                return
            if entry.settled:
                raise InvalidStateException("Future can be set only once", "set")
            entry.value, entry.captured = value, captured
            entry.settled = True
            callbacks, entry.callbacks = entry.callbacks, None
        for callback in callbacks or ():
            callback()

    def when_settled(self, entry: Entry, callback: Callable[[], object]) -> bool:
        """Call back when the entry is filled; return True, without calling, if it is already."""
        with self.lock:
            if entry.settled:
                return True
            entry.callbacks = [*(entry.callbacks or ()), callback]
            return False

    def call_no_more(self, ref: Ref, callback: Callable[[], object] | None) -> None:
        """Whoever is behind a callback waits no longer; an entry that was made for that alone goes."""
        with self.lock:
            entry = self.entries.get(ref)
            if entry is None or entry.settled:
                return
            entry.callbacks = [other for other in entry.callbacks or () if other is not callback] or None
            if not entry.holders and not entry.callbacks and entry.backing is None:
                del self.entries[ref]

    def keep(self, ref: Ref, pid: int, value: Any, captured: CapturedException | None = None) -> None:
        """Fill the entry of a value that ``pid`` has asked for, and so holds.

        That is noted here, and not when the request comes in: until now nobody can have heard of the value but by
        ``pid``, whose word that others hold it, or that it does not any more, makes an entry.
        """
        with self.lock:
            if ref not in self.entries:
                if pid not in self._dead:
                    entry = self.entries[ref] = Entry()
                    entry.holders.add(pid)
                    entry.value, entry.captured, entry.settled = value, captured, True
                return
            if pid not in self._dead:
                self.entries[ref].holders.add(pid)
        self.settle(ref, value, captured)  # first those who wait, whoever holds it
        with self.lock:
            if ref in self.entries and not self.entries[ref].holders:
                del self.entries[ref]

    def hold(self, ref: Ref, pid: int, n: int = 1) -> None:
        """``pid`` holds the reference ``n`` times more."""
        with self.lock:
            if pid not in self._dead:
                entry = self.entries.get(ref) or self.entry(ref)
                entry.holders.add(pid, n)
                if not entry.holders:
                    self._sweep(ref, entry)

    def release(self, ref: Ref, pid: int, n: int = 1) -> None:
        """``pid`` has let go of ``n`` of them."""
        self.hold(ref, pid, -n)

    def forget(self, pid: int) -> None:
        """``pid`` is dead."""
        with self.lock:
            self._dead.add(pid)
            for ref, entry in list(self.entries.items()):
                entry.holders.forget(pid)
                if not entry.holders:
                    self._sweep(ref, entry)

    def revive(self, pid: int) -> None:
        """A new process has this id."""
        with self.lock:
            self._dead.discard(pid)

    def _sweep(self, ref: Ref, entry: Entry) -> None:
        """Nobody holds it, as far as is known here: drop it, unless somebody waits for what is to come.

        Who waits may hold it and have overtaken the word of that, and the hold of who has asked is not noted yet.
        """
        if entry.settled or not entry.callbacks or not self.is_to_come(ref):
            del self.entries[ref]
