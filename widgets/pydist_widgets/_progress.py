"""How far a pmap is."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from pydist_widgets._units import duration, rate

__all__ = ["RUNNING", "Progress"]

RUNNING = "running"
STATES = {RUNNING: "▶ running", "done": "✔ done", "failed": "✘ failed", "interrupted": "■ interrupted"}

_BAR = 24
# Before this there is nothing to extrapolate from.
_GUESS_AFTER = 1.0


@dataclass(frozen=True)
class Progress:
    """A snapshot of one pmap: ``finished`` items, of which ``failed`` failed, of ``total`` (None: not known yet)."""

    label: str
    finished: int = 0
    failed: int = 0
    total: int | None = None
    elapsed: float = 0.0
    state: str = RUNNING

    def html(self) -> str:
        """Return a line with a progress bar."""
        if self.total is not None:
            value = f' max="{max(self.total, 1)}" value="{self.finished if self.total else 1}"'
        else:  # a bar without a value moves by itself; one that has ended must not
            value = "" if self.state == RUNNING else f' max="1" value="{int(self.state == "done")}"'
        label = escape(self.label)
        # The text inside shows where a front end strips the tag.
        bar = f'<progress{value} aria-label="{label}">{self._bar()}</progress>'
        return f"<div><b>{label}</b> {bar} {self._state()} · {escape(' · '.join(self._facts()))}</div>"

    def text(self) -> str:
        """Return a line with a bar of characters."""
        return f"{self.label} {self._bar()} {self._state()} · {' · '.join(self._facts())}"

    def _state(self) -> str:
        return STATES.get(self.state, self.state)

    def _bar(self) -> str:
        if self.total is None:
            filled = _BAR if self.state == "done" else 0
        else:
            filled = _BAR * self.finished // self.total if self.total else _BAR
        return "[" + "#" * filled + "-" * (_BAR - filled) + "]"

    def _facts(self) -> list[str]:
        facts = [f"{self.finished}" if self.total is None else f"{self.finished}/{self.total}"]
        if self.failed:
            facts.append(f"{self.failed} failed")
        facts.append(duration(self.elapsed))
        if self.finished:
            facts.append(rate(self.finished, self.elapsed))
        if self.state == RUNNING and self.total is not None and self.finished and self.elapsed >= _GUESS_AFTER:
            left = self.elapsed / self.finished * (self.total - self.finished)
            facts.append(f"about {duration(left)} left")
        return facts
