"""``%autoreload``: what it has put into modules without importing them, so that workers get it too.

It imports an edited module anew, which is seen by itself, or, where only functions and classes have changed, puts their
new code into the old ones. Its table of files tells; the first entry of a module is no change but the module's arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Autoreload"]


class Autoreload:
    """Looks over the shoulder of IPython's extension, which need not be loaded."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        #: name of a module -> time of its file when the extension noticed the module
        self._first: dict[str, float] = {}

    def attach(self) -> None:
        """Begin to look."""
        self._shell.events.register("post_run_cell", self._note_arrivals)

    def detach(self) -> None:
        """Look away."""
        self._shell.events.unregister("post_run_cell", self._note_arrivals)

    def taken(self, name: str) -> float:
        """Return the time of the change that module ``name`` was given, 0.0 if it was given none."""
        reloader = self._reloader()
        now: float | None = None if reloader is None else reloader.modules_mtimes.get(name)
        if now is None or now <= self._first.setdefault(name, now) or now in reloader.failed.values():
            return 0.0
        return now

    def _reloader(self) -> Any:
        extension = self._shell.magics_manager.registry.get("AutoreloadMagics")
        return getattr(extension, "_reloader", None)

    def _note_arrivals(self, result: object = None) -> None:
        reloader = self._reloader()
        if reloader is not None and len(reloader.modules_mtimes) != len(self._first):
            self._first = {**reloader.modules_mtimes, **self._first}
