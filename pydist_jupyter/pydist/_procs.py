"""Who is there: ids and counts."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from pydist._runtime.current import peek_node

__all__ = ["flatten", "myid", "nprocs", "nworkers", "procs", "workers"]


def myid() -> int:
    """Return the id of this process; the master is 1. Julia: ``myid``.

    Example:
        >>> myid(), fetchfrom(2, myid)
        (1, 2)
    """
    node = peek_node()
    return 1 if node is None else node.pid


def procs(pid: int | None = None) -> list[int]:
    """Return the ids of all processes, or of those on the same host as ``pid``. Julia: ``procs``.

    Raises:
        ValueError: there is no process ``pid``.

    Example:
        >>> procs()  # alone
        [1]
    """
    node = peek_node()
    if node is None:
        everyone = [1]
    elif node.pid == 1:
        everyone = [1, *sorted(peer.pid for peer in node.peers.connected())]
    else:
        everyone = sorted({node.pid, *(peer.pid for peer in node.peers.connected())})
    if pid is None:
        return everyone
    if pid not in everyone:
        raise ValueError(f"no process with id {pid} exists")
    here = socket.gethostname()

    def host(of: int) -> str:
        peer = None if node is None else node.peers.get(of)
        return here if peer is None else str(peer.details.get("host", here))

    return [other for other in everyone if host(other) == host(pid)]


def workers() -> list[int]:
    """Return the ids of all workers; ``[1]`` if there are none: the master then does the work. Julia: ``workers``.

    Example:
        >>> set(workers()) | {1} == set(procs())
        True
    """
    return [pid for pid in procs() if pid != 1] or [1]


def nprocs() -> int:
    """Return the number of processes, the master included. Julia: ``nprocs``.

    Example:
        >>> nprocs() == len(procs())
        True
    """
    return len(procs())


def nworkers() -> int:
    """Return the number of workers; 1 if there are none. Julia: ``nworkers``.

    Example:
        >>> nworkers() == len(workers())
        True
    """
    return len(workers())


def flatten(pids: Iterable[object]) -> list[int]:
    """Return the ids in nested lists as one list.

    Raises:
        TypeError: something in there is not an id.
    """
    if isinstance(pids, str | bytes):
        raise TypeError(f"process ids are integers or lists of them, not {pids!r}")
    found: list[int] = []
    for item in pids:
        if isinstance(item, int) and not isinstance(item, bool):
            found.append(item)
        elif isinstance(item, Iterable) and not isinstance(item, str | bytes):
            found += flatten(item)
        else:
            raise TypeError(f"a process id is an integer, not {item!r}")
    return found
