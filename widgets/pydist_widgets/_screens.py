"""Where displays go: a notebook, over the kernel's messages, or a terminal."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from pydist_widgets._cells import Cells

__all__ = ["Bundle", "Mode", "NotebookScreen", "Screen", "TerminalScreen"]

Bundle = Mapping[str, Any]


class Mode(Enum):
    """What the other side can show; the values are those of the environment variable ``PYDIST_DISPLAY``."""

    WIDGET = "widget"
    """A live front end: a model it draws by itself, and html for when it is gone."""
    HTML = "html"
    """Html, replaced as it changes."""
    TEXT = "text"


class Screen(Protocol):
    """Shows bundles of media types under display ids."""

    @property
    def mode(self) -> Mode:
        """What the front end of the cell that runs now can show."""

    @property
    def watched(self) -> bool:
        """Whether a person may be looking: then updates are worth sending several times a second."""

    @property
    def running(self) -> bool:
        """Whether a cell is running."""

    def display(self, bundle: Bundle, display_id: str) -> None:
        """Show ``bundle`` in the cell that runs now."""

    def update(self, bundle: Bundle, display_id: str) -> bool:
        """Replace what is shown under ``display_id``, from any thread; False if nobody would receive it now."""


class NotebookScreen:
    """The front end of a kernel."""

    def __init__(self, shell: InteractiveShell, cells: Cells) -> None:
        self._shell = shell
        self._cells = cells

    @property
    def mode(self) -> Mode:
        with contextlib.suppress(ValueError):
            return Mode(os.environ.get("PYDIST_DISPLAY", "").strip().lower())
        return Mode.WIDGET if self._cells.live else Mode.HTML

    @property
    def watched(self) -> bool:
        return self._cells.live or self.mode is Mode.WIDGET

    @property
    def running(self) -> bool:
        return self._cells.running

    def display(self, bundle: Bundle, display_id: str) -> None:
        if threading.get_ident() == self._cells.thread:
            # Keeps the order with the cell's prints, and %%capture and Output widgets see it.
            self._shell.display_pub.publish(dict(bundle), transient={"display_id": display_id})
        else:
            self._send("display_data", bundle, display_id)

    def update(self, bundle: Bundle, display_id: str) -> bool:
        if not (self._cells.running or self.watched):
            return False
        self._send("update_display_data", bundle, display_id)
        return True

    def _send(self, kind: str, bundle: Bundle, display_id: str) -> None:
        # Not through the shell's publisher: what it takes for the parent differs between threads and between
        # versions. The kernel's iopub socket may be used from any thread.
        kernel: Any = self._shell.kernel  # type: ignore[attr-defined]
        content = {"data": dict(bundle), "metadata": {}, "transient": {"display_id": display_id}}
        kernel.session.send(kernel.iopub_socket, kind, content, parent=self._cells.parent, ident=b"display_data")


class TerminalScreen:
    """An IPython in a terminal. What is printed cannot be changed, so it is printed once."""

    mode = Mode.TEXT
    watched = False
    running = False

    def display(self, bundle: Bundle, display_id: str) -> None:
        print(bundle["text/plain"])  # noqa: T201

    def update(self, bundle: Bundle, display_id: str) -> bool:
        return True
