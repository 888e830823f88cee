"""Pools: which workers may be used, and which of them are free."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

from pydist._calls import AbstractWorkerPool, remotecall_fetch
from pydist._channels import Channel
from pydist._errors import InvalidStateException
from pydist._procs import flatten, workers
from pydist._runtime.asking import Prepared
from pydist._runtime.current import current_node

__all__ = ["CachingPool", "WorkerPool", "default_worker_pool", "set_default_worker_pool"]

_NOBODY = "No active worker available in pool"


class WorkerPool(AbstractWorkerPool):
    """Workers, of which each does one thing at a time. Julia: ``WorkerPool``.

    It travels as a reference: all processes share one pool. Only live workers count.

    Args:
        pids: ids; default: all workers there are now.

    Example:
        >>> pool = WorkerPool(workers())
        >>> remotecall_fetch(abs, pool, -1)
        1
    """

    def __init__(self, pids: Iterable[int] | None = None) -> None:
        node = current_node()
        self._node = node
        self._lock = threading.RLock()
        self._members: dict[int, None] = {}
        self._busy: set[int] = set()
        self._free: Channel[int] = Channel(math.inf)
        for pid in workers() if pids is None else flatten(pids):
            self.push(pid)
        node.departed.append(self._departed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.workers()})"

    def _alive(self, pid: int) -> bool:
        return pid == self._node.pid or (self._node.peers.get(pid) is not None and not self._node.peers.is_dead(pid))

    def _departed(self, pid: int) -> None:
        with self._lock:
            self._members.pop(pid, None)
            self._busy.discard(pid)
        # Wake one who waits: perhaps nobody is left to wait for. 0 is no process.
        self._free.give_back(0)

    def push(self, pid: int) -> Self:
        """Add a worker; twice is the same as once. Julia: ``push!``."""
        with self._lock:
            if pid not in self._members:
                self._members[pid] = None
                self._free.put(pid)
        return self

    def put(self, pid: int) -> Self:
        """Give a worker back that `take` returned; one that does not belong to the pool is ignored. Julia: ``put!``."""
        with self._lock:
            if pid in self._busy:
                self._busy.discard(pid)
                self._free.put(pid)
        return self

    def take(self, timeout: float | None = None) -> int:
        """Return a free worker, waiting for one; it is busy until `put`. Julia: ``take!``.

        Raises:
            ValueError: no live worker is left.
            TimeoutError: none was free within ``timeout`` seconds.
        """
        while True:
            if not self.workers():
                raise ValueError(_NOBODY)
            pid = self._free.take(timeout=timeout)
            with self._lock:
                if pid in self._members and self._alive(pid):
                    self._busy.add(pid)
                    return pid
                self._members.pop(pid, None)
            if not self.workers():
                self._free.give_back(0)  # whoever else waits shall know it too

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until a worker is free, without taking it. Julia: ``wait``."""
        self.put(self.take(timeout))
        return self

    def isready(self) -> bool:
        """Return whether a worker is free."""
        with self._lock:
            return any(pid not in self._busy for pid in self.workers())

    def workers(self) -> list[int]:
        """Return the ids of its live workers. Julia: ``workers``."""
        with self._lock:
            return [pid for pid in self._members if self._alive(pid)]

    def __len__(self) -> int:
        return len(self.workers())

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        number = id(self)
        self._node.shared[number] = self
        return _received_pool, (self._node.pid, number)


class _FarPool(AbstractWorkerPool):
    """A pool of another process: everything is asked there."""

    def __init__(self, owner: int, number: int) -> None:
        self._owner = owner
        self._number = number

    def __repr__(self) -> str:
        return f"WorkerPool({self.workers()}, of process {self._owner})"

    def _ask(self, method: str, *args: Any) -> Any:
        return remotecall_fetch(_operate, self._owner, self._number, method, args)

    def push(self, pid: int) -> Self:
        """See `WorkerPool.push`."""
        self._ask("push", pid)
        return self

    def put(self, pid: int) -> Self:
        """See `WorkerPool.put`."""
        self._ask("put", pid)
        return self

    def take(self, timeout: float | None = None) -> int:
        """See `WorkerPool.take`."""
        return int(self._ask("take", timeout))

    def wait(self, timeout: float | None = None) -> Self:
        """See `WorkerPool.wait`."""
        self._ask("wait", timeout)
        return self

    def isready(self) -> bool:
        """See `WorkerPool.isready`."""
        return bool(self._ask("isready"))

    def workers(self) -> list[int]:
        """See `WorkerPool.workers`."""
        return list(self._ask("workers"))

    def __len__(self) -> int:
        return len(self.workers())

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        return _received_pool, (self._owner, self._number)


def _received_pool(owner: int, number: int) -> Any:
    """Return the pool of a handle that came in. Called by unpickling."""
    node = current_node()
    if owner == node.pid:
        return node.shared[number]
    return _FarPool(owner, number)


def _operate(number: int, method: str, args: tuple[Any, ...]) -> Any:
    pool = current_node().shared[number]
    answer = getattr(pool, method)(*args)
    return None if answer is pool else answer


class CachingPool(WorkerPool):
    """A pool that sends each function, with what it captures, once to each worker. Julia: ``CachingPool``.

    What a function captures is frozen when it is first sent; `clear` forgets it.

    Example:
        >>> pool = CachingPool(workers())
        >>> remotecall_fetch(lambda x: x + 1, pool, 1)
        2
    """

    def __init__(self, pids: Iterable[int] | None = None) -> None:
        super().__init__(pids)
        self._prepared: dict[tuple[int, int], tuple[Any, Prepared]] = {}

    def prepared(self, pid: int, f: Callable[..., Any]) -> Prepared | None:
        """Return the function as worker ``pid`` has it, sent now if it has not; None for this very process."""
        if pid == self._node.pid:
            return None
        key = (pid, id(f))
        known = self._prepared.get(key)
        if known is None or known[1].connection.closed:
            known = self._prepared[key] = (f, self._node.prepare(pid, f))
        return known[1]

    def clear(self) -> Self:
        """Forget all functions, here and on the workers. Julia: ``clear!``."""
        prepared, self._prepared = self._prepared, {}
        for (pid, _), (_, function) in prepared.items():
            self._node.forget_prepared(pid, function)
        return self

    def __reduce__(self) -> Any:
        raise TypeError("CachingPool objects are not serializable.")


class _DefaultPool(WorkerPool):
    """All workers, also those that join later; process 1 while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._node.joined.append(self._welcome)

    def _welcome(self, pids: list[int]) -> None:
        for pid in pids:
            self.push(pid)

    def workers(self) -> list[int]:
        """Return the ids of all workers."""
        with self._lock:
            alive = [pid for pid in self._members if pid != 1 and self._alive(pid)]
            return alive or [1]

    def take(self, timeout: float | None = None) -> int:
        """Return a free worker; 1 if there is none at all."""
        if self.workers() == [1]:
            return 1
        try:
            return super().take(timeout)
        except InvalidStateException:
            return 1


_defaults: dict[int, AbstractWorkerPool] = {}


def default_worker_pool() -> AbstractWorkerPool:
    """Return the pool of all workers, shared by all processes. Julia: ``default_worker_pool``.

    Example:
        >>> default_worker_pool().workers() == workers()
        True
    """
    node = current_node()
    pool = _defaults.get(id(node))
    if pool is None:
        pool = _DefaultPool() if node.pid == 1 else remotecall_fetch(_default_of_master, 1)
        _defaults[id(node)] = pool
    return pool


def _default_of_master() -> AbstractWorkerPool:
    return default_worker_pool()


def set_default_worker_pool(pool: AbstractWorkerPool) -> AbstractWorkerPool:
    """Let `default_worker_pool` return another pool in this process; return it. Julia: ``default_worker_pool!``.

    Raises:
        TypeError: it is not a pool.

    Example:
        >>> pool = default_worker_pool()
        >>> set_default_worker_pool(WorkerPool([2])).workers()
        [2]
        >>> {remotecall_fetch(myid, default_worker_pool()) for _ in range(5)}
        {2}
        >>> set_default_worker_pool(pool) is pool
        True
    """
    if not isinstance(pool, AbstractWorkerPool):
        raise TypeError(f"the default pool must be a worker pool, not {pool!r}")
    _defaults[id(current_node())] = pool
    return pool
