"""IPython's shell in our kernel."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Any

from ipykernel import zmqshell

__all__ = ["ZMQInteractiveShell"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


# It keeps the name of its parent: libraries (rich, tqdm, many more) find out by that name that this is a notebook.
class ZMQInteractiveShell(zmqshell.ZMQInteractiveShell):
    """The shell of the pydist kernel: knows an interrupt when it sees one."""

    def showtraceback(
        self,
        exc_tuple: Any = None,
        filename: str | None = None,
        tb_offset: int | None = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        """Show an error. If it ended an interrupted cell, stop what the cell had started, and say so."""
        stopped = ""
        if running_compiled_code and self.kernel.interrupts.struck:
            raised = exc_tuple or sys.exc_info()
            exc_tuple = _as_interrupt(*raised)
            if exc_tuple[0] is not raised[0] and issubclass(exc_tuple[0], self.custom_exceptions):
                self.CustomTB(*exc_tuple)  # as if it had been raised as such; that comes back here
                return
            stopped = self.kernel.stop_calls_of_cell()
        super().showtraceback(exc_tuple, filename, tb_offset, exception_only, running_compiled_code)
        if stopped:
            sys.stderr.write(stopped + "\n")


def _as_interrupt(kind: Any, value: BaseException, traceback: TracebackType | None) -> _ExcInfo:
    """Return what the user did, not how it was done: a cell that awaits is interrupted by cancelling its task."""
    if not isinstance(value, asyncio.CancelledError):
        return kind, value, traceback
    return KeyboardInterrupt, KeyboardInterrupt().with_traceback(traceback), traceback
