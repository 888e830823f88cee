"""What is known of each process. Imported when it is first asked for: dataclasses are slow to import."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
import time
from typing import TypeVar, overload

from pydist._procs import myid
from pydist._runtime.current import STARTED, current_node
from pydist._runtime.peers import Peer

__all__ = ["WorkerInfo", "WorkerList", "worker_info"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class WorkerInfo:
    """What the master knows of a process without asking it.

    Attributes:
        pid: its id in the cluster.
        ospid: its id on its host, None if unknown.
        host: where it runs.
        manager: the class that started it; ``"master"`` for process 1.
        state: ``"created"``, ``"connected"``, ``"terminating"`` or ``"terminated"``.
        started: when it started, in seconds since 1970.
        python: its Python version.
        running: calls of this process that go on there, those among them that were interrupted and did not listen.
        done: calls that it has answered.
        bytes_in: bytes received from it.
        bytes_out: bytes sent to it.
        cpu: percent of one core that it has used since the last look; None at the first, or if it is elsewhere.
        rss: its resident memory in bytes; None if it is elsewhere.
        last_heard: when anything came from it last, in seconds since 1970.
        strays: how many of the running calls were interrupted and did not listen; `restart` ends them.
    """

    pid: int
    ospid: int | None
    host: str
    manager: str
    state: str
    started: float
    python: str
    running: int
    done: int
    bytes_in: int
    bytes_out: int
    cpu: float | None
    rss: int | None
    last_heard: float
    strays: int = 0


class WorkerList(list[T]):
    """A list of `WorkerInfo` that a notebook shows as a live table."""


@overload
def worker_info(pid: int) -> WorkerInfo: ...
@overload
def worker_info(pid: None = None) -> WorkerList[WorkerInfo]: ...
def worker_info(pid: int | None = None) -> WorkerInfo | WorkerList[WorkerInfo]:
    """Return what is known of all processes, or of one. Asks nobody, so it works while all of them are busy.

    Raises:
        ValueError: there is no process ``pid``.

    Example:
        >>> worker_info(1).manager
        'master'
    """
    node = current_node()
    known = (
        [_master(), *(_worker(peer) for peer in node.peers.all() if peer.pid != 1)] if node.pid == 1 else [_master()]
    )
    if pid is None:
        return WorkerList(known)
    for info in known:
        if info.pid == pid:
            return info
    raise ValueError(f"no process with id {pid} exists")


def _master() -> WorkerInfo:
    now = time.time()
    return WorkerInfo(
        pid=myid(),
        ospid=os.getpid(),
        host=socket.gethostname(),
        manager="master" if myid() == 1 else "",
        state="connected",
        started=STARTED,
        python=".".join(map(str, sys.version_info[:3])),
        running=0,
        done=0,
        bytes_in=0,
        bytes_out=0,
        cpu=_cpu(os.getpid()),
        rss=_rss(os.getpid()),
        last_heard=now,
    )


def _worker(peer: Peer) -> WorkerInfo:
    connection, details = peer.connection, peer.details
    ospid = details.get("ospid")
    here = details.get("host") == socket.gethostname()
    return WorkerInfo(
        pid=peer.pid,
        ospid=ospid,
        host=str(details.get("host", "")),
        manager=peer.manager.name if peer.manager is not None else "",
        state=peer.state,
        started=float(details.get("started", peer.started)),
        python=str(details.get("python", "")),
        running=0 if connection is None else len(connection.pending) + peer.strays,
        done=peer.done,
        bytes_in=0 if connection is None else connection.bytes_in,
        bytes_out=0 if connection is None else connection.bytes_out,
        cpu=_cpu(ospid) if here and ospid else None,
        rss=_rss(ospid) if here and ospid else None,
        last_heard=time.time() if connection is None else time.time() - (time.monotonic() - connection.last_heard),
        strays=peer.strays,
    )


def _rss(ospid: int) -> int | None:
    try:
        with open(f"/proc/{ospid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None


_looks: dict[int, tuple[float, float]] = {}


def _cpu(ospid: int) -> float | None:
    """Return the CPU use since the last look in percent."""
    try:
        with open(f"/proc/{ospid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    now = time.monotonic()
    last = _looks.get(ospid)
    if last is None or now - last[0] >= 0.2:
        _looks[ospid] = (now, used)
    if last is None or now - last[0] < 0.05:
        return None
    return max(0.0, 100 * (used - last[1]) / (now - last[0]))
