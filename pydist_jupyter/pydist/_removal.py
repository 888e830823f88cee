"""The end of workers: removed, interrupted, lost, or shut down with the master."""

from __future__ import annotations

import itertools
import math
import os
import socket
import threading
import time
import warnings
from collections.abc import Generator, Iterable
from typing import Any

from pydist._errors import ProcessExitedException
from pydist._procs import flatten, workers
from pydist._protocol.frames import CANCEL, EXIT, pack
from pydist._runtime.connection import Connection
from pydist._runtime.current import current_node, peek_node
from pydist._runtime.joining import bury, tell_members
from pydist._runtime.node import Node
from pydist._runtime.peers import TERMINATING, Peer
from pydist.managers.helper import close_helpers

__all__ = ["Removal", "interrupt", "lost", "master_only", "rmprocs", "shutdown_all", "write_runfile"]

#: How long rmprocs lets a worker leave by itself before it is killed.
_GRACE = 2.0


def master_only() -> Node:
    """Return this process's node.

    Raises:
        RuntimeError: this is a worker.
    """
    node = current_node()
    if node.pid != 1:
        raise RuntimeError("Only process 1 can add and remove workers")
    return node


class _News:
    """Tells everybody who is there. Of many that end at the same time, each would tell all the others."""

    def __init__(self) -> None:
        self._telling = threading.Lock()
        self._asked = itertools.count(1)
        self._latest = 0
        self._told = 0

    def spread(self, node: Node) -> None:
        """Return when everybody knows what is so now; those who come while others are told share a round."""
        mine = self._latest = next(self._asked)
        with self._telling:
            if self._told < mine:
                told = self._latest
                tell_members(node)
                write_runfile(node)
                self._told = told


_news = _News()


def lost(node: Node, connection: Connection) -> None:
    """A worker's stream has ended: find out why, tell everybody, fail its calls. In a thread of its own."""
    pid = connection.pid
    peer = node.peers.get(pid)
    if peer is None:
        node.fail_pending(connection, ProcessExitedException(pid))
        return
    expected = peer.state == TERMINATING
    peer.state = TERMINATING
    node.peers.stop_calls(peer)
    process = peer.config.process
    ended = process.wait(1.0) if process is not None else None
    if ended is None and process is not None:
        # It has closed its stream and goes on without us: that is no worker any more.
        process.signal(9)
        ended = process.wait(1.0)
    if peer.output is not None:
        node.reader.remove_other(peer.output.fd)
        peer.output.finish()
        os.close(peer.output.fd)
    exitcode, signal = ended or (None, None)
    host, words = str(peer.details.get("host", "")), node.desk.last_output(pid)
    why = ProcessExitedException(pid, exitcode, signal, host, words, removed=expected)
    node.desk.flush()
    if not expected:
        # Before anybody who waits for it goes on, and a cell ends: in the cell that it worked for, if it did.
        origin = node.desk.latest_origin(pid) if connection.pending else 0
        node.desk.notice(f"Worker {pid} terminated: {why}", origin)
    bury(node, pid, why)
    node.fail_pending(connection, why)
    peer.manager.manage(pid, peer.config, "deregister")
    node.desk.forget(pid)
    for departed in list(node.departed):
        departed(pid)
    _news.spread(node)
    peer.gone.set()


class Removal:
    """What `rmprocs` returns: the removal, going on or done. Can be awaited."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self._done = threading.Event()
        self._error: BaseException | None = None

    def _finish(self, error: BaseException | None = None) -> None:
        self._error = error
        self._done.set()

    def done(self) -> bool:
        """Return whether it is over."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the workers are gone; return whether they are.

        Raises:
            TimeoutError: they did not go within the time that was given to `rmprocs`.
        """
        over = self._done.wait(timeout)
        if over and self._error is not None:
            raise self._error
        return over

    def __await__(self) -> Generator[Any, None, bool]:
        import asyncio

        return asyncio.to_thread(self.wait).__await__()


def rmprocs(*pids: int | Iterable[int], waitfor: float = math.inf) -> Removal:
    """Remove workers: they leave the lists at once, end their process, and are killed if they do not.

    Julia: ``rmprocs``.

    Args:
        *pids: ids and lists of ids. 1 is warned about; unknown and dead ones are ignored.
        waitfor: seconds to wait; 0: return at once.

    Returns:
        A waitable: ``.wait(timeout=None)`` or ``await``.

    Raises:
        TimeoutError: ``rmprocs: pids [..] not terminated after T seconds.``; they are killed in the background.
        RuntimeError: called on a worker.

    Example:
        >>> one = addprocs(1)
        >>> done = rmprocs(one)
        >>> one[0] in workers()
        False
    """
    node = master_only()
    wanted = flatten(pids)
    if 1 in wanted:
        warnings.warn("rmprocs: process 1 not removed", stacklevel=2)
    peers = [peer for pid in dict.fromkeys(wanted) if pid != 1 and (peer := node.peers.get(pid)) is not None]
    removal = Removal([peer.pid for peer in peers])
    for peer in peers:
        node.peers.stop_calls(peer)
    tell_members(node)
    thread = threading.Thread(target=_remove, args=(node, peers, removal), name="pydist-rmprocs", daemon=True)
    thread.start()
    if waitfor == 0:
        return removal
    if not removal.wait(None if waitfor == math.inf else waitfor):
        left = [peer.pid for peer in peers if not peer.gone.is_set()]
        for peer in peers:
            if not peer.gone.is_set():
                peer.manager.kill(peer.pid, peer.config)
        raise TimeoutError(f"rmprocs: pids {left} not terminated after {waitfor:g} seconds.")
    return removal


def _remove(node: Node, peers: list[Peer], removal: Removal) -> None:
    end(node, peers)
    removal._finish()


def end(node: Node, peers: list[Peer]) -> None:
    """End workers: ask, then insist. Returns when they are gone."""
    for peer in peers:
        node.peers.stop_calls(peer)
    for peer in peers:
        if peer.connection is not None:
            peer.connection.post(pack(EXIT, 0, b""))
    deadline = time.monotonic() + _GRACE
    for peer in peers:
        if not peer.gone.wait(max(0.0, deadline - time.monotonic())):
            peer.manager.kill(peer.pid, peer.config)
            peer.gone.wait(5.0)


def interrupt(*pids: int | Iterable[int]) -> None:
    """Interrupt the calls that run on workers now, each with KeyboardInterrupt. Julia: ``interrupt``.

    Idle workers and process 1 are left alone.

    Args:
        *pids: ids and lists of ids; none: all workers.

    Raises:
        ValueError: there is no such process.
        RuntimeError: called on a worker.

    Example:
        >>> future = remotecall(time.sleep, 2, 600)
        >>> interrupt(2)
        >>> isinstance(future.exception(), KeyboardInterrupt)
        True
    """
    node = current_node()
    if node.pid != 1:
        raise RuntimeError("Only process 1 can interrupt workers")
    wanted = flatten(pids) if pids else workers()
    peers = [(pid, node.peers.connection(pid)) for pid in wanted if pid != 1]
    for pid, connection in peers:
        connection.post(pack(CANCEL, 0, b""))
        peer = node.peers.get(pid)
        if peer is not None and peer.manager is not None:
            peer.manager.manage(pid, peer.config, "interrupt")


def shutdown_all(grace: float = 1.0) -> None:
    """End every worker of this process: ask, wait ``grace`` seconds for all, kill. For the end of the master."""
    node = peek_node()
    if node is None or node.pid != 1:
        return
    peers = node.peers.all()
    for peer in peers:
        node.peers.stop_calls(peer)
        if peer.connection is not None:
            peer.connection.post(pack(EXIT, 0, b""))
    deadline = time.monotonic() + grace
    for peer in peers:
        if not peer.gone.wait(max(0.0, deadline - time.monotonic())) and peer.manager is not None:
            peer.manager.kill(peer.pid, peer.config)
    for peer in peers:
        peer.gone.wait(1.0)
    close_helpers()
    # Only now: its imports are a fifth of what `import pydist` may cost.
    from pydist import runfiles

    runfiles.remove()


def write_runfile(node: Node) -> None:
    """Note which processes are ours, for `pydist ps` and `pydist clean`."""
    from pydist import runfiles

    here = socket.gethostname()
    ours = [peer for peer in node.peers.all() if peer.details.get("host") == here]
    for peer in ours:
        if peer.born is None:
            peer.born = runfiles.start_time(peer.details["ospid"])
    runfiles.write([(peer.pid, peer.details["ospid"], peer.born) for peer in ours])
