"""Errors of workers in cells: IPython shows what happened here, and below it what happened there."""

from __future__ import annotations

import contextlib
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from traceback import FrameSummary, extract_tb, walk_tb
from types import TracebackType
from typing import TYPE_CHECKING, Any

from IPython.utils.PyColorize import theme_table

import pydist
from pydist._errors import words_of
from pydist._locals import locals_of
from pydist_magics._drawing import (
    Failure,
    Frame,
    Piece,
    Style,
    draw_failure,
    draw_frame,
    draw_groups,
    draw_locals,
    group,
)
from pydist_magics._sources import CellSyntaxError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["ErrorView", "leave_machinery_out"]

_SHOWN = (pydist.DistributedError, pydist.CompositeException, CellSyntaxError, KeyboardInterrupt)


def _folder(package: str) -> str:
    spec = find_spec(package)
    assert spec is not None
    return str(Path(str(spec.origin)).parent)


# Under this name an error remembers the frames that are not shown.
_LEFT_OUT = "_pydist_left_out"
_LIBRARIES = tuple({str(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# The kernel and the widgets are not imported: they may not be in use.
_OURS = tuple(map(_folder, ("pydist", "pydist_magics", "pydist_kernel", "pydist_widgets", "IPython")))
_KERNEL = _folder("pydist_kernel")


def is_library(filename: str) -> bool:
    """Say whether a file is Python's or an installed package's, on this machine or another."""
    if filename.startswith("<"):
        return filename.startswith("<frozen")
    parts = filename.replace("\\", "/").split("/")
    return filename.startswith(_LIBRARIES) or "site-packages" in parts or "dist-packages" in parts


def is_machinery(filename: str) -> bool:
    """Say whether a file is part of pydist, here or on another machine."""
    return filename.startswith(_OURS) or "/site-packages/pydist/" in filename.replace("\\", "/")


class ErrorView:
    """Shows the errors that pydist raises in the cells of one shell, and interrupts, which mostly find it waiting."""

    def __init__(self, shell: InteractiveShell) -> None:
        #: Fold frames of libraries and equal failures.
        self.fold = True
        #: The last error shown.
        self.last: BaseException | None = None
        self._shell = shell
        self._before: tuple[tuple[Any, ...], Any] | None = None
        self._installed: object = None

    def install(self) -> None:
        """Take over the showing of our exceptions; others go where they went before."""
        shell = self._shell
        self._before = (shell.custom_exceptions, getattr(shell, "CustomTB", None))
        shell.set_custom_exc((*_SHOWN, *shell.custom_exceptions), self._handle)
        self._installed = shell.CustomTB

    def remove(self) -> None:
        """Give the place back, unless somebody else has taken it since."""
        shell = self._shell
        if self._before is not None and shell.CustomTB is self._installed:
            shell.custom_exceptions, shell.CustomTB = self._before
        self._before = self._installed = None

    def _handle(
        self,
        shell: Any,
        kind: type[BaseException],
        error: BaseException,
        tb: TracebackType,
        tb_offset: int | None = None,
    ) -> None:
        if not isinstance(error, _SHOWN):
            if self._before is not None and self._before[1] is not None:
                self._before[1](kind, error, tb, tb_offset=tb_offset)
            return
        if isinstance(error, CellSyntaxError):
            lines = shell.SyntaxTB.structured_traceback(SyntaxError, error, [])
            _show(shell, SyntaxError, error, tb, lines)
            return
        leave_machinery_out(error)
        self.last = error
        _show(shell, kind, error, error.__traceback__, self.lines(error, fold=self.fold))

    def lines(self, error: BaseException, *, fold: bool = True) -> list[str]:
        """Return the error as the parts of a traceback in IPython's form."""
        shell = self._shell
        style = self._style(fold)
        if isinstance(error, pydist.CompositeException):
            failures = _failures(error)
            groups = group(failures) if fold else [[failure] for failure in failures]
            there = draw_groups(groups, style)
            kind, message = type(error).__name__, error.message
        elif isinstance(error, pydist.RemoteException):
            failure = _failure(error)
            there = draw_failure(failure, style)
            kind, message = failure.kind, failure.message
        else:
            there = []
            kind, message = type(error).__name__, str(error)
        # The stand-in has neither the cause nor the notes, which say for a plain terminal what is drawn below.
        stand_in = type(kind, (Exception,), {})(message)
        here: list[str] = shell.InteractiveTB.structured_traceback(
            type(stand_in), stand_in, error.__traceback__, tb_offset=0
        )
        left_out = () if fold else getattr(error, _LEFT_OUT, ())
        between = [*(draw_frame(frame, style) for frame in left_out), *there]
        return [*here[:-1], *(self._colour(part) for part in between), *here[-1:]]

    def names(self, error: BaseException, pid: int | None = None) -> list[str]:
        """Return the frames of other processes with the names in them; of all processes, or of one.

        Equal failures of several processes have names of their own, so none is folded.
        """
        if not isinstance(error, (pydist.RemoteException, pydist.CompositeException)):
            return []
        style = self._style(True)
        failures = [failure for failure in _failures(error) if any(one.frames for one in _chain(failure))]
        chosen = [failure for failure in failures if pid is None or pid in {one.pid for one in _chain(failure)}]
        return [self._colour(part) for failure in chosen for part in draw_locals(failure, style)]

    def _style(self, fold: bool) -> Style:
        return Style(self._label, is_library, is_machinery, fold)

    def _label(self, filename: str) -> str | None:
        label = self._shell.compile.format_code_name(filename)
        return None if label is None else " ".join(label)

    def _colour(self, pieces: list[Piece]) -> str:
        name = self._shell.colors
        if name.lower() == "nocolor":
            return "".join(text for _, text in pieces)
        text: str = theme_table[name].format(pieces)
        return text


def _show(
    shell: Any, kind: type[BaseException], error: BaseException, tb: TracebackType | None, lines: list[str]
) -> None:
    """Show ``lines`` as the traceback of ``error``, by the way that a kernel may have changed if possible."""
    if isinstance(error, SyntaxError) or _in_group(error):
        # showtraceback has its own idea of these and would not ask.
        with contextlib.suppress(ValueError):
            shell._get_exc_info((kind, error, tb))  # remembers it for %debug
        shell._showtraceback(kind, error, lines)
        if shell.call_pdb:
            shell.debugger(force=True)
        return
    render: Callable[[], list[str]] = lambda: lines  # noqa: E731
    error._render_traceback_ = render  # type: ignore[attr-defined]
    try:
        shell.showtraceback((kind, error, tb), running_compiled_code=True)
    finally:
        with contextlib.suppress(AttributeError):
            del error._render_traceback_  # type: ignore[attr-defined]


def _in_group(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return True
        error = error.__context__
    return False


def leave_machinery_out(error: BaseException) -> None:
    """Take the frames of IPython, pydist and what they call out of an error's traceback, and of those it came from.

    Nobody wants to see them; and Python keeps the last traceback, whose frames would keep Futures alive. What they
    were is noted as text, for those who do want to.
    """
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        _trim(one)
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


def _trim(error: BaseException) -> None:
    frames: list[TracebackType] = []
    tb = error.__traceback__
    while tb is not None:
        frames.append(tb)
        tb = tb.tb_next
    files = [one.tb_frame.f_code.co_filename for one in frames]
    ours = [file.startswith(_OURS) for file in files]
    if not any(ours):
        return
    last = max((i for i, file in enumerate(files) if not ours[i] and not is_library(file)), default=-1)
    # A signal is heard in the kernel, whatever it interrupts.
    end = next((i + 1 for i in reversed(range(len(files))) if not files[i].startswith(_KERNEL)), 0)
    # Behind one of ours there is how the waiting is done: threading, concurrent.futures.
    waits = any(ours[last + 1 : end])
    kept = [i for i in range(len(frames)) if not ours[i] and (i <= last or not waits)]
    left_out = [_frame(place) for i, place in enumerate(extract_tb(error.__traceback__)) if i not in kept]
    result: TracebackType | None = None
    for i in reversed(kept):
        one = frames[i]
        result = TracebackType(result, one.tb_frame, one.tb_lasti, one.tb_lineno)
    error.__traceback__ = result
    with contextlib.suppress(AttributeError, TypeError):  # an exception of the user's may refuse attributes
        setattr(error, _LEFT_OUT, (*left_out, *getattr(error, _LEFT_OUT, ())))


def _frame(place: FrameSummary) -> Frame:
    return Frame(place.filename, place.lineno or 0, place.name, place.line or "")


def _chain(failure: Failure | None) -> Iterator[Failure]:
    while failure is not None:
        yield failure
        failure = failure.via


def _failures(error: BaseException) -> list[Failure]:
    if isinstance(error, BaseExceptionGroup):
        return [failure for inner in error.exceptions for failure in _failures(inner)]
    return [_failure(error)]


def _failure(error: BaseException) -> Failure:
    """Return what ``error`` says about another process."""
    if isinstance(error, pydist.DistributedError) and not isinstance(error, pydist.RemoteException):
        return Failure(getattr(error, "pid", 0) or 0, type(error).__name__, str(error))
    if not isinstance(error, pydist.RemoteException):
        # Where several processes run the same code, one of them may be this one.
        tb = error.__traceback__
        names = [locals_of(frame) for frame, _ in walk_tb(tb)]
        here = tuple(replace(_frame(place), locals=found) for place, found in zip(extract_tb(tb), names, strict=False))
        return Failure(pydist.myid(), type(error).__name__, str(error), here)
    inner = error.captured.ex
    via = _failure(inner) if isinstance(inner, pydist.RemoteException) else None
    if via is not None:
        kind, message = via.kind, via.message
    elif hasattr(inner, "type_name"):
        # It stands for one whose class is not known here.
        kind, message = str(inner.type_name).rpartition(".")[2], str(getattr(inner, "text", ""))
    else:
        kind, message = type(inner).__name__, words_of(inner, error.pid)
    captured = error.captured
    frames = tuple(Frame(*frame) for frame in captured.frames)
    return Failure(error.pid, kind, message, frames, captured.prologue, _host(error.pid), via)


def _host(pid: int) -> str:
    try:
        return str(pydist.worker_info(pid).host)
    except Exception:  # it is gone, or was never known here
        return ""
