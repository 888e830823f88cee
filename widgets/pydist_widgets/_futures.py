"""Where the result of one call is, and whether it is there yet."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

__all__ = ["FutureState"]

STATES = {
    "pending": "◌ pending",
    "done": "✔ done",
    "failed": "✘ failed",
    "cancelled": "■ cancelled",
    "released": "□ released",
}


@dataclass(frozen=True)
class FutureState:
    """A snapshot of a Future: its ``name``, the process it is on, its state, and the error if it failed with one."""

    name: str
    where: int
    state: str
    error: str = ""

    def html(self) -> str:
        """Return one line."""
        return f"<div><code>{escape(self.name)}</code> {escape(self._rest())}</div>"

    def text(self) -> str:
        """Return one line."""
        return f"{self.name} {self._rest()}"

    def _rest(self) -> str:
        place = "in this process" if self.where == 1 else f"on worker {self.where}"
        error = f": {self.error}" if self.error else ""
        return f"{STATES.get(self.state, self.state)} {place}{error}"
