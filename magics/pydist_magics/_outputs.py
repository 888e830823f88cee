"""The output area of one cell, and how text of workers gets into it.

    TerminalOutput   a terminal or a plain process: written and done
    LiveOutput       a person looks on: at once, in order with the cell's own prints, at most ten messages a second
    HeldOutput       nobody looks on (nbclient, papermill): held for a while, in an order that no race decides;
                     what comes after the cell's end goes into a LateBlock

None of them locks; the router does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Output", "TerminalOutput"]


class Output(Protocol):
    """Where a cell's output goes."""

    #: Text has been written that still waits for `flush`.
    pending: bool

    def write(self, stream: str, text: str, call: int = 0) -> None:
        """Take whole lines; ``stream`` is ``"stdout"`` or ``"stderr"``, ``call`` the number of the call, 0: unknown."""

    def settle(self, pid: int | None) -> None:
        """A call on ``pid`` (None: on any worker) is done: its text must precede whatever the cell does next."""

    def flush(self) -> None:
        """Send all that has been written. May wait for the thread that sends, and so must not be called by it."""

    def send_late(self) -> None:
        """Send what never waits: the text that came after the cell's end."""

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0, call: int = 0) -> None:
        """Show a rich message of worker ``pid``."""

    def finish(self) -> None:
        """The cell has ended; what comes from now on is late."""


class TerminalOutput:
    """A terminal, or any process without a kernel."""

    pending = False

    def write(self, stream: str, text: str, call: int = 0) -> None:
        """See `Output.write`."""
        file = getattr(sys, stream)
        file.write(text)
        file.flush()

    def settle(self, pid: int | None) -> None:
        """Nothing waits."""

    def flush(self) -> None:
        """Nothing waits."""

    def send_late(self) -> None:
        """Nothing waits."""

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0, call: int = 0) -> None:
        """Write the plain text of it; a terminal cannot take anything back."""
        text = (content.get("data") or {}).get("text/plain")
        if msg_type == "display_data" and text:
            writer = f" From worker {pid}:\t" if pid else ""
            self.write("stdout", "".join(f"{writer}{line}\n" for line in str(text).splitlines()))

    def finish(self) -> None:
        """A terminal has one output area for ever."""
