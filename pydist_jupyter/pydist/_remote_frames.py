"""The frames of a traceback, as they travel."""

from __future__ import annotations

import linecache
import traceback
from types import TracebackType
from typing import NamedTuple

from pydist._locals import locals_of

__all__ = ["RemoteFrame", "frame_text", "frames_of"]


class RemoteFrame(NamedTuple):
    """One line of a remote traceback, and the local names there as short texts."""

    filename: str
    lineno: int
    name: str
    line: str
    locals: tuple[tuple[str, str], ...] = ()


def frame_text(frame: RemoteFrame) -> str:
    """Return a frame in Python's own form."""
    # The source of a notebook cell is known to the notebook's process alone, so a line may be missing until it is here.
    line = frame.line or linecache.getline(frame.filename, frame.lineno).strip()
    text = f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'
    return text + f"    {line}\n" if line else text


#: The names of so many frames go along, the innermost ones: they are what one looks at.
_FRAMES_WITH_NAMES = 12


def frames_of(tb: TracebackType | None, hide: frozenset[str], names: bool = False) -> list[RemoteFrame]:
    """Return the frames of a traceback, without those of the code files in ``hide``; ``names``: with local names."""
    places = traceback.extract_tb(tb)
    frames = [frame for frame, _ in traceback.walk_tb(tb)] if names else []
    known = dict(list(enumerate(frames))[-_FRAMES_WITH_NAMES:])
    return [
        RemoteFrame(
            place.filename, place.lineno or 0, place.name, place.line or "", locals_of(known[i]) if i in known else ()
        )
        for i, place in enumerate(places)
        if place.filename not in hide
    ]
