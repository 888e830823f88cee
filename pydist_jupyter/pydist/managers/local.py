"""Workers on this host.

    master ──control stream──▶ helper (single-threaded, imports done) ──fork──▶ worker, worker, …
       └───────────────── one socket pair and one output pipe each ──────────────┘

The helper is started once for each kind of interpreter, and stays: a worker is then a fork away. It is the parent of
the workers: it tells the master how they ended, and ends them when the master is gone, whatever they are doing.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

from pydist._errors import LaunchWorkerError
from pydist.managers.base import ClusterManager, WorkerConfig, python_path, worker_environment

__all__ = ["Helper", "LocalManager", "usable_cpus"]

_LENGTH = struct.Struct("<I")
#: Changes to these are read by the interpreter or the loader when a process starts: they need a helper of their own.
_NEEDS_EXEC = ("PYTHON", "LD_", "DYLD_", "MALLOC_")
_PROGRAM = "import sys; sys.path[:0] = sys.argv[2:]; from pydist._runtime.prefork import main; main(int(sys.argv[1]))"


def usable_cpus() -> int:
    """Return how many CPUs this process may use: affinity and the limits of its control group count."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            cpus = min(cpus, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        return cpus
    return cpus


class Helper:
    """The process that forks workers, seen from the master. Safe from any thread."""

    def __init__(self, exename: str, exeflags: Sequence[str], env: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._sock = ours
        #: How many workers it has forked.
        self.forked = 0
        self._lock = threading.RLock()
        self._tail = b""
        self._replies: list[dict[str, Any]] = []
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

    def fork(self, message: dict[str, Any], fds: Sequence[int], timeout: float) -> int:
        """Fork a worker that gets ``fds``; return its process id.

        Raises:
            LaunchWorkerError: the helper has failed; with its last words.
        """
        with self._lock:
            data = json.dumps(message).encode()
            try:
                self._sock.sendmsg(
                    [_LENGTH.pack(len(data))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                )
                self._sock.settimeout(timeout)
                self._sock.sendall(data)
            except OSError:
                raise LaunchWorkerError(self._obituary()) from None
            deadline = monotonic() + timeout
            while not self._replies:
                left = deadline - monotonic()
                if left <= 0:
                    raise LaunchWorkerError(f"{self.command[0]!r} did not start a worker within {timeout:g} seconds")
                if not self._receive(left):
                    raise LaunchWorkerError(self._obituary())
            reply = self._replies.pop(0)
            if "error" in reply:
                raise LaunchWorkerError(reply["error"])
            self.forked += 1
            return int(reply["forked"])

    def _receive(self, timeout: float) -> bool:
        """Take in what the helper says within ``timeout`` seconds; False if it is gone. The caller holds the lock."""
        if not select.select([self._sock], [], [], timeout)[0]:
            return True
        try:
            data = self._sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            return False
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "ended" in message:
                status = message["status"]
                self._ended[message["ended"]] = (None, -status) if status < 0 else (status, None)
            else:
                self._replies.append(message)
        return True

    def ended(self, ospid: int, timeout: float) -> tuple[int | None, int | None] | None:
        """Return how a worker ended, waiting up to ``timeout`` seconds for the news; None if it is not known."""
        deadline = monotonic() + timeout
        while True:
            with self._lock:
                if ospid in self._ended:
                    return self._ended[ospid]
                left = deadline - monotonic()
                # In short turns, so that others can ask meanwhile; the news of all come over this one stream.
                alive = self._receive(min(max(left, 0), 0.02))
                if ospid in self._ended:
                    return self._ended[ospid]
            if not alive or left <= 0:
                return None

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


class _Process:
    """A forked worker."""

    def __init__(self, helper: Helper, ospid: int) -> None:
        self._helper = helper
        self.ospid: int | None = ospid

    def wait(self, timeout: float | None = None) -> tuple[int | None, int | None] | None:
        """See `WorkerProcess`."""
        return self._helper.ended(self.ospid or 0, 1e9 if timeout is None else timeout)

    def signal(self, number: int) -> None:
        """See `WorkerProcess`. The helper reaps it, and tells; a pid that was told of is not ours any more."""
        if self._helper.ended(self.ospid or 0, 0) is None:
            try:
                os.kill(self.ospid or 0, number)
            except ProcessLookupError:
                return


class LocalManager(ClusterManager):
    """Workers on this host, over Unix sockets. Julia: ``LocalManager``.

    Args:
        n: how many; ``"auto"``: one for each CPU that this process may use.
        restrict: nobody on other hosts can reach them (this manager's workers never listen on a network).
    """

    def __init__(self, n: int | str = "auto", restrict: bool = True) -> None:
        if isinstance(n, bool) or not (n == "auto" or isinstance(n, int)):
            raise TypeError(f'the number of workers must be an integer or "auto", not {n!r}')
        if isinstance(n, int) and n < 0:
            raise ValueError(f"the number of workers must not be negative, it is {n}")
        self.n = usable_cpus() if n == "auto" else int(n)
        self.restrict = restrict

    def __repr__(self) -> str:
        return "LocalManager()"

    def relaunch(self, pid: int, config: WorkerConfig, params: dict[str, Any]) -> WorkerConfig:
        """Fork one worker."""
        return next(LocalManager(1, self.restrict).launch(params))

    def launch(self, params: dict[str, Any]) -> Iterator[WorkerConfig]:
        """Fork the workers; the helper is started when there is none of that kind yet."""
        folder = params["dir"] or os.getcwd()
        if not os.path.isdir(folder):
            raise LaunchWorkerError(f"dir: there is no folder {folder!r}")
        flags = params["exeflags"]
        flags = tuple(flags.split() if isinstance(flags, str) else flags)
        given = {str(key): str(value) for key, value in dict(params["env"] or {}).items()}
        env = worker_environment(given, bool(params["enable_threaded_blas"]))
        exename = os.fspath(params["exename"] or sys.executable)
        early = {key: value for key, value in given.items() if key.startswith(_NEEDS_EXEC)}
        timeout = params["timeout"]
        helper = _helper_for(exename, flags, env, early)
        message = {"dir": os.path.abspath(folder), "env": env, "path": python_path(), "cookie": params["cookie"]}
        for _ in range(self.n):
            ours, theirs = socket.socketpair()
            read, write = os.pipe()
            try:
                ospid = helper.fork(message, [theirs.fileno(), write, read], timeout)
            except BaseException:
                ours.close()
                os.close(read)
                if not helper.forked:
                    _drop(helper)  # it is no helper: a program that does not even know us
                raise
            finally:
                theirs.close()
                os.close(write)
            yield WorkerConfig(
                stream=ours,
                host=socket.gethostname(),
                output=read,
                process=_Process(helper, ospid),
                command=" ".join([exename, *flags]),
            )


_helpers: dict[Any, Helper] = {}
_helpers_lock = threading.Lock()


def _helper_for(exename: str, flags: tuple[str, ...], env: dict[str, str], early: dict[str, str]) -> Helper:
    """Return the helper of this kind, started now if there is none."""
    key = (os.getpid(), exename, flags, tuple(sorted(early.items())))
    with _helpers_lock:
        helper = _helpers.get(key)
        if helper is None or not helper.alive:
            helper = _helpers[key] = Helper(exename, flags, env)
        return helper


def _drop(helper: Helper) -> None:
    with _helpers_lock:
        for key in [key for key, known in _helpers.items() if known is helper]:
            del _helpers[key]
    helper.close()
    helper.process.kill()


def close_helpers() -> None:
    """End all helpers; at the end of the master."""
    with _helpers_lock:
        while _helpers:
            _helpers.popitem()[1].close()
