"""Which cells run and ran: each gets a small number, its origin, and an output area."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydist.frontend
from pydist_magics._held_output import HeldOutput
from pydist_magics._late_block import LateBlock
from pydist_magics._live_output import LiveOutput
from pydist_magics._outputs import Output, TerminalOutput
from pydist_magics._publisher import CellPublisher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Cell", "Cells", "is_live"]

# A finished cell weighs a few hundred bytes; text for a cell that is forgotten goes where text of nobody goes.
_REMEMBERED = 2000


@dataclass
class Cell:
    """One executed cell.

    Attributes:
        origin: Its number, from 1.
        key: What tells it from others: the id of the request, or the thread where there are no requests.
        live: A front end shows late output in it.
        output: Its output area.
        publisher: Sends messages to the cell; None in a terminal.
        depth: How many runs are inside each other: ``%run`` of a notebook runs cells within the cell.
        running: It has not ended.
        late: Where its calls write when it has ended, if the front end needs such a place.
    """

    origin: int
    key: object
    live: bool
    output: Output
    publisher: CellPublisher | None
    depth: int = 1
    running: bool = True
    late: LateBlock | None = None


def is_live(parent: Mapping[str, Any]) -> bool:
    """Say whether the front end that sent a request shows late output in the cell it belongs to.

    JupyterLab, Notebook and VS Code tell the id of the cell; what executes notebooks headless does not, and throws away
    what comes for a cell that is not running any more.
    """
    wanted = os.environ.get("PYDIST_DISPLAY", "")
    if wanted in ("widget", "html", "text"):
        return wanted == "widget"
    return "cellId" in (parent.get("metadata") or {})


class Cells:
    """The cells of one shell. The caller holds ``lock`` whenever it uses this."""

    def __init__(self, shell: InteractiveShell, lock: AbstractContextManager[Any]) -> None:
        self._shell = shell
        self._lock = lock
        self._kernel = getattr(shell, "kernel", None)
        self._by_origin: dict[int, Cell] = {}
        self._running: list[Cell] = []
        self._count = 0
        self.latest: Cell | None = None
        #: Equal lines of several workers are to be one; for the cells that start from now on.
        self.fold = False

    @property
    def current(self) -> Cell | None:
        """The cell that runs; of several (subshells, nested ones) the one that started last."""
        return self._running[-1] if self._running else None

    def pending(self) -> list[Cell]:
        """Return the cells in which text waits for the clock."""
        return [cell for cell in self._by_origin.values() if cell.output.pending]

    def get(self, origin: int) -> Cell | None:
        """Return the cell of an origin, None if there is none or it is forgotten."""
        return self._by_origin.get(origin)

    def parent(self) -> Mapping[str, Any]:
        """Return the request that the calling thread is working on; empty without a kernel."""
        if self._kernel is None:
            return {}
        found: Mapping[str, Any] = self._kernel.get_parent("shell") or {}
        return found

    def begin(self) -> Cell:
        """Note that a cell starts in this thread, and return it. One inside another one is the same cell."""
        parent = self.parent()
        key = self._key(parent)
        for cell in self._running:
            if cell.key == key and self._kernel is not None:
                cell.depth += 1
                return cell
        # In a terminal a thread runs one cell at a time; if the last one never ended, it has been given up.
        self._running = [cell for cell in self._running if cell.key != key]
        self._count += 1
        cell = self._made(self._count, key, parent)
        self._running.append(cell)
        self._by_origin[cell.origin] = self.latest = cell
        if len(self._by_origin) > _REMEMBERED:
            del self._by_origin[next(iter(self._by_origin))]
        return cell

    def end(self) -> Cell | None:
        """Note that a cell ends in this thread; return it if that was the outermost run of it."""
        key = self._key(self.parent())
        cell = next((cell for cell in reversed(self._running) if cell.key == key), None)
        if cell is None:  # an empty cell ends without having begun
            return None
        cell.depth -= 1
        if cell.depth:
            return None
        cell.running = False
        self._running.remove(cell)
        return cell

    def executing(self) -> bool:
        """Say whether this thread is working on a cell at all, seen from the front end."""
        if self._kernel is None:
            return True
        parent = self.parent()
        executes = (parent.get("header") or {}).get("msg_type") == "execute_request"
        return executes and not (parent.get("content") or {}).get("silent")

    def _key(self, parent: Mapping[str, Any]) -> object:
        return (parent.get("header") or {}).get("msg_id") or threading.get_ident()

    def _made(self, origin: int, key: object, parent: Mapping[str, Any]) -> Cell:
        if self._kernel is None:
            return Cell(origin, key, True, TerminalOutput(), None)
        publisher = CellPublisher(self._kernel, parent)
        live = is_live(parent)
        # Who can ask the user something has a user; nbclient and papermill cannot.
        watched = live or bool((parent.get("content") or {}).get("allow_stdin"))
        output: Output
        if watched and not self.fold:
            output = LiveOutput(self._shell, publisher, self._lock, contextvars.copy_context())
        else:
            unwaited = frozenset[int]() if watched else pydist.frontend.follow_calls(origin)
            output = HeldOutput(self._shell, publisher, self._lock, fold=self.fold, paced=watched, unwaited=unwaited)
        return Cell(origin, key, live, output, publisher)
