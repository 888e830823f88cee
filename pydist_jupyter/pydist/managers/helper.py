"""The helper process that forks the workers of this host, seen from the master.

It is started once for each kind of interpreter, with the imports done, and stays: a worker is then a fork away. Its
other half is _runtime/prefork.py.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from pydist._errors import LaunchWorkerError
from pydist.managers.base import worker_environment

__all__ = ["AT_ONCE", "Helper", "close_helpers", "drop", "helper_for", "prepare"]

T = TypeVar("T")
#: How many workers can be ordered by one message: the system passes 253 file descriptors at once, each takes three.
AT_ONCE = 64
_LENGTH = struct.Struct("<I")
#: These are read by the interpreter or the loader when a process starts: another value needs a helper of its own.
_NEEDS_EXEC = ("PYTHON", "LD_", "DYLD_", "MALLOC_")
# Collecting garbage while modules are loaded finds none, and takes a tenth of the time.
_PROGRAM = (
    "import gc; gc.disable(); import sys; sys.path[:0] = sys.argv[2:]; "
    "from pydist._runtime.prefork import main; main(int(sys.argv[1]))"
)


class Helper:
    """A helper process. Safe from any thread."""

    def __init__(self, exename: str, exeflags: Sequence[str], env: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._sock = ours
        #: How many workers it has forked.
        self.forked = 0
        self._sending = threading.Lock()
        #: Guards the rest; who waits for news either reads them, or waits here until somebody has read some.
        self._news = threading.Condition()
        self._reading = False
        self._gone = False
        self._tail = b""
        self._next_ticket = 0
        #: What became of an order, by its ticket.
        self._answers: dict[int, dict[str, Any]] = {}
        self._ended: dict[int, tuple[int | None, int | None]] = {}
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.command = [exename, *exeflags, "-c", _PROGRAM, str(theirs.fileno()), root]
        self._said, said = os.pipe()
        import subprocess  # slow to import, and needed here alone

        try:
            self.process = subprocess.Popen(
                self.command,
                pass_fds=[theirs.fileno()],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            os.close(self._said)
            raise LaunchWorkerError(f"could not start {exename!r}: {error.strerror or error}") from None
        finally:
            theirs.close()
            os.close(said)
        # An un-reaped child makes Jupyter's shutdown wait (jupyter.md §1.7).
        threading.Thread(target=self.process.wait, name="pydist-helper", daemon=True).start()

    def order(self, message: dict[str, Any], fds: Sequence[tuple[int, int, int]], timeout: float) -> range:
        """Ask for a worker for each triple of file descriptors, at most ``AT_ONCE``; return a ticket for each.

        Args:
            message: what all of them shall know.
            fds: of each its stream to the master, the writing end of its output, and the reading end.
            timeout: seconds until the helper must have taken the order.

        Raises:
            LaunchWorkerError: the helper has failed; with its last words.
        """
        with self._sending:
            first = self._next_ticket
            self._next_ticket += len(fds)
            data = json.dumps({**message, "first": first, "workers": len(fds)}).encode()
            passed = array.array("i", [fd for group in fds for fd in group])
            try:
                self._sock.settimeout(timeout)
                self._sock.sendmsg([_LENGTH.pack(len(data))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
                self._sock.sendall(data)
            except OSError:
                raise LaunchWorkerError(self._obituary()) from None
            return range(first, self._next_ticket)

    def collect(self, ticket: int, timeout: float) -> int:
        """Return the process id of the worker that was ordered with this ticket.

        Raises:
            LaunchWorkerError: there is none; with the reason.
        """
        answer = self._await(lambda: self._answers.pop(ticket, None), timeout)
        if answer is None:
            if self._gone:
                raise LaunchWorkerError(self._obituary())
            raise LaunchWorkerError(f"{self.command[0]!r} did not start a worker within {timeout:g} seconds")
        if "error" in answer:
            raise LaunchWorkerError(answer["error"])
        self.forked += 1
        return int(answer["forked"])

    def ended(self, ospid: int, timeout: float) -> tuple[int | None, int | None] | None:
        """Return how a worker ended, waiting up to ``timeout`` seconds for the news; None if it is not known."""
        return self._await(lambda: self._ended.get(ospid), timeout)

    def _await(self, look: Callable[[], T | None], timeout: float) -> T | None:
        """Return what ``look`` finds once it does; None if the helper is gone, or after ``timeout`` seconds.

        The news of all come over one stream. One of those who wait reads it, and wakes the others.
        """
        deadline = monotonic() + timeout
        with self._news:
            while True:
                left = deadline - monotonic()
                if (found := look()) is not None:
                    return found
                if self._gone:
                    return None
                if self._reading:
                    if left <= 0:
                        return None
                    self._news.wait(left)
                    continue
                self._reading = True
                self._news.release()
                try:
                    data = self._receive(max(left, 0.0))
                finally:
                    self._news.acquire()
                    self._reading = False
                    self._news.notify_all()
                self._take_in(data)
                if data is None and left <= 0:
                    return look()

    def _receive(self, timeout: float) -> bytes | None:
        """Return what the helper says within ``timeout`` seconds: None for nothing, no byte at its end."""
        try:
            if not select.select([self._sock], [], [], min(timeout, 1e6))[0]:
                return None
            return self._sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except (OSError, ValueError):
            return b""  # closed from here, too

    def _take_in(self, data: bytes | None) -> None:
        if data is None:
            return
        if not data:
            self._gone = True
            return
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "ended" in message:
                status = message["status"]
                self._ended[message["ended"]] = (None, -status) if status < 0 else (status, None)
            else:
                self._answers[message["ticket"]] = message

    def _obituary(self) -> str:
        said = b""
        os.set_blocking(self._said, False)
        try:
            while more := os.read(self._said, 65536):
                said += more
        except BlockingIOError:
            pass
        code = self.process.poll()
        how = "ended" if code is None else f"exited with code {code}"
        words = said.decode("utf-8", "replace").strip().splitlines()[-5:]
        command = " ".join(self.command[: 1 + max(0, self.command.index("-c") - 1)])
        return f"the launch command {command!r} {how}" + (": " + " | ".join(words) if words else " without a word")

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the helper, and with it what it has forked."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        finally:
            self._sock.close()


_helpers: dict[Any, Helper] = {}
_helpers_lock = threading.Lock()


def helper_for(exename: str, flags: tuple[str, ...], env: dict[str, str]) -> Helper:
    """Return the helper of this kind, started now if there is none."""
    early = tuple(sorted((key, value) for key, value in env.items() if key.startswith(_NEEDS_EXEC)))
    key = (os.getpid(), exename, flags, early)
    with _helpers_lock:
        helper = _helpers.get(key)
        if helper is None or not helper.alive:
            helper = _helpers[key] = Helper(exename, flags, env)
        return helper


def prepare() -> None:
    """Start the helper that ``addprocs(n)`` will need, so that its imports are done by then."""
    atexit.register(close_helpers)
    try:
        helper_for(sys.executable, (), worker_environment({}, enable_threaded_blas=False))
    except (LaunchWorkerError, OSError):
        return  # addprocs will meet the same, and say so


def drop(helper: Helper) -> None:
    """Forget a helper that is none, and kill it."""
    with _helpers_lock:
        for key in [key for key, known in _helpers.items() if known is helper]:
            del _helpers[key]
    helper.close()
    helper.process.kill()


def close_helpers() -> None:
    """End all helpers; at the end of the master."""
    with _helpers_lock:
        for key in [key for key in _helpers if key[0] == os.getpid()]:  # a fork of the master has no say
            _helpers.pop(key).close()
