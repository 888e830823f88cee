"""What a cluster manager is: it starts processes and says how to reach them, nothing else."""

from __future__ import annotations

import abc
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

__all__ = ["ClusterManager", "WorkerConfig", "WorkerProcess", "default_addprocs_params"]


class WorkerProcess(Protocol):
    """A process that a manager has started."""

    ospid: int | None

    def wait(self, timeout: float | None = None) -> tuple[int | None, int | None] | None:
        """Wait for its end: ``(exit code, signal)``, of which one is None; None if it still runs or cannot be known."""

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""


class WorkerConfig:
    """How one worker can be reached; made by a manager's `launch`. Julia: ``WorkerConfig``.

    Attributes:
        stream: a connected stream socket to the worker, if the manager has one.
        host: where it runs, a name for people or an address.
        port: where it listens, if `connect` is to dial it.
        output: a file descriptor with the worker's raw output, or None.
        process: the process, if the manager can watch it.
        command: what was run, for error messages.
        userdata: the manager's own.
    """

    # No dataclass: those take a good part of the time that `import pydist` may take.
    def __init__(
        self,
        stream: socket.socket | None = None,
        host: str = "localhost",
        port: int | None = None,
        output: int | None = None,
        process: WorkerProcess | None = None,
        command: str = "",
        userdata: Any = None,
    ) -> None:
        self.stream = stream
        self.host = host
        self.port = port
        self.output = output
        self.process = process
        self.command = command
        self.userdata = userdata

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value not in (None, ""))
        return f"WorkerConfig({fields})"


def default_addprocs_params(manager: ClusterManager | None = None) -> dict[str, Any]:
    """Return the options that every `addprocs` knows, with their defaults. Julia: ``default_addprocs_params``."""
    params: dict[str, Any] = {
        "topology": "all_to_all",
        "lazy": True,
        "dir": None,
        "exename": None,
        "exeflags": (),
        "env": None,
        "enable_threaded_blas": False,
        "timeout": None,
    }
    return params if manager is None else {**params, **manager.default_addprocs_params()}


class ClusterManager(abc.ABC):
    """Starts workers of one kind. Julia: ``ClusterManager``.

    Example:
        A manager needs `launch` alone if its workers can be dialled at ``host`` and ``port``.
    """

    @abc.abstractmethod
    def launch(self, params: dict[str, Any]) -> Iterator[WorkerConfig] | AsyncIterator[WorkerConfig]:
        """Start workers; yield one `WorkerConfig` for each as it comes up, and end when all are launched.

        Called by `addprocs` once, on the master, in a thread of its own. An exception ends the launch; the workers
        that were yielded before stay.

        Args:
            params: `default_addprocs_params` of this manager, overridden by the keywords of `addprocs`, unchecked;
                and ``"cookie"``, the secret to give to the workers by a way that nobody else can read.
        """

    def connect(self, pid: int, config: WorkerConfig) -> socket.socket:
        """Return a connected stream to the worker: reliable and ordered. Called on the master for each worker.

        The default returns ``config.stream``, or dials ``config.host`` and ``config.port``.
        """
        if config.stream is not None:
            return config.stream
        if config.port is None:
            raise ValueError(f"the manager gave neither a stream nor a port for worker {pid}")
        return socket.create_connection((config.host, config.port))

    def manage(self, pid: int, config: WorkerConfig, op: str) -> None:  # noqa: B027 - nothing to do is a good answer
        """Take note of a worker's life: ``"register"``, ``"interrupt"``, ``"deregister"``; each but the second once."""

    def kill(self, pid: int, config: WorkerConfig) -> None:
        """End a worker that did not leave when asked. The default sends SIGKILL to ``config.process``."""
        if config.process is not None:
            config.process.signal(9)

    def relaunch(self, pid: int, config: WorkerConfig, params: dict[str, Any]) -> WorkerConfig:
        """Start one worker in the place of ``pid``, which has ended. Called by `restart`, on the master.

        Raises:
            NotImplementedError: workers of this kind cannot be started one by one.
        """
        raise NotImplementedError(f"workers of {self.name} cannot be restarted: remove worker {pid} and add a new one")

    def default_addprocs_params(self) -> dict[str, Any]:
        """Return the defaults of this manager's own options."""
        return {}

    @property
    def name(self) -> str:
        """The name for tables."""
        return type(self).__name__


#: Variables of the notebook's own process that would mislead a worker.
_MISLEADING = (
    "JPY_PARENT_PID",
    "JPY_SESSION_NAME",
    "MPLBACKEND",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "PAGER",
    "GIT_PAGER",
    "TERM",
)
_BLAS_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def worker_environment(extra: dict[str, str] | None, enable_threaded_blas: bool) -> dict[str, str]:
    """Return the environment for a worker of this host."""
    env = {key: value for key, value in os.environ.items() if key not in _MISLEADING}
    env["MPLBACKEND"] = "module://pydist._figures"
    if not enable_threaded_blas:
        for name in _BLAS_THREADS:
            env.setdefault(name, "1")
    env.update(extra or {})
    return env


def python_path() -> list[str]:
    """Return this process's ``sys.path`` with '' resolved, for workers that shall find what it finds."""
    return [os.path.abspath(entry) if entry == "" else entry for entry in sys.path]
