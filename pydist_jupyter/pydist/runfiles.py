"""Which clusters run on this machine, as files that outlive their masters.

A master keeps one small file with its own process id and those of its workers, each with the time the process started,
so that an id that has been given to another process since is never mistaken. ``pydist ps`` reads the files; ``pydist
clean`` ends what a dead master has left, which only happens when every other means has failed.

A file that cannot be written is worth a warning and nothing more: no cluster fails for it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Cleaned", "Process", "Run", "clean", "folder", "list_runs", "remove", "start_time", "write"]

_log = logging.getLogger("pydist")
_VERSION = 1


class Process(NamedTuple):
    """A process of this machine; ``pid`` is its number in the cluster."""

    pid: int
    ospid: int
    start_time: int | None

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        now = start_time(self.ospid)
        return now is not None and now == self.start_time


@dataclass(frozen=True)
class Run:
    """One cluster, as its run file tells it."""

    path: Path
    master: Process
    workers: tuple[Process, ...]
    host: str
    started: float
    command: str
    #: The file was written by a system whose processes can be seen from here: same host, same boot, same container.
    here: bool
    #: The file is from before the last boot of this host, so that nothing of it can run any more.
    outdated: bool

    @property
    def alive(self) -> bool:
        """The master runs, or cannot be seen from here and must be thought to."""
        return self.master.alive() if self.here else not self.outdated

    def living_workers(self) -> list[Process]:
        """Return the workers that run."""
        return [worker for worker in self.workers if worker.alive()] if self.here else []


@dataclass(frozen=True)
class Cleaned:
    """A run whose master was dead: its file is gone, and so are the workers that still ran."""

    run: Run
    killed: tuple[Process, ...]


def folder() -> Path:
    """Return the folder of the run files of this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        return Path(runtime, "pydist")
    return Path(os.path.expanduser("~"), ".local", "share", "pydist", "run")


def start_time(ospid: int) -> int | None:
    """Return a number that tells process ``ospid`` from any other that had or will have this id; None if it is dead.

    Linux: clock ticks between boot and the start. Elsewhere: what ps says, in seconds.
    """
    return _start_time_by_proc(ospid) if sys.platform == "linux" else _start_time_by_ps(ospid)


def _start_time_by_proc(ospid: int) -> int | None:
    try:
        stat = Path(f"/proc/{ospid}/stat").read_bytes()
    except OSError:
        return None
    # The name of the program stands in brackets and may hold anything, brackets too.
    fields = stat[stat.rindex(b")") + 2 :].split()
    state, started = fields[0], fields[19]
    return None if state in (b"Z", b"X") else int(started)


def _start_time_by_ps(ospid: int) -> int | None:
    if os.name != "posix":
        return None
    environment = {**os.environ, "LC_ALL": "C"}
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(ospid)], capture_output=True, text=True, check=False, env=environment
    )
    state, _, when = answer.stdout.strip().partition(" ")
    if not when or state.startswith("Z"):
        return None
    with contextlib.suppress(ValueError):
        return int(time.mktime(time.strptime(when.strip())))
    return None


def _system() -> dict[str, str]:
    """Return what names the system in which our process ids mean something."""
    system = {"host": socket.gethostname(), "boot": "", "container": ""}
    with contextlib.suppress(OSError):
        system["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with contextlib.suppress(OSError):
        system["container"] = os.readlink("/proc/self/ns/pid")
    return system


def _own_path() -> Path:
    return folder() / f"{os.getpid()}-{start_time(os.getpid()) or 0}.json"


def write(workers: Iterable[tuple[int, int, int | None]]) -> None:
    """Write the run file of this process anew.

    Args:
        workers: The workers on this machine: number in the cluster, process id, and what `start_time` said of the
            process (None: it is asked now).
    """
    me = os.getpid()
    contents = {
        "version": _VERSION,
        "master": [1, me, start_time(me)],
        "workers": [[pid, ospid, start_time(ospid) if started is None else started] for pid, ospid, started in workers],
        "system": _system(),
        "started": time.time(),
        "command": " ".join(sys.orig_argv),
    }
    try:
        path = _own_path()
        if not path.exists():
            _forget_the_dead()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            contents["started"] = json.loads(path.read_text(encoding="utf-8"))["started"]
        _write_atomically(path, json.dumps(contents))
    except OSError as error:
        _log.warning("pydist cannot note its workers for 'pydist ps': %s", error)


def _forget_the_dead() -> None:
    """Remove the files of masters that were killed and have left nothing else: nobody would ever clean those up."""
    for run in list_runs():
        if run.here and not run.alive and not run.living_workers():
            with contextlib.suppress(OSError):
                run.path.unlink()


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes files that nobody else may read: 0600.
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def remove() -> None:
    """Remove the run file of this process, if there is one."""
    with contextlib.suppress(OSError):
        _own_path().unlink()


def list_runs() -> list[Run]:
    """Return the runs that have a file, the oldest first. A file that is no run file is left out."""
    try:
        paths = sorted(folder().glob("[0-9]*.json"))
    except OSError:
        return []
    system = _system()
    runs = [run for path in paths if (run := _read(path, system)) is not None]
    return sorted(runs, key=lambda run: run.started)


def _read(path: Path, system: dict[str, str]) -> Run | None:
    try:
        contents: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        theirs = contents["system"]
        return Run(
            path=path,
            master=_process(contents["master"]),
            workers=tuple(_process(worker) for worker in contents["workers"]),
            host=str(theirs["host"]),
            started=float(contents["started"]),
            command=str(contents["command"]),
            here=theirs == system,
            outdated=theirs["host"] == system["host"] and theirs["boot"] != system["boot"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _process(fields: list[Any]) -> Process:
    pid, ospid, started = fields
    return Process(int(pid), int(ospid), None if started is None else int(started))


def clean() -> list[Cleaned]:
    """End the workers of dead masters and remove their files; return what was done.

    A run whose master lives, or runs where it cannot be seen from here, is not touched.
    """
    cleaned = []
    for run in list_runs():
        # Where start times cannot be had, nobody can be known to be dead.
        if run.alive or run.master.start_time is None:
            continue
        killed = tuple(worker for worker in run.living_workers() if _kill(worker))
        with contextlib.suppress(OSError):
            run.path.unlink()
        cleaned.append(Cleaned(run, killed))
    return cleaned


def _kill(process: Process) -> bool:
    """Kill ``process``, and surely no other."""
    try:
        if hasattr(signal, "pidfd_send_signal"):
            # The descriptor holds on to the process: once it is known to be the right one, it stays the right one.
            handle = os.pidfd_open(process.ospid)
            try:
                if process.alive():
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    return True
            finally:
                os.close(handle)
        elif process.alive():
            os.kill(process.ospid, signal.SIGKILL)
            return True
    except OSError:
        pass
    return False
