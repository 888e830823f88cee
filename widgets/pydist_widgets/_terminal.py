"""The progress of a pmap in a terminal: one line that is written over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pydist_widgets._views import ProgressMeter

__all__ = ["follow"]

PERIOD = 0.1
ERASE_REST = "\x1b[K"


def follow(meter: ProgressMeter, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
    """Write the state of ``meter`` to ``stream`` as it changes; if that is no terminal, only the end of it.

    It is written by the thread that runs the pmap and by no other, so it never breaks into a line being typed.
    """
    overwrite = stream.isatty()
    written = -PERIOD

    def write() -> None:
        nonlocal written
        now = clock()
        if meter.ended:
            start = "\r" if overwrite else ""
            stream.write(start + meter.snapshot().text() + (ERASE_REST if overwrite else "") + "\n")
        elif overwrite and now - written >= PERIOD:
            stream.write("\r" + meter.snapshot().text() + ERASE_REST)
            written = now
        stream.flush()

    meter.on_change = write
    write()
