"""Adding and removing workers. Only process 1 can."""

from __future__ import annotations

import atexit
import math
import os
import socket
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from pydist import _refs, _remote_channels, runfiles
from pydist._errors import CompositeException, DistributedError, LaunchWorkerError, ProcessExitedException
from pydist._procs import flatten, workers
from pydist._protocol.frames import CANCEL, EXIT, pack
from pydist._protocol.handshake import HandshakeError
from pydist._runtime.connection import Connection
from pydist._runtime.current import current_node, peek_node
from pydist._runtime.handshaking import initiate
from pydist._runtime.joining import WHO, attach, bury, members_of, tell_members
from pydist._runtime.node import Node
from pydist._runtime.output import STDOUT, Pipe
from pydist._runtime.peers import CONNECTED, TERMINATING, Peer
from pydist.managers import ClusterManager, LocalManager, WorkerConfig
from pydist.managers.base import default_addprocs_params
from pydist.managers.local import close_helpers

__all__ = ["Removal", "addprocs", "cluster_cookie", "interrupt", "rmprocs"]

_TOPOLOGIES = ("all_to_all", "master_worker", "custom")
#: Seconds for a worker to come up, unless addprocs(timeout=) or PYDIST_WORKER_TIMEOUT says otherwise; Julia has 60 too.
_TIMEOUT = 60.0
#: How long rmprocs lets a worker leave by itself before it is killed.
_GRACE = 2.0


class _Cluster:
    """What only the master keeps: the order of additions and removals, and the running number of workers."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.next_pid = 2
        self.lazy: bool | None = None
        self.at_exit = False


_clusters: dict[int, _Cluster] = {}


def _cluster(node: Node) -> _Cluster:
    cluster = _clusters.get(id(node))
    if cluster is None:
        cluster = _clusters[id(node)] = _Cluster()
    return cluster


def _master() -> Node:
    node = current_node()
    if node.pid != 1:
        raise RuntimeError("Only process 1 can add and remove workers")
    return node


def addprocs(n: Any = "auto", **options: Any) -> list[int]:
    """Start workers; return their ids, sorted. Julia: ``addprocs``.

    Args:
        n: how many on this host (``"auto"``: one for each CPU that this process may use); or a `ClusterManager`.
        **options: for local workers:

            * ``topology``: ``"all_to_all"`` (default), ``"master_worker"`` or ``"custom"``: who may talk to whom.
            * ``lazy``: connect workers to each other at their first call (default True).
            * ``dir``: their working folder (default: this process's).
            * ``exename``, ``exeflags``: another Python interpreter of the same minor version, and its options.
            * ``env``: a dict of environment variables to set.
            * ``enable_threaded_blas``: let numpy use several threads in each worker (default False).
            * ``restrict``: be reachable from this host only (default True).
            * ``timeout``: seconds in which each worker must come up (default 60).

            For another manager: whatever it knows, unchecked.

    Raises:
        TypeError: an unknown keyword (nothing is started then).
        ValueError: a number, topology or option that makes no sense.
        CompositeException: some did not come up; ``.pids`` are those that did, and stay, ``.exceptions`` the reasons.
        RuntimeError: called on a worker.

    Example:
        >>> addprocs(2)
        [2, 3]
    """
    node = _master()
    manager, params = _plan(n, options)
    cluster = _cluster(node)
    with cluster.lock:
        _check_shape(node, cluster, params)
        node.topology = params["topology"]
        params["cookie"] = node.cookie
        node.on_lost = _lost
        node.verbs.update({**_refs.VERBS, **_remote_channels.VERBS})
        node.verbs[WHO] = lambda call, arguments: members_of(node)
        node.start_background()
        if not cluster.at_exit:
            cluster.at_exit = True
            atexit.register(shutdown_all, 1.0)
        pids, failures = _launch(node, cluster, manager, params)
        tell_members(node)
        _write_runfile(node)
        if pids:
            for joined in node.joined:
                joined(sorted(pids))
    if failures:
        raise CompositeException(_summary(pids, failures), failures, pids)
    return sorted(pids)


def _plan(n: Any, options: dict[str, Any]) -> tuple[ClusterManager, dict[str, Any]]:
    """Return the manager and its parameters, checked."""
    if isinstance(n, ClusterManager):
        params = {**default_addprocs_params(n), **options}
        manager = n
    else:
        known = {*default_addprocs_params(), "restrict"}
        for key in options:
            if key not in known:
                raise TypeError(f"Invalid keyword argument {key}")
        if isinstance(n, list | tuple | set):
            raise TypeError("hosts are not supported yet: give a number of local workers or a ClusterManager")
        manager = LocalManager(n, restrict=bool(options.get("restrict", True)))
        params = {**default_addprocs_params(manager), **options}
    params["topology"] = str(params["topology"])
    if params["topology"] not in _TOPOLOGIES:
        raise ValueError(f"topology must be one of {', '.join(_TOPOLOGIES)}, not {params['topology']!r}")
    timeout = params["timeout"]
    if timeout is None:
        timeout = os.environ.get("PYDIST_WORKER_TIMEOUT") or _TIMEOUT
    try:
        params["timeout"] = float(timeout)
    except (TypeError, ValueError):
        raise ValueError(f"timeout must be a number of seconds, not {timeout!r}") from None
    if not params["timeout"] > 0:
        raise ValueError(f"timeout must be positive, it is {timeout!r}")
    return manager, params


def _check_shape(node: Node, cluster: _Cluster, params: dict[str, Any]) -> None:
    if params["topology"] != "all_to_all":
        params["lazy"] = False
    if node.peers.all():
        if node.topology != params["topology"]:
            raise ValueError(
                f"Workers with Topology {node.topology} already exist. "
                f"Requested Topology {params['topology']} cannot be set."
            )
        if cluster.lazy is not None and cluster.lazy != bool(params["lazy"]):
            raise ValueError(f"Active workers with lazy={cluster.lazy}. Cannot set lazy={params['lazy']}")
    cluster.lazy = bool(params["lazy"])


def _launch(
    node: Node, cluster: _Cluster, manager: ClusterManager, params: dict[str, Any]
) -> tuple[list[int], list[Exception]]:
    """Run the manager's launch; set each worker up in a thread of its own as it comes."""
    pids: list[int] = []
    failures: list[Exception] = []
    threads: list[threading.Thread] = []

    def set_up(peer: Peer) -> None:
        try:
            _set_up(node, peer, params)
        except Exception as error:
            failures.append(error)
        else:
            pids.append(peer.pid)

    try:
        for config in _configs(manager.launch(params)):
            peer = Peer(cluster.next_pid)
            cluster.next_pid += 1
            peer.manager, peer.config, peer.started = manager, config, time.time()
            node.peers.add(peer)
            thread = threading.Thread(target=set_up, args=(peer,), name=f"pydist-setup-{peer.pid}", daemon=True)
            thread.start()
            threads.append(thread)
    except Exception as error:
        failures.append(
            error if isinstance(error, DistributedError) else LaunchWorkerError(f"launching failed: {_said(error)}")
        )
    for thread in threads:
        thread.join()
    return pids, failures


def _configs(launched: Any) -> Generator[WorkerConfig]:
    """Yield what a manager's launch yields, plain or async."""
    if hasattr(launched, "__aiter__"):
        import asyncio

        loop = asyncio.new_event_loop()
        try:
            iterator = launched.__aiter__()
            while True:
                try:
                    yield loop.run_until_complete(iterator.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            loop.close()
    else:
        yield from launched


def _set_up(node: Node, peer: Peer, params: dict[str, Any]) -> None:
    """Connect to a worker that has been launched, and take it in.

    Raises:
        LaunchWorkerError: it did not come up; it is ended then.
    """
    config: WorkerConfig = peer.config
    try:
        sock = peer.manager.connect(peer.pid, config)
        welcome = {"pid": peer.pid, "topology": params["topology"], "main": _main_file()}
        peer.details = initiate(sock, node.cookie, welcome, params["timeout"])
    except (OSError, HandshakeError, ValueError) as error:
        failure = _launch_failure(peer, error, params["timeout"])
        node.peers.bury(peer.pid, ProcessExitedException(peer.pid, host=config.host))
        peer.manager.kill(peer.pid, config)
        if config.stream is not None:
            config.stream.close()
        raise failure from None
    peer.address = peer.details.get("address")
    if config.output is not None:
        pid = peer.pid
        peer.output = Pipe(config.output, lambda text: node.desk.text(pid, node.desk.latest_origin(pid), STDOUT, text))
        node.reader.add_other(config.output, peer.output.drain)
    attach(node, peer, sock)
    peer.state = CONNECTED
    peer.manager.manage(peer.pid, config, "register")


def _main_file() -> str | None:
    import sys

    return getattr(sys.modules.get("__main__"), "__file__", None)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _launch_failure(peer: Peer, error: Exception, timeout: float) -> LaunchWorkerError:
    config: WorkerConfig = peer.config
    ended = config.process.wait(0.5) if config.process is not None and not isinstance(error, TimeoutError) else None
    parts = [f"worker {peer.pid} on {config.host} did not come up"]
    if config.command:
        parts.append(f"command {config.command!r}")
    if isinstance(error, TimeoutError):
        parts.append(f"worker did not connect within {timeout:g} seconds")
    elif ended is None:
        parts.append(_said(error))
    if ended is not None:
        parts.append(f"exit code {ended[0]}" if ended[0] is not None else f"ended by signal {ended[1]}")
    words = _last_words(config)
    if words:
        parts.append("its last words: " + words)
    return LaunchWorkerError("; ".join(parts))


def _last_words(config: WorkerConfig) -> str:
    if config.output is None:
        return ""
    os.set_blocking(config.output, False)
    try:
        text = os.read(config.output, 65536).decode("utf-8", "replace")
    except OSError:
        text = ""
    os.close(config.output)
    return " | ".join(text.strip().splitlines()[-5:])


def _summary(pids: Sequence[int], failures: Sequence[Exception]) -> str:
    up = f"workers {', '.join(map(str, sorted(pids)))} are up and stay" if pids else "no worker came up"
    return f"{len(failures)} worker{'s' * (len(failures) > 1)} could not be started ({failures[0]}); {up}"


# ---- the end of workers


def _lost(node: Node, connection: Connection) -> None:
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
    why = ProcessExitedException(pid, exitcode, signal, str(peer.details.get("host", "")), node.desk.last_output(pid))
    node.desk.flush()
    bury(node, pid, why)
    node.fail_pending(connection, why)
    peer.manager.manage(pid, peer.config, "deregister")
    node.desk.forget(pid)
    tell_members(node)
    _write_runfile(node)
    peer.gone.set()
    if not expected:
        node.desk.notice(f"Worker {pid} terminated: {why}")


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
    """
    node = _master()
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
    """Ask, then insist."""
    for peer in peers:
        if peer.connection is not None:
            peer.connection.post(pack(EXIT, 0, b""))
    deadline = time.monotonic() + _GRACE
    for peer in peers:
        if not peer.gone.wait(max(0.0, deadline - time.monotonic())):
            peer.manager.kill(peer.pid, peer.config)
            peer.gone.wait(5.0)
    removal._finish()


def interrupt(*pids: int | Iterable[int]) -> None:
    """Interrupt the calls that run on workers now, each with KeyboardInterrupt. Julia: ``interrupt``.

    Idle workers and process 1 are left alone.

    Args:
        *pids: ids and lists of ids; none: all workers.

    Raises:
        ValueError: there is no such process.
        RuntimeError: called on a worker.
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


def cluster_cookie(cookie: str | None = None) -> str:
    """Return the cluster's secret, or set it before the first worker is added. Julia: ``cluster_cookie``.

    Raises:
        ValueError: it is not ASCII, or longer than 16 characters.
    """
    node = current_node()
    if cookie is not None:
        if not cookie.isascii() or len(cookie) > 16:
            raise ValueError(f"a cluster cookie has at most 16 ASCII characters, not {cookie!r}")
        node.cookie = cookie.ljust(16)
    return node.cookie


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
    runfiles.remove()


def _write_runfile(node: Node) -> None:
    runfiles.write(
        [
            (peer.pid, peer.details["ospid"], None)
            for peer in node.peers.all()
            if peer.details.get("host") == socket.gethostname()
        ]
    )
