"""The output area of a cell that a person looks at."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from threading import get_ident
from typing import TYPE_CHECKING, Any

from pydist_magics._publisher import CellPublisher
from pydist_magics._streams import KernelOutput, flush_streams, join_texts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["LiveOutput"]


class LiveOutput(KernelOutput):
    """A cell in front of a person.

    While the cell runs, text goes through the cell's own ``sys.stdout``, in the context that the cell started with: so
    it stands in order with the cell's prints however fast the calls come, and is batched together with them. A message
    of its own for every call would be dropped by the notebook server, which takes a thousand a second.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        publisher: CellPublisher,
        lock: AbstractContextManager[Any],
        context: contextvars.Context,
    ) -> None:
        super().__init__(shell, publisher, lock)
        self._context: contextvars.Context | None = context
        self._thread = get_ident()
        self._late: list[tuple[str, str]] = []
        # Text that waits for the end of a line of the cell, and whether something may already follow from it.
        self._waiting: list[tuple[str, str]] = []
        self._due = False
        self._overdue = False
        # The newest update of each display: a loop can make more of them than a notebook server lets through.
        self._updates: dict[str, Mapping[str, Any]] = {}
        self.pending = False

    def write(self, stream: str, text: str, call: int = 0) -> None:
        """See `Output.write`."""
        if self._context is None:
            self._late.append((stream, text))
        elif (self._waiting or stream in self._unended) and get_ident() != self._thread:
            # Perhaps in the middle of a `print`. (In the cell's own thread it cannot be.)
            self._waiting.append((stream, text))
        else:
            self._insert_waiting()
            self._insert(stream, text)
        self.pending = True

    def _insert(self, stream: str, text: str) -> None:
        assert self._context is not None
        self._context.run(getattr(sys, stream).write if self._captured(stream) else self._real[stream].write, text)

    def _insert_waiting(self) -> None:
        while self._waiting:
            self._insert(*self._waiting[0])
            del self._waiting[0]  # only now: an interrupt must not lose it
        self._due = self._overdue = False

    def own_write(self, stream: str, text: str) -> Any:
        """Write what the cell itself prints; what waits for the end of its line goes behind that."""
        with self._lock:
            if self._waiting and self._due and text[:1] != "\n":
                self._insert_waiting()  # no `print` is going on: the cell knows the result that came after this text
            written = self._write_through(stream, text)
            if self._waiting and stream not in self._unended:
                self._insert_waiting()
            return written

    def own_flush(self, stream: str) -> None:
        """Flush a stream of the cell."""
        self._real[stream].flush()

    def settle(self, pid: int | None) -> None:
        """See `Output.settle`."""
        self._due = True

    def flush(self) -> None:
        """See `Output.flush`."""
        self._insert_waiting()
        self.send_late()
        if self._context is not None:
            flush_streams()

    def send_late(self) -> None:
        """Do the part of `flush` that never waits; a line of the cell has until the next time to end."""
        self.pending = False
        if self._waiting and not self._overdue:
            self._overdue = self.pending = True
        else:
            self._insert_waiting()
        late, self._late = self._late, []
        for stream, text in join_texts(late):
            self._publisher.stream(stream, text)
        updates, self._updates = self._updates, {}
        for content in updates.values():
            self._show("update_display_data", content)

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0, call: int = 0) -> None:
        """See `Output.display`."""
        display_id = (content.get("transient") or {}).get("display_id")
        if msg_type == "update_display_data" and display_id:
            self._updates[display_id] = content
            self.pending = True
            return
        self.flush()
        self._show(msg_type, content)

    def finish(self) -> None:
        """See `Output.finish`."""
        self.flush()
        self._let_streams_go()
        self._context = None
