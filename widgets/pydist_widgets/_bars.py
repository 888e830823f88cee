"""The progress bars of a notebook: one for each pmap, but not a thousand in one cell."""

from __future__ import annotations

import threading

from pydist_widgets._cells import Cells
from pydist_widgets._live import Live
from pydist_widgets._pump import Pump
from pydist_widgets._screens import Screen
from pydist_widgets._views import ProgressMeter

__all__ = ["Bars"]

# An iteration that calls pmap in each step would bury its results under bars.
PLACES = 5


class Bars:
    """Gives each pmap of a cell a place of its own; when the places are full, the last one is used again."""

    def __init__(self, screen: Screen, pump: Pump, cells: Cells) -> None:
        self._screen = screen
        self._pump = pump
        self._cells = cells
        self._lock = threading.Lock()
        self._cell = cells.count
        self._begun = 0
        self._last: Live | None = None

    def meter(self, label: str, total: int | None) -> ProgressMeter:
        """Display the progress of a pmap that begins now."""
        with self._lock:
            if self._cell != self._cells.count:
                self._cell, self._begun, self._last = self._cells.count, 0, None
            self._begun += 1
            if self._last is not None and self._begun > PLACES and self._last.view.ended:
                meter = ProgressMeter(f"{label} (no. {self._begun} in this cell)", total)
                # The pump shows as many of them as the eye can follow, and the cell's end the last.
                self._pump.add(self._last, meter)
                return meter
            meter = ProgressMeter(label, total)
            live = self._last = Live(meter, self._screen)
        live.show()
        # The end is told at once, by the thread that runs the pmap: the cell may go on for long.
        meter.on_change = lambda: live.settle() if meter.ended else None
        self._pump.add(live)
        return meter
