"""The workers as `concurrent.futures` knows them."""

from __future__ import annotations

import concurrent.futures
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from pydist._calls import AbstractWorkerPool
from pydist._dispatch import Dispatcher
from pydist._pmap import _pool
from pydist._pools import default_worker_pool
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._tasks import Chunk, Mapped, Task

__all__ = ["Executor"]

T = TypeVar("T")


class Executor(concurrent.futures.Executor):
    """The workers as a `concurrent.futures.Executor`: stands in for ``ProcessPoolExecutor``.

    Each worker does one call of it at a time; the others wait here, and can be cancelled. It does not own the workers:
    after `shutdown` they are there as before. Functions and data go by pydist's rules, so those of a notebook will do.
    The Futures are plain ``concurrent.futures.Future``; an error keeps its class. When a worker ends in the middle of
    a call, that call fails with an exception that is a `ProcessExitedException` and a ``BrokenProcessPool``; the others
    go on. Without any worker the calls run in a thread of this process.

    Args:
        pool: a worker pool, or a list of ids; default: all workers, also those that join later.
        max_workers: use no more of them than this at the same time.
        initializer: called once on each worker, before its first call. If it fails, so does everything.
        initargs: its arguments.

    Raises:
        TypeError: ``pool`` is neither, or ``max_workers`` is no integer.
        ValueError: there is no such process, the pool is empty, or ``max_workers`` is below 1.

    Example:
        >>> with Executor() as executor:
        ...     future = executor.submit(pow, 3, 4)
        ...     print(future.result(), list(executor.map(abs, [-1, -2])))
        81 [1, 2]
    """

    def __init__(
        self,
        pool: AbstractWorkerPool | Iterable[int] | None = None,
        *,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        _check_pool(pool)
        _check_max_workers(max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._node = current_node()
        pids = _default_members() if pool is None else _pool(pool)
        self._dispatcher = Dispatcher(self._node, pids, max_workers, initializer, tuple(initargs))

    def __repr__(self) -> str:
        return f"Executor({self._dispatcher.places()})"

    @property
    def _max_workers(self) -> int:
        """How many calls run at the same time. Libraries that are given an executor look here."""
        return len(self._dispatcher.places())

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Have ``fn(*args, **kwargs)`` called on a worker that is free; return the Future of its result.

        The arguments are pickled when it is sent there. What cannot be pickled is an exception of the Future.

        Raises:
            TypeError: ``fn`` is not callable.
            RuntimeError: the executor is shut down.
            BrokenProcessPool: the initializer has failed.
        """
        if not callable(fn):
            raise TypeError(f"submit: the first argument must be callable, not {fn!r}")
        task = Task(self._node.origin(), fn, args, kwargs)
        self._dispatcher.put(task)
        return task.future

    def map(  # buffersize is new in Python 3.14
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over ``fn`` of the inputs, in order; the work begins now. `pmap` knows more.

        ``fn`` goes once to each worker, with all that it captures. Leaving the iterator early cancels what has not been
        sent; Ctrl-C while it waits stops what runs, too.

        Args:
            fn: the function.
            *iterables: its inputs; several are zipped, the shortest ends it. They are read now, all of them, unless
                there is a ``buffersize``.
            timeout: seconds, from now, for all of it.
            chunksize: how many inputs go in one message; more than 1 pays for many quick calls.
            buffersize: how many messages may be on their way or waiting to be asked for; the inputs may then be
                infinite.

        Raises:
            ValueError: ``chunksize`` or ``buffersize`` is below 1.
            TypeError: ``fn`` is not callable, or ``buffersize`` no integer.
            TimeoutError: from the iterator, when the time is over.
            Exception: from the iterator, in its turn, what ``fn`` has raised.
        """
        if not callable(fn):
            raise TypeError(f"map: the first argument must be callable, not {fn!r}")
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        return self._results(_Map(self._node, fn, iterables, chunksize), deadline, buffersize)

    def _results(self, work: _Map, deadline: float | None, buffersize: int | None) -> Iterator[Any]:
        dispatcher = self._dispatcher
        chunks: deque[Chunk] = deque()

        def send(n: int | None) -> None:
            for chunk in work.take(n):
                dispatcher.put(chunk)
                chunks.append(chunk)

        def leave() -> None:
            for chunk in chunks:
                chunk.future.cancel()
            work.end()

        def stop() -> None:
            dispatcher.stop(lambda task: isinstance(task, Chunk) and task.mapped is work.mapped)

        def results() -> Iterator[Any]:
            try:
                while chunks:
                    future = chunks[0].future
                    left = None if deadline is None else deadline - time.monotonic()
                    values, failure = future.result(left)
                    chunks.popleft()
                    if buffersize is not None:
                        send(1)
                    yield from values
                    if failure is not None:
                        raise failure
            except KeyboardInterrupt:
                stop()
                raise
            finally:
                leave()

        try:
            send(buffersize)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                stop()
            leave()
            raise
        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. The workers stay.

        Args:
            wait: until all calls have ended.
            cancel_futures: cancel those that have not been sent to a worker.
        """
        self._dispatcher.close()
        if cancel_futures:
            self._dispatcher.drop(lambda task: True)
        if wait:
            self._dispatcher.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for all calls, as `shutdown` does; after Ctrl-C stop them."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._stop()
        try:
            self.shutdown(wait=True)
        except KeyboardInterrupt:
            self._stop()
            self._dispatcher.join()
            raise

    def _stop(self) -> None:
        self._dispatcher.close()
        self._dispatcher.stop(lambda task: True)


class _Map:
    """A map: its inputs in chunks, and its function, which the workers forget when the last chunk is over."""

    def __init__(
        self, node: Node, fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], chunksize: int
    ) -> None:
        self.mapped = Mapped(fn)
        self._node = node
        self._origin = node.origin()
        rows = zip(*iterables, strict=False)
        self._batches = iter(lambda: list(itertools.islice(rows, chunksize)), [])
        self._open: set[concurrent.futures.Future[Any]] = set()
        self._ended = False

    def take(self, n: int | None) -> Iterator[Chunk]:
        """Yield the next chunks, at most ``n``."""
        for batch in itertools.islice(self._batches, n):
            chunk = Chunk(self._origin, self.mapped, batch)
            self._open.add(chunk.future)
            chunk.future.add_done_callback(self._over)
            yield chunk
        if n is None:
            self.end()

    def end(self) -> None:
        """There will be no more chunks."""
        self._ended = True
        self._forget()

    def _over(self, future: concurrent.futures.Future[Any]) -> None:
        self._open.discard(future)
        self._forget()

    def _forget(self) -> None:
        if self._ended and not self._open:
            self.mapped.forget(self._node)


def _check_pool(pool: object) -> None:
    if isinstance(pool, int):
        raise TypeError(
            f"Executor({pool!r}) may mean two things: write Executor(max_workers={pool!r}) for so many workers, "
            f"Executor([{pool!r}]) for the worker with that id"
        )
    if pool is not None and not isinstance(pool, AbstractWorkerPool | Iterable):
        raise TypeError(f"the pool of an Executor is a worker pool or a list of ids, not {pool!r}")


def _check_max_workers(max_workers: object) -> None:
    if max_workers is None:
        return
    if isinstance(max_workers, bool) or not isinstance(max_workers, int):
        raise TypeError(f"max_workers must be an integer, not {max_workers!r}")
    if max_workers < 1:
        raise ValueError("max_workers must be greater than 0")


def _default_members() -> Callable[[], list[int]]:
    """Say who is in the default pool; process 1 stands in for workers that never were, not for those that have died."""
    seen: set[int] = set()

    def members() -> list[int]:
        pids = default_worker_pool().workers()
        seen.update(pids)
        return [] if pids == [1] and len(seen) > 1 else pids

    return members
