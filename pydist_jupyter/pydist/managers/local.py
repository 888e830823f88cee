"""Workers on this host.

    master ──control stream──▶ helper (single-threaded, imports done) ──fork──▶ worker, worker, …
       └───────────────── one socket pair and one output pipe each ──────────────┘

The helper (helper.py) is the parent of the workers: it tells the master how they ended, and ends them when the master
is gone, whatever they are doing.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

from pydist._errors import LaunchWorkerError
from pydist.managers.base import ClusterManager, WorkerConfig, python_path, worker_environment
from pydist.managers.helper import AT_ONCE, Helper, drop, helper_for

__all__ = ["LocalManager", "usable_cpus"]


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
        helper = helper_for(exename, flags, env)
        message = {"dir": os.path.abspath(folder), "env": env, "path": python_path(), "cookie": params["cookie"]}
        command = " ".join([exename, *flags])
        for start in range(0, self.n, AT_ONCE):
            yield from _fork(helper, message, min(AT_ONCE, self.n - start), params["timeout"], command)


def _fork(helper: Helper, message: dict[str, Any], n: int, timeout: float, command: str) -> Iterator[WorkerConfig]:
    """Have ``n`` workers forked; yield each as it comes."""
    streams: list[tuple[socket.socket, socket.socket]] = []
    pipes: list[tuple[int, int]] = []
    came = 0
    try:
        try:
            for _ in range(n):
                streams.append(socket.socketpair())
                pipes.append(os.pipe())
            groups = [(theirs.fileno(), write, read) for (_, theirs), (read, write) in zip(streams, pipes, strict=True)]
            tickets = helper.order(message, groups, timeout)
        finally:
            for _, theirs in streams:
                theirs.close()
            for _, write in pipes:
                os.close(write)
        _import_meanwhile()
        for ticket in tickets:
            ospid = helper.collect(ticket, timeout)
            stream, output = streams[came][0], pipes[came][0]
            came += 1
            host, process = socket.gethostname(), _Process(helper, ospid)
            yield WorkerConfig(stream=stream, host=host, output=output, process=process, command=command)
    except LaunchWorkerError:
        if not helper.forked:
            drop(helper)  # it is no helper: a program that does not even know us
        raise
    finally:
        # A worker at the other end of what nobody has taken leaves by itself.
        for ours, _ in streams[came:]:
            ours.close()
        for read, _ in pipes[came:]:
            os.close(read)


def _import_meanwhile() -> None:
    """Import what the master needs as soon as the workers are there, while the helper is still starting."""
    import hmac

    from pydist import runfiles

    assert hmac is not None
    assert runfiles is not None
