"""How an error of another process is drawn: frames with their source lines, libraries folded, equal failures as one.

    On worker 2 (host):
    Cell In[4], line 2, in f
          1 def f(x):
    ----> 2     return 1 / x
        [3 frames of numpy folded, the last one in linalg.py:88, solve]

Everything here turns values into pieces of text with a token for the colour; nothing here looks at a process.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]
from pygments.token import Token  # type: ignore[import-untyped]

from pydist_magics._folding import id_ranges

__all__ = [
    "Failure",
    "Frame",
    "Piece",
    "Style",
    "draw_failure",
    "draw_frame",
    "draw_groups",
    "draw_locals",
    "group",
    "id_ranges",
]

Piece = tuple[Any, str]

_MASTER = 1
_AROUND = 2
_WIDTH = 6
_WIDEST_NAME = 20
_MAGIC = re.compile(r"<(\w+)-\d+>\Z")


@dataclass(frozen=True)
class Frame:
    """One line of a traceback, with the names there as short texts."""

    filename: str
    lineno: int
    name: str
    line: str = ""
    locals: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Failure:
    """What went wrong in one process.

    Attributes:
        pid: The process; 0 if it never had an id.
        kind: Name of the exception's class.
        message: Its text.
        frames: Where, outermost first.
        prologue: What led to it, as text.
        host: Where the process runs, if that is known.
        via: The failure is that of another process, which this one had called.
    """

    pid: int
    kind: str
    message: str
    frames: tuple[Frame, ...] = ()
    prologue: str = ""
    host: str = ""
    via: Failure | None = None


@dataclass(frozen=True)
class Style:
    """What drawing depends on.

    Attributes:
        label: Gives the name of a cell for a file that is one ("Cell In[4]"), else None.
        is_library: Says whether a file is not the user's.
        is_machinery: Says whether a file is one of those by which the user's code was called over there.
        fold: Fold the frames of libraries, and leave those of the machinery out.
    """

    label: Callable[[str], str | None]
    is_library: Callable[[str], bool]
    is_machinery: Callable[[str], bool] = lambda filename: False
    fold: bool = True


def draw_failure(failure: Failure, style: Style) -> list[list[Piece]]:
    """Return the parts of one failure: per process a header and its frames; the exception itself is not in it."""
    parts = _draw_places(_draw_process(failure), failure, style)
    return [*parts, *(draw_failure(failure.via, style) if failure.via is not None else ())]


def draw_locals(failure: Failure, style: Style) -> list[list[Piece]]:
    """Return the parts of a failure with the names of each frame in place of the lines around it."""
    parts = [_draw_process(failure)]
    for frame in failure.frames:
        if style.fold and (style.is_machinery(frame.filename) or (style.is_library(frame.filename))):
            continue
        pieces = _draw_place(frame, style)
        if line := linecache.getline(frame.filename, frame.lineno).rstrip("\n") or frame.line:
            pieces += _draw_line(frame.lineno, line, True)
        width = min(max((len(name) for name, _ in frame.locals), default=0), _WIDEST_NAME)
        for name, text in frame.locals:
            pieces += [(Token.VName, f"{'':{_WIDTH + 2}}{name:<{width}}"), (Token, f" = {text}\n")]
        parts.append(pieces)
    return [*parts, *(draw_locals(failure.via, style) if failure.via is not None else ())]


def _draw_process(failure: Failure) -> list[Piece]:
    where = f" ({failure.host})" if failure.host else ""
    name = "process" if failure.pid == _MASTER else "worker"
    return [(Token.ExcName, f"On {name} {failure.pid}{where}:"), (Token, "\n")]


def _draw_places(head: list[Piece], failure: Failure, style: Style) -> list[list[Piece]]:
    """Return ``head`` with what led to the failure and its frames; the head and what follows it are one part."""
    below = [[(Token, failure.prologue)]] if failure.prologue else []
    below += _draw_frames(failure.frames, style)
    return [head + below[0], *below[1:]] if below else [head]


def _draw_frames(frames: Sequence[Frame], style: Style) -> Iterator[list[Piece]]:
    folded: list[Frame] = []
    for frame in frames:
        if style.fold and style.is_machinery(frame.filename):
            continue
        if style.fold and style.is_library(frame.filename):
            folded.append(frame)
            continue
        if folded:
            yield _draw_fold(folded)
            folded = []
        yield draw_frame(frame, style)
    if folded:
        yield _draw_fold(folded)


def _draw_fold(frames: list[Frame]) -> list[Piece]:
    last = frames[-1]
    names = dict.fromkeys(_package(frame.filename) for frame in frames)
    count = f"{len(frames)} frame{'s' * (len(frames) > 1)}"
    at = f"{last.filename.replace(chr(92), '/').rpartition('/')[2]}:{last.lineno}, {last.name}"
    which = "in" if len(frames) == 1 else "the last one in"
    return [(Token.ExcName, f"    [{count} of {', '.join(names)} folded, {which} {at}]"), (Token, "\n")]


def _package(filename: str) -> str:
    parts = filename.replace("\\", "/").split("/")
    for mark in ("site-packages", "dist-packages"):
        if mark in parts[:-1]:
            return parts[parts.index(mark) + 1].removesuffix(".py")
    return "Python"


def draw_frame(frame: Frame, style: Style) -> list[Piece]:
    """Return one frame with the lines around it."""
    pieces = _draw_place(frame, style)
    lines = linecache.getlines(frame.filename)
    if not 0 < frame.lineno <= len(lines):
        # The file is not here; its line came along with the error, if there was one over there.
        if frame.line:
            pieces += _draw_line(frame.lineno, frame.line, True)
        return pieces
    first = max(frame.lineno - _AROUND, 1)
    for number in range(first, min(frame.lineno + _AROUND, len(lines)) + 1):
        pieces += _draw_line(number, lines[number - 1].rstrip("\n"), number == frame.lineno)
    return pieces


def _draw_place(frame: Frame, style: Style) -> list[Piece]:
    pieces: list[Piece]
    if (label := style.label(frame.filename)) is not None:
        pieces = [(Token.NormalEm, f"{label}, "), (Token.FilenameEm, f"line {frame.lineno}")]
    elif match := _MAGIC.match(frame.filename):
        pieces = [(Token.NormalEm, f"%{match[1]}, "), (Token.FilenameEm, f"line {frame.lineno}")]
    else:
        pieces = [(Token.NormalEm, "File "), (Token.FilenameEm, f"{frame.filename}:{frame.lineno}")]
    if not frame.name.startswith("<") or frame.name == "<lambda>":
        pieces += [(Token, ", in "), (Token.VName, frame.name)]
    return [*pieces, (Token, "\n")]


def _draw_line(number: int, line: str, current: bool) -> list[Piece]:
    digits = str(number)
    if current:
        arrow = "-" * max(_WIDTH - len(digits) - 1, 1) + "> "
        start: list[Piece] = [(Token.LinenoEm, arrow + digits), (Token, " ")]
    else:
        start = [(Token.Lineno, digits.rjust(_WIDTH + 1)), (Token, " ")]
    code = [(kind, text) for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(line) if text != "\n"]
    return [*start, *code, (Token, "\n")]


def group(failures: Iterable[Failure]) -> list[list[Failure]]:
    """Return the failures with those together that say the same, in order of the first of each."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.kind, _without_own_id(failure)), []).append(failure)
    return list(groups.values())


def _without_own_id(failure: Failure) -> str:
    # "process 3 was ended by SIGKILL" and "process 4 was …" say the same.
    return re.sub(rf"\b{failure.pid}\b", "#", failure.message)


def draw_groups(groups: Sequence[Sequence[Failure]], style: Style) -> list[list[Piece]]:
    """Return the parts of several failures: ``workers 2-9: ValueError: bad (8x)`` and where the first of them was."""
    parts: list[list[Piece]] = []
    for members in groups:
        first = members[0]
        pids = sorted({member.pid for member in members})
        times = f" ({len(members)}x)" if len(members) > 1 else ""
        head: list[Piece] = [(Token, _who(pids)), (Token.ExcName, first.kind), (Token, f": {first.message}{times}\n")]
        # What follows is the same for all of them, so it has no header of one process.
        parts += _draw_places(head, first, style)
        if first.via is not None:
            parts += draw_failure(first.via, style)
    return parts


def _who(pids: Sequence[int]) -> str:
    """Return how a line begins that is about some processes; 0 is one that never had an id."""
    known = [pid for pid in pids if pid]
    if not known:
        return ""
    name = "process" if _MASTER in known else "worker"
    plural = ("es" if _MASTER in known else "s") if len(known) > 1 else ""
    return f"{name}{plural} {id_ranges(known)}: "
