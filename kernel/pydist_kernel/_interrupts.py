"""Where a press of the interrupt button strikes.

A stock kernel lets SIGINT raise KeyboardInterrupt wherever its main thread is: in the user's code, but also in
IPython's drawing of the traceback and in the sending of the reply, and then the front end waits for that reply for
ever. Here one handler stays installed as long as the kernel lives, and it looks at the stack:

    the user's code             raise KeyboardInterrupt there; IPython shows it and replies
    an await of the cell        cancel the cell's task; the shell shows that as KeyboardInterrupt
    a widget callback, Tab      raise; ipykernel's dispatcher catches it
    IPython around the cell     keep the press; the control thread repeats it until it strikes or the cell is over
    a hook of the cell          the same, but strike there if it takes long (a figure being drawn)
    nothing runs                ignore
"""

from __future__ import annotations

import asyncio
import enum
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ipykernel.comm.manager import CommManager
from ipykernel.kernelbase import Kernel
from IPython.core.events import EventManager
from IPython.core.interactiveshell import InteractiveShell

__all__ = ["InterruptGate"]

# Presses that follow each other this fast are one: the first has just made the cell clean up, which must not be hit.
SAME_PRESS = 0.2
# A hook that holds a press up for this long gets it itself.
PATIENCE = 0.5

_USER_CODE = InteractiveShell.run_code.__code__
_HOOKS = EventManager.trigger.__code__
_REQUESTS = {
    function.__code__
    for function in (CommManager.comm_open, CommManager.comm_msg, Kernel.complete_request, Kernel.inspect_request)
}


class Place(enum.Enum):
    """What an interrupted main thread was doing."""

    USER = "the user's code of a cell"
    HOOK = "a callback that IPython calls before or after a cell"
    REQUEST = "another request that may be broken off"
    ELSEWHERE = "something that must not be broken off"


def place_of(frame: FrameType | None, user_globals: dict[str, Any] | None) -> Place:
    """Say what the thread of ``frame`` was doing, from the innermost function that can take an interrupt."""
    callee: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if callee is not None:
            # run_code also calls IPython's own functions, to show an error: those keep their peace.
            if code is _USER_CODE:
                return Place.USER if callee.f_globals is user_globals else Place.ELSEWHERE
            if code is _HOOKS:
                shows_error = (
                    callee.f_code.co_name == "showtraceback" or callee.f_globals.get("__name__") == "ipykernel.iostream"
                )
                return Place.ELSEWHERE if shows_error else Place.HOOK
            if code in _REQUESTS:
                return Place.REQUEST
        callee, frame = frame, frame.f_back
    return Place.ELSEWHERE


class InterruptGate:
    """The kernel's SIGINT handler, with what it knows of the cell that runs."""

    def __init__(self) -> None:
        #: A cell has been received, and the front end told so, that is not running yet.
        self.coming = False
        #: A cell runs in the main thread.
        self.running = False
        #: A press has struck the cell that runs, or ran last.
        self.struck = False
        #: A press has come that could not strike yet.
        self.pending = False
        #: How often the handler has run.
        self.heard = 0
        self._pending_since = 0.0
        self._struck_at = 0.0
        self._user_globals: dict[str, Any] | None = None
        self._task: asyncio.Future[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def busy(self) -> bool:
        """There is a cell to interrupt."""
        return self.running or self.coming

    def install(self) -> None:
        """Become the handler of SIGINT. In another thread than the main one, where Python forbids it, do nothing."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Keep presses for the cell that a request brings. It is for the main thread, as all that follows."""
        self.struck = self.pending = False
        self.coming = True
        try:
            yield
        finally:
            self.coming = self.pending = False

    @contextmanager
    def cell(self, user_globals: dict[str, Any]) -> Iterator[None]:
        """Let presses through while a cell runs."""
        if not self.coming:
            self.struck = self.pending = False
        self._user_globals = user_globals
        self.running, self.coming = True, False
        try:
            yield
        finally:
            self.running = self.pending = False
            self._user_globals = None

    @contextmanager
    def awaiting(self, task: asyncio.Future[Any]) -> Iterator[None]:
        """Let a press cancel ``task``, which this thread awaits, whenever no code of the user is on the stack."""
        self._loop, self._task = asyncio.get_running_loop(), task
        try:
            yield
        finally:
            self._task = self._loop = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle a press: raise KeyboardInterrupt, or see to it later, or leave it."""
        # Who holds signals back for a while (the runtime does) hands them on without a frame.
        self.heard += 1
        place = place_of(frame or sys._getframe(), self._user_globals)
        task, loop = self._task, self._loop
        now = time.monotonic()
        if not self.busy and task is None:
            if place is Place.REQUEST:
                raise KeyboardInterrupt
        elif self.struck and now - self._struck_at < SAME_PRESS:
            self.pending = False
        elif place is Place.USER:
            self._strike(now)
            raise KeyboardInterrupt
        elif task is not None and loop is not None:
            self._strike(now)
            # A signal handler runs in the loop's own thread but outside its turn: only call_soon_threadsafe wakes it.
            loop.call_soon_threadsafe(task.cancel)
        elif place is Place.HOOK and self.pending and now - self._pending_since > PATIENCE:
            self._strike(now)
            raise KeyboardInterrupt
        elif not self.pending:
            self.pending, self._pending_since = True, now

    def _strike(self, now: float) -> None:
        self.struck, self._struck_at, self.pending = True, now, False
