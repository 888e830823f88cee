"""Errors of workers in cells: IPython shows what happened here, and below it what happened there."""

from __future__ import annotations

import contextlib
import sysconfig
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import TYPE_CHECKING, Any

import IPython
from IPython.utils.PyColorize import theme_table

import pydist
import pydist_magics
from pydist_magics._drawing import Failure, Frame, Piece, Style, draw_failure, draw_groups, group
from pydist_magics._sources import CellSyntaxError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["ErrorView"]

_SHOWN = (pydist.DistributedError, pydist.CompositeException, CellSyntaxError)

_LIBRARIES = tuple({str(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OURS = tuple(str(Path(str(package.__file__)).parent) for package in (pydist, pydist_magics, IPython))


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
    """Shows the errors that pydist raises in the cells of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        #: Fold frames of libraries and equal failures.
        self.fold = True
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
        _show(shell, kind, error, tb, self.lines(error, tb, fold=self.fold))

    def lines(self, error: BaseException, tb: TracebackType | None, *, fold: bool = True) -> list[str]:
        """Return the error as the parts of a traceback in IPython's form."""
        shell = self._shell
        style = Style(self._label, is_library, is_machinery, fold)
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
            type(stand_in), stand_in, _users(tb) if fold else tb, tb_offset=0
        )
        return [*here[:-1], *(self._colour(part) for part in there), *here[-1:]]

    def _label(self, filename: str) -> str | None:
        label = self._shell.compile.format_code_name(filename)
        return None if label is None else " ".join(label)

    def _colour(self, pieces: list[Piece]) -> str:
        name = self._shell.colors
        if name.lower() == "nocolor":
            return "".join(text for _, text in pieces)
        text: str = theme_table[name].format(pieces)
        return text


def _show(shell: Any, kind: type[BaseException], error: BaseException, tb: TracebackType, lines: list[str]) -> None:
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


def _users(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of IPython, pydist and what they call."""
    kept: list[TracebackType] = []
    while tb is not None:
        if not tb.tb_frame.f_code.co_filename.startswith(_OURS):
            kept.append(tb)
        tb = tb.tb_next
    while kept and is_library(kept[-1].tb_frame.f_code.co_filename):
        kept.pop()  # concurrent.futures, threading: how the waiting is done
    result: TracebackType | None = None
    for one in reversed(kept):
        result = TracebackType(result, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return result


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
        here = tuple(Frame(f.filename, f.lineno or 0, f.name, f.line or "") for f in extract_tb(error.__traceback__))
        return Failure(pydist.myid(), type(error).__name__, str(error), here)
    inner = error.captured.ex
    via = _failure(inner) if isinstance(inner, pydist.RemoteException) else None
    if via is not None:
        kind, message = via.kind, via.message
    elif hasattr(inner, "type_name"):
        # It stands for one whose class is not known here.
        kind, message = str(inner.type_name).rpartition(".")[2], str(getattr(inner, "text", ""))
    else:
        kind, message = type(inner).__name__, str(inner)
    captured = error.captured
    frames = tuple(Frame(*frame) for frame in captured.frames)
    return Failure(error.pid, kind, message, frames, captured.prologue, _host(error.pid), via)


def _host(pid: int) -> str:
    try:
        return str(pydist.worker_info(pid).host)
    except Exception:  # it is gone, or was never known here
        return ""
