"""Keeping an interrupt away while bytes are in hand.

KeyboardInterrupt may strike between any two instructions. Between "received" and "dispatched" that would lose
messages, so whoever touches a stream puts up a shield first. Under a shield an interrupt is only noted (and the poll it
may sit in is woken); it is raised when the shield comes down.

    main thread       SIGINT   -> our handler: shield up? note it, wake up : what the handler before us would do
    other lanes       strike() -> shield up or asleep? note it, wake up : asynchronous exception
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import signal
import sys
import threading
import time
from _thread import LockType, get_ident
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = [
    "LOOK",
    "MAIN",
    "Shield",
    "install",
    "install_for_lane",
    "press_again_if_swallowed",
    "shield_of_this_thread",
    "strike",
    "strike_again_if_swallowed",
]

# The C functions: those of `signal` wrap each handler in an enum, which costs more than all the rest here.
_getsignal, _SIGINT = _signal.getsignal, int(signal.SIGINT)
#: The main thread sleeps no longer than this at a stretch (seconds). A signal that comes after Python has looked for
#: signals and before the system call has begun would else be noticed when the sleep ends, and not before.
LOOK = 0.25


class Shield:
    """The shield of one thread."""

    __slots__ = ("depth", "doomed", "lock", "owner", "pending", "sleeping", "thread", "up", "wake_r", "wake_w")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.up = False
        #: How many times it was put up when it was up already.
        self.depth = 0
        #: The call that runs in this thread; an interrupt is meant for a call, not for a thread.
        self.owner: object = None
        #: An interrupt came while the shield was up.
        self.pending = False
        #: An asynchronous exception is on its way to this thread.
        self.doomed = False
        #: The lock on which the thread sleeps under its shield, for `strike` to open.
        self.sleeping: LockType | None = None
        self.lock = threading.Lock()
        self.wake_r = self.wake_w = -1

    def raise_(self) -> None:
        """Put the shield up; each `raise_` needs its `lower`. What is already on its way is let in first."""
        if self.up:
            self.depth += 1
            return
        if self.thread == MAIN.thread:
            install()
            self.up = True
            return
        with self.lock:
            self.up = not self.doomed
        for _ in range(100):
            if self.up:
                return
            time.sleep(0)  # the exception strikes here, where nothing is in hand
        # It has struck already, and the code that it hit has caught it.
        self.up, self.doomed = True, False

    def lower(self) -> None:
        """Take it down, and raise what came meanwhile."""
        if self.depth:
            self.depth -= 1
            return
        self.up = False
        if self.pending:
            self.pending = False
            self.doomed = False
            self.drain()
            if self.thread == MAIN.thread:
                _previous(signal.SIGINT, None)
            raise KeyboardInterrupt

    def open(self, owner: object) -> None:
        """Let interrupts in while ``owner`` runs: the other way round, for threads that are shielded by default."""
        self.owner = owner
        self.pending = self.doomed = False
        self.depth = 0
        self.up = False

    def close(self) -> None:
        """``owner`` has ended: keep interrupts away again, also the one that is on its way."""
        try:
            if self.thread != MAIN.thread:
                with self.lock:
                    self.up = not self.doomed
                for _ in range(100):  # an asynchronous exception comes within a few instructions, or was here already
                    if self.up:
                        break
                    time.sleep(0)
        except KeyboardInterrupt:
            self.up = True
        self.up = True
        self.owner = None
        if self.pending:
            self.drain()  # or the next wait in this thread would be woken for ever
        self.pending = self.doomed = False

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        """The thread has ended."""  # or the interpreter, in which case `os` may be gone before
        if self.wake_r >= 0:
            close(self.wake_r)
            close(self.wake_w)

    def wake_fd(self) -> int:
        """Return a descriptor that becomes readable when an interrupt comes under the shield."""
        if self.wake_r < 0:
            self.wake_r, self.wake_w = os.pipe()
            os.set_blocking(self.wake_r, False)
            os.set_blocking(self.wake_w, False)
        return self.wake_r

    def wake(self) -> None:
        """Wake the poll that watches `wake_fd`, or the lock the thread sleeps on."""
        if self.wake_w >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self.wake_w, b"x")
        lock = self.sleeping
        if lock is not None:
            self.sleeping = None
            with contextlib.suppress(RuntimeError):  # it was open already
                lock.release()

    def drain(self) -> None:
        """Empty the wake-up pipe."""
        if self.wake_r >= 0:
            with contextlib.suppress(BlockingIOError):
                while os.read(self.wake_r, 64):
                    pass


MAIN = Shield(threading.main_thread().ident or 0)
_local = threading.local()


def shield_of_this_thread() -> Shield:
    """Return the shield of the calling thread."""
    ident = get_ident()
    if ident == MAIN.thread:
        return MAIN
    try:
        return _local.shield  # type: ignore[no-any-return]
    except AttributeError:
        shield = _local.shield = Shield(ident)
        return shield


def strike(shield: Shield, owner: object) -> None:
    """Interrupt ``owner`` in the thread of ``shield``: at once, or when its shield comes down. Not if it has ended."""
    if shield is MAIN:
        _targets.append(owner)
        signal.pthread_kill(shield.thread, signal.SIGINT)
        threading.Thread(target=_insist, args=(owner,), name="pydist-interrupt", daemon=True).start()
        return
    with shield.lock:
        if shield.owner is not owner:
            return
        if shield.up:
            shield.pending = True
            shield.wake()
        elif not shield.doomed:
            shield.doomed = True
            _raise_in(shield.thread, KeyboardInterrupt)


def _insist(owner: object) -> None:
    """Repeat a signal until its handler has run.

    One that comes between Python's look for signals and the system call that follows does not wake that call.
    """
    delay = 0.005
    while delay < 10:
        _nap(delay)
        if not any(target is owner for target in _targets):
            return
        signal.pthread_kill(MAIN.thread, signal.SIGINT)
        delay *= 2


_nap = time.sleep  # a worker puts a sleep of its own in its place

# ---- the main thread's signal

_state: dict[str, Any] = {"handler": signal.default_int_handler, "struck": 0.0, "lane": False}
#: The calls that SIGINT is meant for, on a worker.
_targets: list[object] = []
#: Signals that follow each other within this time (seconds) are one.
_SAME_PRESS = 0.05
#: A press that was swallowed is repeated after this time (seconds).
_AGAIN = 0.25


def _previous(signum: int, frame: FrameType | None) -> None:
    _state["handler"](signum, frame)


def _on_sigint(signum: int, frame: FrameType | None) -> None:
    if MAIN.up:
        MAIN.pending = True
        MAIN.wake()
    else:
        _previous(signum, frame)


def install() -> None:
    """Put our SIGINT handler in front of whatever is there; only the main thread can, and only if it must.

    ipykernel sets its own handler anew for each request, so this is asked before each wait: 60 ns when there is
    nothing to do.
    """
    if _state["lane"]:
        return
    handler = _getsignal(_SIGINT)
    if handler is _on_sigint or not callable(handler):
        return
    _state["handler"] = handler
    signal.signal(signal.SIGINT, _on_sigint)


def install_for_lane(interrupt_all: Callable[[], None]) -> None:
    """Handle SIGINT on a worker: one that `strike` sent is for its target alone, one from outside for all that runs."""

    def on_sigint(signum: int, frame: FrameType | None) -> None:
        targets = list(_targets)
        _targets.clear()
        if not targets and time.monotonic() - _state["struck"] > _SAME_PRESS:
            # From outside (kill -INT). Two strikes may come as two signals, of which the first has done all.
            interrupt_all()
            targets = [MAIN.owner]
        _state["struck"] = time.monotonic()
        if MAIN.owner is None or not any(MAIN.owner is target for target in targets):
            return
        if MAIN.up:
            MAIN.pending = True
            MAIN.wake()
        else:
            raise KeyboardInterrupt

    _state["handler"] = _raise
    _state["lane"] = True
    signal.signal(signal.SIGINT, on_sigint)


def strike_again_if_swallowed() -> None:
    """Repeat an interrupt that came while an object was being destroyed: Python reports it and goes on."""
    report = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        shield = shield_of_this_thread()
        owner = shield.owner
        if owner is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Not from in here, where it would be swallowed once more.
            shield.doomed = False
            timer = threading.Timer(0.002, strike, (shield, owner))
            timer.daemon = True
            timer.start()
        else:
            report(unraisable)

    sys.unraisablehook = hook


def press_again_if_swallowed() -> None:
    """The same for the main thread of a process whose Ctrl-C is its user's; asked for again it does no more."""
    report = sys.unraisablehook
    if report is _state.get("hook"):
        return

    def hook(unraisable: Any) -> None:
        if get_ident() == MAIN.thread and issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Later than what counts as the same press (the kernel's is 0.2 s).
            timer = threading.Timer(_AGAIN, signal.pthread_kill, (MAIN.thread, signal.SIGINT))
            timer.daemon = True
            timer.start()
        else:
            report(unraisable)

    _state["hook"] = sys.unraisablehook = hook


def _raise(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def sleep_on(lock: LockType, timeout: float | None) -> bool:
    """Acquire a lock that another thread will release, in any lane; return whether that happened in time.

    Raises:
        KeyboardInterrupt: an interrupt came.
    """
    shield = shield_of_this_thread()
    if shield is MAIN:
        install()
    deadline = None if timeout is None else time.monotonic() + timeout
    shield.raise_()
    shield.sleeping = lock
    try:
        while not shield.pending:  # it may have come when there was no lock yet that it could have opened
            left = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
            if shield is MAIN and not 0 <= left <= LOOK:
                left = LOOK
            if lock.acquire(True, left):
                return not shield.pending
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return False
    finally:
        shield.sleeping = None
        shield.lower()


def _raise_in(thread: int, exception: type[BaseException]) -> None:
    import ctypes  # slow to import, and needed by those alone that run calls of others

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))
