"""joblib on the workers: ``joblib.parallel_config("pydist")``.

What joblib calls a batch is one call on a worker, by the queue that `Executor` has (`pydist._dispatch`). A large array
that several batches have in common goes once to each worker, and is forgotten there when the ``Parallel`` is over.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

from pydist._calls import AbstractWorkerPool, remote_do
from pydist._dispatch import Dispatcher
from pydist._errors import DistributedError
from pydist._executor import _default_members
from pydist._pmap import _pool
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._runtime.slots import Slot
from pydist._tasks import Task

__all__ = ["PydistBackend"]

#: An array of so many bytes is shared by the batches; joblib's own backend does the same at this size.
_LARGE = 1_000_000
#: How long a ``Parallel`` that has failed waits for its workers to stop (seconds); `pmap` does the same.
_STOPPING = 0.5
_numbers = itertools.count(1)


class PydistBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of a ``joblib.Parallel`` on pydist's workers.

    Without ``n_jobs`` all workers are used. With a single one joblib computes in this process, as always. What a batch
    does in parallel by itself runs in threads of its worker, as with joblib's own backend. Arrays of 1 MB and more that
    several batches are given are read-only there, also as with joblib's own backend.

    Args:
        pool: a worker pool, or a list of ids; default: all workers.
        options: joblib's.

    Raises:
        TypeError, ValueError: there are no such workers; see `Executor`.

    Example:
        >>> import joblib
        >>> with joblib.parallel_config("pydist"):
        ...     joblib.Parallel()(joblib.delayed(abs)(-n) for n in range(5))
        [0, 1, 2, 3, 4]
    """

    default_n_jobs = -1
    supports_retrieve_callback = True

    def __init__(self, pool: AbstractWorkerPool | Iterable[int] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._node = current_node()
        self._pids = _default_members() if pool is None else _pool(pool)
        self._dispatcher: Dispatcher | None = None
        self._work: _Work | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many workers ``n_jobs`` means: -1 all of them, -2 all but one."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        there = max(len(self._pids()), 1)
        if n_jobs is None:
            return 1
        return max(there + 1 + n_jobs, 1) if n_jobs < 0 else min(n_jobs, there)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Begin to serve a ``Parallel``; return how many workers it gets."""
        self.parallel = parallel
        jobs = self.effective_n_jobs(n_jobs)
        self._dispatcher = Dispatcher(self._node, self._pids, jobs, None, ())
        return jobs

    def start_call(self) -> None:
        """A ``Parallel`` is called."""
        self._work = _Work(self._node)
        # joblib leaves there what a call that has failed had not sent, and would take it for a part of this one.
        left = getattr(self.parallel, "_ready_batches", None)
        if left is not None:
            with left.mutex:
                left.queue.clear()

    def stop_call(self) -> None:
        """The call is over."""
        work, self._work = self._work, None
        if work is not None:
            work.end()

    def submit(self, func: Any, callback: Callable[[Future[Any]], object] | None = None) -> Future[Any]:
        """Put a batch into the queue."""
        assert self._dispatcher is not None
        if self._work is None:
            self._work = _Work(self._node)
        task = _BatchTask(self._work, func)
        if callback is not None:
            task.future.add_done_callback(callback)
        self._dispatcher.put(task)
        return task.future

    def apply_async(self, func: Any, callback: Callable[[Future[Any]], object] | None = None) -> Future[Any]:
        """Do as `submit` does, which is the name since joblib 1.5."""
        return self.submit(func, callback)

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what a batch has returned, or raise what it has raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop what runs and drop what waits."""
        if self._dispatcher is not None:
            self._dispatcher.stop(lambda task: True)
            if self._work is not None:
                self._dispatcher.wait_for(self._work.unfinished(), _STOPPING)

    def terminate(self) -> None:
        """The ``Parallel`` will not be called again. The workers stay."""
        if self._dispatcher is not None:
            self._dispatcher.close()


class _Work:
    """One call of a ``Parallel``: the arrays that its batches share, and which worker has which."""

    def __init__(self, node: Node) -> None:
        self.origin = node.origin()
        self.key = (node.pid, next(_numbers))
        self._node = node
        self._seen: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._shared: set[int] = set()
        #: the numbers of the arrays there are on a stream
        self._there: dict[Any, set[int]] = {}
        self._pids: dict[Any, int] = {}
        self._open: set[Future[Any]] = set()
        self._ended = False

    def note(self, task: _BatchTask) -> None:
        """A batch is in the queue. Its large arrays are shared if another one has been given them, too."""
        self._open.add(task.future)
        task.future.add_done_callback(self._over)
        for _, args, kwargs in task.batch.items:
            for value in (*args, *kwargs.values()):
                if not _is_large(value):
                    continue
                ref, number = self._seen.get(id(value), (None, 0))
                if ref is not None and ref() is value:
                    self._shared.add(number)
                else:
                    self._seen[id(value)] = (weakref.ref(value), next(_numbers))

    def pack(self, batch: Any, stream: Any, pid: int) -> tuple[Any, dict[int, Any]]:
        """Return the batch without its shared arrays, and those that are not at that worker."""
        there = self._there.setdefault(stream, set())
        self._pids[stream] = pid
        new: dict[int, Any] = {}

        def away(value: Any) -> Any:
            ref, number = self._seen.get(id(value), (None, 0))
            if ref is None or number not in self._shared or ref() is not value:
                return value
            if number not in there:
                new[number] = value
            return _Kept(number)

        items = [(f, *_each(away, args, kwargs)) for f, args, kwargs in batch.items]
        return type(batch)(items, (batch._backend, batch._n_jobs)), new

    def sent(self, stream: Any, numbers: Iterable[int]) -> None:
        """The worker has these when the next batch gets there: it does one at a time."""
        self._there[stream].update(numbers)

    def lost(self, stream: Any, numbers: Iterable[int]) -> None:
        """Perhaps it does not have them."""
        self._there[stream].difference_update(numbers)

    def end(self) -> None:
        """There will be no more batches."""
        self._ended = True
        self._forget()

    def unfinished(self) -> list[Future[Any]]:
        """Return the Futures of the batches that are not over."""
        return list(self._open.copy())  # in one step: they are ending meanwhile

    def _over(self, future: Future[Any]) -> None:
        self._open.discard(future)
        self._forget()

    def _forget(self) -> None:
        if not self._ended or self._open or not self._shared:
            return
        while self._pids:
            _, pid = self._pids.popitem()
            try:
                remote_do(_forget, pid, self.key)
            except (DistributedError, ValueError):  # it has ended, and its memory with it
                pass


class _BatchTask(Task):
    """One batch on its way."""

    def __init__(self, work: _Work, batch: Any) -> None:
        super().__init__(work.origin, batch, (), {})
        self.batch = batch
        self._work = work
        self._sent: tuple[Any, Iterable[int]] | None = None
        work.note(self)

    def _send(self, node: Node, pid: int) -> Slot:
        peer = node.peers.get(pid)
        stream = None if peer is None else peer.connection
        batch, new = self._work.pack(self.batch, stream, pid)
        slot = node.call(pid, _run, (self._work.key, new, batch), {})
        self._sent = (stream, tuple(new))
        self._work.sent(*self._sent)
        return slot

    def outcome(self, node: Node) -> Any:
        """Return the results of the batch."""
        try:
            return super().outcome(node)
        except BaseException:
            if self._sent is not None:
                self._work.lost(*self._sent)
            raise


class _Kept:
    """Stands for an array that the worker has."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _Kept, (self.number,)


def _is_large(value: Any) -> bool:
    return type(value).__module__ == "numpy" and getattr(value, "nbytes", 0) >= _LARGE and hasattr(value, "setflags")


def _each(
    change: Callable[[Any], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(change, args)), {name: change(value) for name, value in kwargs.items()}


# ---- on the worker

#: (who, which call of a Parallel) -> the arrays by number
_kept: dict[tuple[int, int], dict[int, Any]] = {}


def _run(key: tuple[int, int], new: dict[int, Any], batch: Any) -> Any:
    """Run a batch, with the arrays that are kept here."""
    for value in new.values():
        value.setflags(write=False)  # the next batch shall find what this one has found
    if new:
        _kept.setdefault(key, {}).update(new)

    def back(value: Any) -> Any:
        return _kept[key][value.number] if type(value) is _Kept else value

    batch.items = [(f, *_each(back, args, kwargs)) for f, args, kwargs in batch.items]
    return batch()


def _forget(key: tuple[int, int]) -> None:
    _kept.pop(key, None)
