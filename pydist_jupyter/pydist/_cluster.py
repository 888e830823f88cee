"""Adding and removing workers. Only process 1 can."""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from pydist import _refs, _remote_channels
from pydist._arrival import take_in, words_of
from pydist._errors import CompositeException, DistributedError, LaunchWorkerError
from pydist._procs import flatten
from pydist._removal import end, lost, master_only, rmprocs, shutdown_all, write_runfile
from pydist._runtime.current import current_node
from pydist._runtime.joining import WHO, members_of, tell_members
from pydist._runtime.node import Node
from pydist._runtime.peers import Peer
from pydist.managers import ClusterManager, LocalManager, WorkerConfig
from pydist.managers.base import default_addprocs_params

__all__ = ["addprocs", "cluster_cookie", "restart"]

_TOPOLOGIES = ("all_to_all", "master_worker", "custom")
#: Seconds for a worker to come up, unless addprocs(timeout=) or PYDIST_WORKER_TIMEOUT says otherwise; Julia has 60 too.
_TIMEOUT = 60.0


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
        KeyboardInterrupt: Ctrl-C; none of the new workers stays.

    Example:
        >>> addprocs(2)
        [2, 3]
    """
    node = master_only()
    manager, params = _plan(n, options)
    cluster = _cluster(node)
    with cluster.lock:
        _check_shape(node, cluster, params)
        node.topology = params["topology"]
        params["cookie"] = node.cookie
        node.on_lost = lost
        node.verbs.update({**_refs.VERBS, **_remote_channels.VERBS})
        node.verbs[WHO] = lambda call, arguments: members_of(node)
        node.start_background()
        if not cluster.at_exit:
            cluster.at_exit = True
            atexit.register(_at_exit, os.getpid())
        first, withdrawn = cluster.next_pid, threading.Event()
        try:
            pids, failures = _launch(node, cluster, manager, params, withdrawn)
            tell_members(node)
            write_runfile(node)
            if pids:
                for joined in list(node.joined):
                    joined(sorted(pids))
        except KeyboardInterrupt:
            # They lack what `everywhere` was still to define there: better none than such.
            withdrawn.set()
            rmprocs([peer.pid for peer in node.peers.connected() if peer.pid >= first], waitfor=0)
            raise
    if failures:
        raise CompositeException(_summary(pids, failures), failures, pids)
    return sorted(pids)


def _at_exit(master: int) -> None:
    """End the workers with the master; a child that it has forked has no say."""
    if os.getpid() == master:
        shutdown_all(1.0)


def _plan(n: Any, options: dict[str, Any]) -> tuple[ClusterManager, dict[str, Any]]:
    """Return the manager and its parameters, checked."""
    if isinstance(n, ClusterManager):
        params = {**default_addprocs_params(n), **options}
        manager = n
    else:
        known = {*default_addprocs_params(), "restrict"}
        for key in options:
            if key not in known:
                error = TypeError(f"Invalid keyword argument {key}")
                error.add_note(f"addprocs knows {', '.join(sorted(known))}")
                raise error
        if isinstance(n, list | tuple | set):
            raise TypeError(f"hosts are not supported yet: give a number of workers or a ClusterManager, not {n!r}")
        manager = LocalManager(n, restrict=bool(options.get("restrict", True)))
        params = {**default_addprocs_params(manager), **options}
    if not isinstance(params["env"], Mapping | None):
        raise TypeError(f'env must be a dict of variables, such as {{"NAME": "value"}}, not {params["env"]!r}')
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
    node: Node, cluster: _Cluster, manager: ClusterManager, params: dict[str, Any], withdrawn: threading.Event
) -> tuple[list[int], list[Exception]]:
    """Run the manager's launch; set each worker up in a thread of its own as it comes.

    Those that come when ``withdrawn`` is set are ended at once.
    """
    pids: list[int] = []
    failures: list[Exception] = []
    threads: list[threading.Thread] = []

    def set_up(peer: Peer) -> None:
        try:
            take_in(node, peer, params)
        except Exception as error:
            failures.append(error)
        else:
            pids.append(peer.pid)
            if withdrawn.is_set():
                rmprocs(peer.pid, waitfor=0)

    try:
        for config in _configs(manager.launch(params)):
            peer = Peer(cluster.next_pid)
            cluster.next_pid += 1
            peer.manager, peer.config, peer.params, peer.started = manager, config, params, time.time()
            node.peers.add(peer)
            thread = threading.Thread(target=set_up, args=(peer,), name=f"pydist-setup-{peer.pid}", daemon=True)
            thread.start()
            threads.append(thread)
    except Exception as error:
        failures.append(
            error if isinstance(error, DistributedError) else LaunchWorkerError(f"launching failed: {words_of(error)}")
        )
    for thread in threads:
        thread.join()
    return pids, failures


def restart(*pids: int | Iterable[int]) -> None:
    """Replace workers by fresh processes with the same ids, and run the log of `everywhere` in them.

    What they were working on fails with ProcessExitedException; values that lay there are lost. Ctrl-C ends those that
    are not complete.

    Args:
        *pids: ids and lists of ids.

    Raises:
        ValueError: there is no such worker, or it is process 1.
        CompositeException: some did not come up again.
        RuntimeError: called on a worker.

    Example:
        >>> restart(2)
        >>> fetchfrom(2, myid)
        2
    """
    node = master_only()
    wanted = list(dict.fromkeys(flatten(pids)))
    peers = []
    for pid in wanted:
        peer = node.peers.get(pid)
        if pid == 1:
            raise ValueError("process 1 cannot restart itself: restart the kernel")
        if peer is None:
            raise ValueError(f"no process with id {pid} exists")
        peers.append(peer)
    with _cluster(node).lock:
        withdrawn = threading.Event()
        try:
            end(node, peers)
            fresh, failures = _relaunch(node, peers, withdrawn)
            tell_members(node)
            write_runfile(node)
            if fresh:
                for joined in list(node.joined):
                    joined(sorted(fresh))
        except KeyboardInterrupt:
            # As in addprocs: better none than one that lacks what `everywhere` was still to define there.
            withdrawn.set()
            rmprocs([peer.pid for peer in node.peers.connected() if peer.pid in wanted], waitfor=0)
            gone = f"worker {wanted[0]} has" if len(wanted) == 1 else f"workers {', '.join(map(str, wanted))} have"
            warnings.warn(f"restart was interrupted: {gone} ended; addprocs({len(wanted)}) starts others", stacklevel=2)
            raise
    if failures:
        raise CompositeException(_summary(fresh, failures), failures, fresh)


def _relaunch(node: Node, peers: list[Peer], withdrawn: threading.Event) -> tuple[list[int], list[Exception]]:
    """Launch workers in the places of these, in a thread: an interrupt leaves none that is known to nobody.

    One that comes when ``withdrawn`` is set is ended at once.
    """
    fresh: list[int] = []
    failures: list[Exception] = []

    def start_again() -> None:
        for old in peers:
            if withdrawn.is_set():
                return
            try:
                fresh.append(_start_again(node, old))
            except Exception as error:
                failures.append(error)
            else:
                if withdrawn.is_set():
                    rmprocs(old.pid, waitfor=0)

    thread = threading.Thread(target=start_again, name="pydist-restart", daemon=True)
    thread.start()
    thread.join()
    return fresh, failures


def _start_again(node: Node, old: Peer) -> int:
    """Launch a worker in the place of one that has ended; return its id."""
    config = old.manager.relaunch(old.pid, old.config, old.params)
    node.peers.revive(old.pid)
    node.store.revive(old.pid)
    peer = Peer(old.pid)
    peer.manager, peer.config, peer.params, peer.started = old.manager, config, old.params, time.time()
    node.peers.add(peer)
    take_in(node, peer, old.params)
    return old.pid


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


def _summary(pids: Sequence[int], failures: Sequence[Exception]) -> str:
    up = f"workers {', '.join(map(str, sorted(pids)))} are up and stay" if pids else "no worker came up"
    return f"{len(failures)} worker{'s' * (len(failures) > 1)} could not be started ({failures[0]}); {up}"


def cluster_cookie(cookie: str | None = None) -> str:
    """Return the cluster's secret, or set it before the first worker is added. Julia: ``cluster_cookie``.

    Raises:
        ValueError: it is not ASCII, or longer than 16 characters.

    Example:
        >>> len(cluster_cookie())
        16
    """
    node = current_node()
    if cookie is not None:
        if not cookie.isascii() or len(cookie) > 16:
            raise ValueError(f"a cluster cookie has at most 16 ASCII characters, not {cookie!r}")
        node.cookie = cookie.ljust(16)
    return node.cookie
