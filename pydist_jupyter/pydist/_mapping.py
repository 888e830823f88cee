"""The engine of ``pmap``: one function over many inputs, on all workers.

    inputs ─▶ batches ─▶ at most a few in flight on each worker ─▶ results by index
                 ▲                    │ failure
                 └── retries ◀── retry_check, on_error (here, on the master)

The calling thread does it all: it feeds, and reads the answers of all workers itself.
"""

from __future__ import annotations

import itertools
import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pydist import frontend
from pydist._errors import ProcessExitedException, remote_exception, unwrap
from pydist._runtime.asking import Prepared
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.shield import shield_of_this_thread
from pydist._runtime.slots import Slot

__all__ = ["Rules", "Run", "View", "annotate", "here"]

#: ``batch_size="auto"``: a batch should take about this long (seconds), and hold no more than so many items.
_TARGET = 0.001
_CAP = 1024
#: And there should be so many batches for each worker, so that they end at about the same time.
_SHARE = 4
#: While messages take less than this (seconds), a second one waits at each worker, so that it never idles between two.
#: With slow ones that would only keep an item from a worker that is free sooner.
_QUICK = 0.02
#: A progress display is told no more often than this (seconds).
_PROGRESS = 0.05
#: How long an interrupted pmap waits for its workers to stop.
_STOPPING = 0.5


class View:
    """The progress display, told now and then."""

    def __init__(self, node: Node, f: Any, progress: bool | str | None, total: int | None) -> None:
        factory = frontend.progress()
        wanted = progress is not False and factory is not None and (node.pid == 1 or progress)
        label = progress if isinstance(progress, str) else getattr(f, "__name__", "") or type(f).__name__
        self._view = factory(label, total) if wanted and factory is not None else None
        self._told = 0.0
        self.total = total
        self.done = self.failed = 0

    def tick(self) -> None:
        """Tell it, if the last time is a while ago."""
        if self._view is not None:
            now = time.monotonic()
            if now - self._told >= _PROGRESS:
                self._told = now
                self._view.update(self.done, self.failed, self.total)

    def close(self, state: str) -> None:
        """Tell it the end."""
        view, self._view = self._view, None
        if view is not None:
            view.update(self.done, self.failed, self.total)
            view.close(state)


class Rules:
    """What happens to an item that has failed."""

    def __init__(
        self, on_error: Callable[[BaseException], Any] | None, delays: Iterable[float], check: Callable[..., Any] | None
    ) -> None:
        self.on_error = on_error
        self.delays = [float(delay) for delay in delays]
        self.check = check

    def again(self, item: _Item, error: BaseException) -> float | None:
        """Return after how many seconds to try again, or None."""
        if item.attempts > len(self.delays):
            return None
        if self.check is not None:
            said = self.check(item.state, unwrap(error))
            if isinstance(said, tuple):
                item.state, said = said
            if not said:
                return None
        return self.delays[item.attempts - 1]


#: The arguments that an input is for the function.
Row = tuple[Any, ...]


class _Item:
    """An input that has failed."""

    __slots__ = ("attempts", "state")

    def __init__(self) -> None:
        self.attempts = 0
        self.state: Any = None


def here(
    f: Callable[..., Any], source: Iterator[tuple[Any, ...]], rules: Rules, view: View
) -> Iterator[tuple[int, Any]]:
    """Without workers: one after the other, in this thread; yields ``(index, result)``."""
    results: dict[int, Any] = {}
    for index, args in enumerate(source):
        item = _Item()
        while True:
            item.attempts += 1
            try:
                value = f(*args)
            except Exception as error:
                delay = rules.again(item, error)
                if delay is not None:
                    time.sleep(delay)
                    continue
                view.failed += 1
                if rules.on_error is None:
                    annotate(error, index, results)
                    raise
                value = rules.on_error(error)
            break
        view.done += 1
        view.tick()
        results[index] = value
        yield index, value


def annotate(error: BaseException, index: int, results: dict[int, Any]) -> None:
    """Let an exception say at which item it came, and what had been computed."""
    error.index = index  # type: ignore[attr-defined]
    error.results = results  # type: ignore[attr-defined]
    error.add_note(f"pmap: item {index} failed; .results has the {len(results)} that were computed")


class _Batch:
    """Inputs that travel together to one worker."""

    __slots__ = ("indices", "pid", "rows", "sent", "slot")

    def __init__(self, pid: int, indices: Sequence[int], rows: list[Row], slot: Slot) -> None:
        self.pid = pid
        self.indices = indices
        self.rows = rows
        self.slot = slot
        self.sent = time.monotonic()


class Run:
    """One pmap under way."""

    def __init__(
        self,
        node: Node,
        f: Callable[..., Any],
        source: Iterator[tuple[Any, ...]],
        pids: Callable[[], list[int]],
        batch_size: int | str,
        rules: Rules,
        view: View,
    ) -> None:
        self._node = node
        self._f = f
        self._source = source
        self._taken = 0
        self._pids = pids
        self._auto = batch_size == "auto"
        self._size = 1 if self._auto else int(batch_size)
        self._rules = rules
        self._view = view
        self._results: dict[int, Any] = {}
        #: Results that nobody has been given yet.
        self._fresh: deque[int] = deque()
        self._exhausted = False
        #: Those to send before new ones are taken: retries and what was behind a failure in its batch.
        self._again: deque[tuple[int, Row]] = deque()
        #: (time, (index, row)): retries that wait.
        self._later: list[tuple[float, tuple[int, Row]]] = []
        self._failures: dict[int, _Item] = {}
        self._prepared: dict[int, Prepared] = {}
        self._once = Once(node.pool)
        self._flying: dict[int, list[_Batch]] = {}
        #: Workers that nothing can be sent to.
        self._gone: set[int] = set()
        self._arrived: deque[_Batch] = deque()
        self._depth = 1
        self._cap = _CAP // _SHARE
        self._thread = 0

    def results(self, keep: bool) -> Iterator[tuple[int, Any]]:
        """Work; yield ``(index, result)`` as they come. Closing the iterator stops the work.

        Args:
            keep: remember all results, for the exception of a failure too. They are in `kept` then, and nothing is
                yielded.
        """
        self._thread = get_ident()
        finished = False
        try:
            while True:
                self._feed()
                if not any(self._flying.values()):
                    if self._exhausted and not self._again and not self._later:
                        break
                    if not self._later:
                        raise ValueError("No active worker available in pool")
                self._await()
                while self._arrived:
                    self._take(self._arrived.popleft())
                self._view.tick()
                if keep:
                    self._fresh.clear()
                while self._fresh:
                    index = self._fresh.popleft()
                    yield index, self._results.pop(index)
            finished = True
        finally:
            self._leave(finished)

    @property
    def kept(self) -> dict[int, Any]:
        """The results by index, as far as they are there."""
        return self._results

    def _await(self) -> None:
        """Wait for the next answer, or for the time of a retry."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            self._node.reader.lead_until(lambda: bool(self._arrived), self._until_retry())
            if shield.pending:
                # Before anything is raised: the next press may come at any instruction.
                self._cancel()
        finally:
            shield.lower()

    def _cancel(self) -> list[_Batch]:
        """Interrupt what is in flight; return it."""
        flying = [batch for batches in self._flying.values() for batch in batches if not batch.slot.done]
        for batch in flying:
            self._node.cancel(batch.slot)
        return flying

    def _leave(self, finished: bool) -> None:
        """Leave nothing on the workers, whatever interrupts come."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            flying = self._cancel()
            for pid, prepared in self._prepared.items():
                self._node.forget_prepared(pid, prepared)
            self._once.close()
        finally:
            shield.lower()
        if not finished and flying:
            # A moment for the workers to be free again.
            self._node.reader.lead_until(lambda: all(batch.slot.done for batch in flying), _STOPPING)

    def _until_retry(self) -> float | None:
        if not self._later:
            return None
        return max(0.0, min(when for when, _ in self._later) - time.monotonic())

    # ---- feeding

    def _feed(self) -> None:
        if self._later:
            now = time.monotonic()
            self._again.extend(one for when, one in self._later if when <= now)
            self._later = [(when, one) for when, one in self._later if when > now]
        pids = self._pids()
        if self._auto and self._view.total is not None:
            self._cap = max(1, min(_CAP, self._view.total // (_SHARE * len(pids) or 1)))
        for depth in range(1, self._depth + 1):
            for pid in pids:
                if pid == self._node.pid or pid in self._gone:
                    continue
                flying = self._flying.setdefault(pid, [])
                if len(flying) < depth:
                    indices, rows = self._next_rows()
                    if not rows:
                        return
                    self._send(pid, indices, rows)

    def _next_rows(self) -> tuple[Sequence[int], list[Row]]:
        if self._again:
            again = [self._again.popleft() for _ in range(min(self._size, len(self._again)))]
            return [index for index, _ in again], [row for _, row in again]
        rows = [] if self._exhausted else list(itertools.islice(self._source, self._size))
        if len(rows) < self._size:
            self._exhausted = True
        first = self._taken
        self._taken += len(rows)
        return range(first, self._taken), rows

    def _send(self, pid: int, indices: Sequence[int], rows: list[Row]) -> None:
        node = self._node
        shield = shield_of_this_thread()
        try:
            prepared = self._prepared.get(pid)
            if prepared is None or prepared.connection.closed:
                prepared = self._prepared[pid] = node.prepare(pid, self._f, self._once)
            # From the sending to the noting no interrupt: what is sent must be known, or nobody stops it.
            shield.raise_()
            try:
                slot = node.call_prepared(pid, prepared, rows)
                batch = _Batch(pid, indices, rows, slot)
                self._flying.setdefault(pid, []).append(batch)
            finally:
                shield.lower()
        except (EOFError, ProcessExitedException):
            # It died a moment ago: the items were never there. What it had is told by its own batches, with the reason.
            self._again.extendleft(reversed([*zip(indices, rows, strict=True)]))
            self._gone.add(pid)
            return
        except Exception as error:
            annotate(error, indices[0], self._results)
            raise
        slot.add_callback(lambda: self._landed(batch))

    def _landed(self, batch: _Batch) -> None:
        self._arrived.append(batch)
        if get_ident() != self._thread:
            self._node.reader.kick()

    # ---- taking in

    def _take(self, batch: _Batch) -> None:
        flying = self._flying.get(batch.pid, [])
        if batch in flying:
            flying.remove(batch)
        try:
            values, failure = self._node.value_of(batch.slot)
        except Exception as error:
            # The whole message: the worker has died, or what it sent cannot be read here.
            for index, row in zip(batch.indices, batch.rows, strict=True):
                self._failed(index, row, error)
            return
        self._adapt(batch)
        n, indices, rows = len(values), batch.indices, batch.rows
        done = indices[:n]
        self._results.update(zip(done, values, strict=True))
        self._fresh.extend(done)
        self._view.done += n
        if failure is not None:
            self._again.extendleft(reversed([*zip(indices[n + 1 :], rows[n + 1 :], strict=True)]))
            self._failed(indices[n], rows[n], remote_exception(batch.pid, failure))

    def _adapt(self, batch: _Batch) -> None:
        """More for each message while messages are quick, less when they are slow."""
        took = time.monotonic() - batch.sent
        self._depth = 2 if took < _QUICK else 1
        n = len(batch.rows)
        if self._auto and n == self._size:
            room = _TARGET * self._depth
            if took < room and n < self._cap:
                # Of the time of a quick one the most is the way there and back, which more items do not make longer.
                self._size = min(self._cap, max((8 if 4 * took < room else 2) * n, int(n * room / max(took, 1e-6))))
            elif took > 4 * room and n > 1:
                self._size = n // 2

    def _failed(self, index: int, row: Row, error: BaseException) -> None:
        item = self._failures.setdefault(index, _Item())
        item.attempts += 1
        delay = self._rules.again(item, error)
        if delay is not None:
            self._later.append((time.monotonic() + delay, (index, row)))
            return
        self._view.failed += 1
        if self._rules.on_error is None:
            annotate(error, index, self._results)
            raise error
        self._results[index] = self._rules.on_error(unwrap(error))
        self._fresh.append(index)
        self._view.done += 1
