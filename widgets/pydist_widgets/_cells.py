"""Which cell is running now.

A front end without a user (nbclient and all that stands on it) keeps a message only if its parent is the cell that is
running when it arrives, so whoever updates a display from a thread must know that cell. The kernel's own answer will
not do: after a message from a widget it names that message.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Cells"]


class Cells:
    """Follows the cells of a shell.

    ``post_execute`` and ``pre_execute`` would be wrong: they are triggered by messages from widgets too.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        # The extension may be loaded by the cell that runs now; if none does, the first cell corrects this.
        self.parent: dict[str, Any] = self._parent()
        self.running = bool(self.parent.get("header"))
        self.count = 0
        """How many cells have begun: tells one from the next."""
        self.thread = threading.get_ident()

    def begin(self, *_: Any) -> None:
        """``pre_run_cell``."""
        self.parent, self.running, self.thread = self._parent(), True, threading.get_ident()
        self.count += 1

    def end(self, *_: Any) -> None:
        """``post_run_cell``."""
        self.running = False

    @property
    def live(self) -> bool:
        """Whether somebody is looking: a front end with a user names the cell it runs, nbclient and consoles do not."""
        return "cellId" in (self.parent.get("metadata") or {})

    def _parent(self) -> dict[str, Any]:
        get_parent = getattr(self._shell, "get_parent", None)
        return (get_parent() if get_parent is not None else None) or {}
