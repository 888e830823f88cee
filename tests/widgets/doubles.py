"""A view, a model and a screen that remember what was done to them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from pydist_widgets._screens import Bundle, Mode

__all__ = ["FakeModel", "FakeScreen", "FakeView", "Word"]


@dataclass(frozen=True)
class Word:
    """A snapshot that is one word."""

    word: str

    def html(self) -> str:
        return f"<p>{self.word}</p>"

    def text(self) -> str:
        return self.word


@dataclass(eq=False)
class FakeView:
    """A view whose state the test sets. ``looked`` is set whenever somebody takes a snapshot."""

    word: str
    ended: bool = False
    looked: threading.Event = field(default_factory=threading.Event)

    def snapshot(self) -> Word:
        self.looked.set()
        return Word(self.word)


@dataclass
class FakeModel:
    pushed: list[str] = field(default_factory=list)
    closed: bool = False

    def bundle(self) -> Bundle:
        return {"model": "live"}

    def push(self, snapshot: Any) -> None:
        self.pushed.append(snapshot.word)

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeScreen:
    """A front end that keeps the document. ``heard`` is set with each message."""

    mode: Mode = Mode.HTML
    watched: bool = False
    running: bool = True
    receives: bool = True
    shown: list[Bundle] = field(default_factory=list)
    updates: list[Bundle] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    heard: threading.Event = field(default_factory=threading.Event)

    def display(self, bundle: Bundle, display_id: str) -> None:
        self.shown.append(bundle)
        self.ids.add(display_id)
        self.heard.set()

    def update(self, bundle: Bundle, display_id: str) -> bool:
        if not self.receives:
            return False
        self.updates.append(bundle)
        self.ids.add(display_id)
        self.heard.set()
        return True

    @property
    def document(self) -> Bundle:
        """What stands there now, everywhere: there is one display id."""
        return (self.updates or self.shown)[-1]
