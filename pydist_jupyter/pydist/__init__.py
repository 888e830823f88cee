"""Julia's Distributed, for Python: processes with ids, remote calls, futures, pmap.

This module defines nothing: it shows the names. The rooms behind it are listed in docs/architecture.md.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from pydist._batches import (
    ExponentialBackOff as ExponentialBackOff,
    batchsplit as batchsplit,
    head_and_tail as head_and_tail,
    splitrange as splitrange,
)
from pydist._calls import (
    AbstractWorkerPool as AbstractWorkerPool,
    close as close,
    fetch as fetch,
    isready as isready,
    put as put,
    remote_do as remote_do,
    remotecall as remotecall,
    remotecall_fetch as remotecall_fetch,
    remotecall_wait as remotecall_wait,
    take as take,
    wait as wait,
)
from pydist._channels import AbstractChannel as AbstractChannel, Channel as Channel
from pydist._cluster import addprocs as addprocs, cluster_cookie as cluster_cookie, restart as restart
from pydist._errors import (
    CapturedException as CapturedException,
    CompositeException as CompositeException,
    DistributedError as DistributedError,
    InvalidStateException as InvalidStateException,
    LaunchWorkerError as LaunchWorkerError,
    OpaqueException as OpaqueException,
    ProcessExitedException as ProcessExitedException,
    RemoteException as RemoteException,
)
from pydist._everywhere import (
    clear as clear,
    everywhere as everywhere,
    everywhere_log as everywhere_log,
    remotecall_eval as remotecall_eval,
)
from pydist._futures import Future as Future
from pydist._hooks import set_output_hook as set_output_hook
from pydist._ids import RRID as RRID
from pydist._ipython import (
    load_ipython_extension as load_ipython_extension,
    unload_ipython_extension as unload_ipython_extension,
)
from pydist._joblib import offer as _offer_to_joblib
from pydist._pmap import asyncmap as asyncmap, pgenerate as pgenerate, pimap as pimap, pmap as pmap, retry as retry
from pydist._pools import (
    CachingPool as CachingPool,
    WorkerPool as WorkerPool,
    default_worker_pool as default_worker_pool,
    set_default_worker_pool as set_default_worker_pool,
)
from pydist._procs import (
    myid as myid,
    nprocs as nprocs,
    nworkers as nworkers,
    procs as procs,
    workers as workers,
)
from pydist._refs import remoteref_id as remoteref_id
from pydist._remote_channels import RemoteChannel as RemoteChannel, channel_from_id as channel_from_id
from pydist._removal import interrupt as interrupt, rmprocs as rmprocs
from pydist._runtime.sources import note_imports as _note_imports
from pydist._spawn import fetchfrom as fetchfrom, remote as remote, spawn as spawn, spawnat as spawnat
from pydist._waiting import as_completed as as_completed, select as select, wait_any as wait_any
from pydist.managers import ClusterManager as ClusterManager, LocalManager as LocalManager, WorkerConfig as WorkerConfig

if _TYPE_CHECKING:
    from pydist import frontend as frontend
    from pydist._executor import Executor as Executor
    from pydist._held import RefInfo as RefInfo, refs as refs
    from pydist._loop_handle import DistributedLoop as DistributedLoop
    from pydist._loops import distributed as distributed
    from pydist._recreate import recreate as recreate
    from pydist._sync import sync as sync
    from pydist._worker_info import WorkerInfo as WorkerInfo, WorkerList as WorkerList, worker_info as worker_info

__all__ = [
    "RRID",
    "AbstractChannel",
    "AbstractWorkerPool",
    "CachingPool",
    "CapturedException",
    "Channel",
    "ClusterManager",
    "CompositeException",
    "DistributedError",
    "DistributedLoop",
    "Executor",
    "ExponentialBackOff",
    "Future",
    "InvalidStateException",
    "LaunchWorkerError",
    "LocalManager",
    "OpaqueException",
    "ProcessExitedException",
    "RefInfo",
    "RemoteChannel",
    "RemoteException",
    "WorkerConfig",
    "WorkerInfo",
    "WorkerList",
    "WorkerPool",
    "addprocs",
    "as_completed",
    "asyncmap",
    "batchsplit",
    "channel_from_id",
    "clear",
    "close",
    "cluster_cookie",
    "default_worker_pool",
    "distributed",
    "everywhere",
    "everywhere_log",
    "fetch",
    "fetchfrom",
    "head_and_tail",
    "interrupt",
    "isready",
    "load_ipython_extension",
    "myid",
    "nprocs",
    "nworkers",
    "pgenerate",
    "pimap",
    "pmap",
    "procs",
    "put",
    "recreate",
    "refs",
    "remote",
    "remote_do",
    "remotecall",
    "remotecall_eval",
    "remotecall_fetch",
    "remotecall_wait",
    "remoteref_id",
    "restart",
    "retry",
    "rmprocs",
    "select",
    "set_default_worker_pool",
    "set_output_hook",
    "spawn",
    "spawnat",
    "splitrange",
    "sync",
    "take",
    "unload_ipython_extension",
    "wait",
    "wait_any",
    "worker_info",
    "workers",
]

# What is slow to import, and often not needed, is imported when it is first named.
_LATER = {
    "DistributedLoop": "pydist._loop_handle",
    "Executor": "pydist._executor",
    "RefInfo": "pydist._held",
    "WorkerInfo": "pydist._worker_info",
    "WorkerList": "pydist._worker_info",
    "distributed": "pydist._loops",
    "recreate": "pydist._recreate",
    "refs": "pydist._held",
    "sync": "pydist._sync",
    "worker_info": "pydist._worker_info",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'pydist' has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


_offer_to_joblib()
_note_imports()

__version__ = "0.1.0"
