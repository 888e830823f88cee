"""One view, displayed once or more and kept true until it ends.

       view.snapshot()  ----->  changed?  --model---->  model.push            (a live front end patches its page)
     (pump, end of cell)                  --no model->  update_display_data   (the document itself is replaced)

A live front end gets both: the model many times while things change, the document when a cell ends, so that what is
saved and exported is true without any front end. When nothing has happened for a while the document loses its model
too: a notebook that is opened again tomorrow would say "model not found" where plain html says what was.

Everything a view displays stands under one display id, so however often a table is shown, one message renews it all.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from pydist_widgets._screens import Bundle, Mode, Screen

__all__ = ["Live", "Model", "Snapshot", "View"]

HTML, TEXT = "text/html", "text/plain"


class Snapshot(Protocol):
    """The state of a view at one moment: a value. Equal snapshots look alike."""

    def html(self) -> str:
        """Return html that reads well without a style sheet."""

    def text(self) -> str:
        """Return plain text."""


class View(Protocol):
    """Something that changes."""

    def snapshot(self) -> Snapshot:
        """Return the present state, from any thread, cheaply."""

    @property
    def ended(self) -> bool:
        """Whether it will never change again. Read before the last snapshot is taken."""


class Model(Protocol):
    """The kernel's half of a live view."""

    def bundle(self) -> Bundle:
        """Return the media type that makes a front end draw this model."""

    def push(self, snapshot: Any) -> None:
        """Let every front end draw ``snapshot``."""

    def close(self) -> None:
        """End it."""


class Live:
    """Keeps what is displayed of ``view`` true.

    ``make_model`` makes the model for a live front end, or None if that cannot be. Without it the view is html at all
    times, which is enough for what has no buttons and soon ends. ``has_buttons``: the model stays in the document.
    """

    def __init__(
        self,
        view: View,
        screen: Screen,
        make_model: Callable[[Any], Model | None] | None = None,
        *,
        has_buttons: bool = False,
    ) -> None:
        self.view = view
        self._screen = screen
        self._make_model = make_model
        self._has_buttons = has_buttons
        self._display_id = f"pydist-{uuid.uuid4().hex}"
        self._lock = threading.RLock()
        self._model: Model | None = None
        self._model_shown = False
        # What the front end draws, and what stands in the document.
        self._drawn: Snapshot | None = None
        self._stored: Snapshot | None = None

    def show(self) -> None:
        """Display it in the cell that runs now."""
        with self._lock:
            snapshot = self.view.snapshot()
            if self._model is not None:
                self._model.push(snapshot)
            elif self._make_model is not None and self._screen.mode is Mode.WIDGET:
                self._model = self._make_model(snapshot)
            self._model_shown = self._model is not None
            self._screen.display(self._bundle(snapshot), self._display_id)
            self._drawn = self._stored = snapshot

    def refresh(self) -> bool:
        """Bring what is seen up to date; return whether there was something to change."""
        with self._lock:
            snapshot = self.view.snapshot()
            if snapshot == self._drawn:
                return False
            if self._model is None:
                return self._store(snapshot)
            self._model.push(snapshot)
            self._drawn = snapshot
            if not self._model_shown:
                self._model_shown = True
                self._store(snapshot)
            return True

    def settle(self) -> bool:
        """Bring the document up to date too; return whether there was something to change."""
        with self._lock:
            changed = self.refresh()
            if self._drawn is not None and self._drawn != self._stored:
                self._store(self._drawn)
            return changed

    def rest(self) -> bool:
        """Leave plain html if there is nothing to change; return whether there was."""
        with self._lock:
            if self.refresh():
                return True
            self.settle()
            if self._model_shown and not self._has_buttons:
                self._take_model_away()
            return False

    @property
    def settled(self) -> bool:
        """Whether the document shows the present state."""
        return self.view.snapshot() == self._stored

    def close(self) -> None:
        """Leave plain html for good."""
        with self._lock:
            if self._model_shown:
                self._take_model_away()
            if self._model is not None:
                self._model.close()
                self._model = None

    def _take_model_away(self) -> None:
        self._model_shown = False
        if self._drawn is not None:
            self._store(self._drawn)

    def _store(self, snapshot: Snapshot) -> bool:
        if not self._screen.update(self._bundle(snapshot), self._display_id):
            return False
        self._drawn = self._stored = snapshot
        return True

    def _bundle(self, snapshot: Snapshot) -> Bundle:
        if self._screen.mode is Mode.TEXT:
            return {TEXT: snapshot.text()}
        bundle = {HTML: snapshot.html(), TEXT: snapshot.text()}
        return {**self._model.bundle(), **bundle} if self._model is not None and self._model_shown else bundle
