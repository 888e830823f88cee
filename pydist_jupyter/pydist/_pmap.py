"""``pmap`` and its relatives; the engine is in _mapping.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydist._calls import AbstractWorkerPool
from pydist._items import Inputs
from pydist._mapping import Run
from pydist._procs import flatten, workers
from pydist._rules import Rules, View, here
from pydist._runtime.current import current_node

__all__ = ["asyncmap", "pgenerate", "pimap", "pmap", "retry"]


def pmap(
    f: Callable[..., Any],
    *iterables: Any,
    pool: Any = None,
    distributed: bool = True,
    batch_size: int | str = 1,
    on_error: Callable[[BaseException], Any] | None = None,
    retry_delays: Iterable[float] = (),
    retry_check: Callable[..., Any] | None = None,
    progress: bool | str | None = None,
) -> list[Any]:
    """Return ``[f(x) for x in iterable]``, computed on the workers, in input order. Julia: ``pmap``.

    ``f`` and what it captures go once to each worker. The input is consumed lazily, a little ahead of the work.
    Ctrl-C stops it: nothing new is sent, its running calls are interrupted, the workers stay usable.

    Args:
        f: the function.
        *iterables: its inputs; several are zipped (the shortest ends it). They may be infinite if ``f`` fails at last.
        pool: ids of the workers to use; default: all, also those that join meanwhile.
        distributed: False: run here, in this thread.
        batch_size: items per message, or ``"auto"``: as many as take about a millisecond.
        on_error: called here with the original exception of an item that has failed for good (the end of its worker
            included); what it returns is the item's result. If it raises, so does pmap.
        retry_delays: seconds to wait before each further attempt; n delays allow n + 1 attempts, on any worker.
        retry_check: ``retry_check(state, exception)`` returns whether to try again, or ``(state, whether)``.
        progress: True or a label: show a live display if there is a front end; False: none; None: as in the front end.

    Raises:
        ValueError: ``batch_size`` is not positive, or there is nobody to do the work.
        TypeError: there is no iterable.
        RemoteException: ``f`` raised; ``.index`` says for which item, ``.results`` is a dict of what was computed.
        ProcessExitedException: a worker ended, and no retries were allowed.

    Example:
        >>> pmap(pow, [1, 2, 3], [2, 2, 2])
        [1, 4, 9]
    """
    plan = _Plan(f, iterables, pool, distributed, batch_size, Rules(on_error, retry_delays, retry_check), progress)
    return plan.all()


def pimap(
    f: Callable[..., Any],
    *iterables: Any,
    ordered: bool = True,
    pool: Any = None,
    distributed: bool = True,
    batch_size: int | str = 1,
    on_error: Callable[[BaseException], Any] | None = None,
    retry_delays: Iterable[float] = (),
    retry_check: Callable[..., Any] | None = None,
    progress: bool | str | None = False,
) -> Iterator[Any]:
    """Yield what `pmap` would return, as it comes. Work goes on while results are asked for, a little ahead of them.

    Args:
        f: the function.
        *iterables: its inputs, which may be infinite.
        ordered: in input order; False: as completed.
        pool: as for `pmap`, like all that follow.
        distributed: False: run here.
        batch_size: items per message, or ``"auto"``.
        on_error: what to do with an item that has failed for good.
        retry_delays: seconds before further attempts.
        retry_check: whether to try again.
        progress: a live display.

    Raises:
        Exception: as `pmap`, when the failed item is asked for. Closing the iterator stops the work.

    Example:
        >>> next(pimap(abs, [-1, -2]))
        1
    """
    rules = Rules(on_error, retry_delays, retry_check)
    plan = _Plan(f, iterables, pool, distributed, batch_size, rules, progress)
    return plan.in_order() if ordered else plan.as_completed()


def pgenerate(f: Callable[..., Any], *iterables: Any, pool: Any = None) -> Iterator[Any]:
    """Yield ``f`` of the inputs in order, computed on the workers in batches. Julia: ``Distributed.pgenerate``.

    Example:
        >>> list(pgenerate(abs, [-1, -2]))
        [1, 2]
    """
    return pimap(f, *iterables, pool=pool, batch_size="auto")


def asyncmap(f: Callable[..., Any], *iterables: Any, ntasks: int = 0) -> list[Any]:
    """Return ``f`` of the inputs in order, computed here in threads: for waiting, not for computing.

    Julia: ``asyncmap``.

    Args:
        f: the function.
        *iterables: its inputs; several are zipped.
        ntasks: how many threads; 0: up to 100, as in Julia.

    Raises:
        Exception: the first that ``f`` raises.

    Example:
        >>> asyncmap(abs, [-1, -2])
        [1, 2]
    """
    from concurrent.futures import ThreadPoolExecutor

    if ntasks < 0:
        raise ValueError(f"ntasks must not be negative, it is {ntasks}")
    with ThreadPoolExecutor(ntasks or 100) as threads:
        return list(threads.map(f, *iterables))


def retry(
    f: Callable[..., Any], delays: Iterable[float] = (0.05,), check: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Return a function that calls ``f`` again when it fails. Julia: ``retry``.

    Args:
        f: the function.
        delays: seconds to wait before each further attempt, as `ExponentialBackOff` gives them.
        check: ``check(state, exception)`` returns whether to try again, or ``(state, whether)``.

    Example:
        >>> retry(abs)(-1)
        1
    """
    import functools

    waits = list(delays)

    @functools.wraps(f)
    def persistent(*args: Any, **kwargs: Any) -> Any:
        once = functools.partial(f, **kwargs)
        for _, value in here(once, iter([args]), Rules(None, waits, check), View(current_node(), f, False, 1)):
            return value

    return persistent


class _Plan:
    """The arguments of a map, checked.

    Raises:
        ValueError, TypeError: they make no sense; one sentence says which.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        iterables: tuple[Any, ...],
        pool: Any,
        distributed: bool,
        batch_size: int | str,
        rules: Rules,
        progress: bool | str | None,
    ) -> None:
        if not callable(f):
            raise TypeError(f"pmap: the first argument must be callable, not {f!r}")
        if pool is None and iterables and isinstance(iterables[0], AbstractWorkerPool):
            pool, iterables = iterables[0], iterables[1:]
        if not iterables:
            raise TypeError("pmap needs at least one iterable after the function")
        if batch_size != "auto" and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
            raise ValueError(f'batch_size must be specified as a positive integer or "auto". batch_size={batch_size}')
        for iterable in iterables:
            if not isinstance(iterable, Iterable) and not hasattr(iterable, "__getitem__"):
                raise TypeError(f"pmap: {iterable!r} is not iterable")
        self._node = current_node()
        self._f = f
        self._inputs = Inputs(iterables)
        self._pids = _pool(pool)
        self._distributed = distributed
        self._batch_size = batch_size
        self._rules = rules
        self._progress = progress
        self._run: Run | None = None

    def results(self, keep: bool) -> Iterator[tuple[int, Any]]:
        """Do the work; yield ``(index, result)``, and tell the progress display."""
        node = self._node
        view = View(node, self._f, self._progress, self._inputs.total)
        if not self._distributed or all(pid == node.pid for pid in self._pids()):
            work = here(self._f, self._inputs.rows(), self._rules, view)
        else:
            self._run = Run(node, self._f, self._inputs, self._pids, self._batch_size, self._rules, view, keep)
            work = self._run.results()
        try:
            yield from work
        except (KeyboardInterrupt, GeneratorExit):
            view.close("interrupted")
            raise
        except BaseException:
            view.close("failed")
            raise
        view.close("done")

    def all(self) -> list[Any]:
        """Do the work; return the results in input order."""
        given = [value for _, value in self.results(keep=True)]  # those that were computed here come in order
        return given if self._run is None else self._run.in_order()

    def as_completed(self) -> Iterator[Any]:
        """Yield the results as they come."""
        for _, value in self.results(keep=False):
            yield value

    def in_order(self) -> Iterator[Any]:
        """Yield the results in input order."""
        early: dict[int, Any] = {}
        due = 0
        for index, value in self.results(keep=False):
            early[index] = value
            while due in early:
                yield early.pop(due)
                due += 1


def _pool(pool: Any) -> Callable[[], list[int]]:
    """Return a function that says who may work now."""
    if pool is None:
        return workers
    if isinstance(pool, AbstractWorkerPool):
        if not pool.workers():
            raise ValueError("No active worker available in pool")
        return pool.workers
    pids = flatten([pool] if isinstance(pool, int) else pool)
    if not pids:
        raise ValueError("No active worker available in pool")
    node = current_node()
    for pid in pids:
        if pid != node.pid and not node.peers.is_dead(pid):
            node.peers.connection(pid)
    return lambda: [pid for pid in pids if pid == node.pid or not node.peers.is_dead(pid)]
