"""The measurements, run inside a system's own script.

A script is told by a `Job` what to do, and prints one line of JSON: ``{"system", "values", "errors", "notes"}``.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from time import perf_counter, sleep
from typing import Any

from benchmarks import work
from benchmarks.system import NotOffered, System

__all__ = ["PARTS", "Job", "main"]


@dataclasses.dataclass(frozen=True)
class Job:
    """What one process is to measure.

    Attributes:
        part: which of `PARTS`.
        rows: keys; empty: all of that part.
        workers: how many.
        items: for the part "items".
        quick: fewer repeats.
    """

    part: str = "rows"
    rows: tuple[str, ...] = ()
    workers: int = 4
    items: int = 1000
    quick: bool = False


#: No loop of single calls takes longer than this (seconds): the slowest systems need milliseconds for each.
_ENOUGH = 6.0
#: What takes longer than this (seconds) is not repeated.
_SLOW = 2.0
_PAUSE = 0.002
_CALLS = 5000
_ADDITIONS = 100_000_000


class Measurement:
    """One run of one system: collects values under the keys of rows.py."""

    def __init__(self, system: System, job: Job) -> None:
        self.system = system
        self.job = job
        self.values: dict[str, float] = {}
        self.errors: dict[str, str] = {}
        self.notes: dict[str, Any] = {}

    def wanted(self, *keys: str) -> bool:
        """Say whether any of these rows was asked for."""
        return not self.job.rows or any(key in self.job.rows for key in keys)

    def row(self, keys: str, measure: Callable[[], tuple[float, ...] | float]) -> None:
        """Fill the rows named in ``keys`` with what ``measure`` returns; what cannot be had stays blank."""
        names = keys.split()
        if not self.wanted(*names):
            return
        try:
            measured = measure()
        except NotOffered:
            return
        except Exception as error:
            self.errors[names[0]] = f"{type(error).__name__}: {error}"[:300]
            return
        self.values.update(zip(names, measured if isinstance(measured, tuple) else (measured,), strict=True))

    # ---- parts

    def rows(self) -> None:
        """Measure everything that one set of workers can be measured by."""
        system = self.system
        self.values["start_cold"] = 1e3 * self._start(load=True)
        try:

            def one(i: int) -> int:
                return 0

            def turn(i: int) -> int:
                return i % system.n

            self.row("hot_p50 hot_p99", lambda: self._calls(one, 3000))
            self.row("turn_p50 turn_p99", lambda: self._calls(turn, 3000))
            self.row("pause_p50 pause_p99", lambda: self._calls(one, 600, pause=_PAUSE))
            self.row("pss", self._pss)
            self.row("main_p50", lambda: self._calls(one, 2000, f=_function_of_main())[0])
            self.row("busy_p50 busy_p99", self._busy)
            self.row("everywhere", lambda: self._everywhere(300))
            self.row("channel", lambda: self._channel(2000))
            self.row("pipe_1", lambda: _CALLS / self._in_flight(_CALLS, 1))
            self.row("pipe_4", lambda: _CALLS / self._in_flight(_CALLS, system.n))
            self.row("map_1", lambda: _CALLS / self._map(_CALLS, 1))
            self.row("map_best", lambda: _CALLS / self._best_map(_CALLS))
            self.row("loop", self._loop)
            if self.wanted("argument", "result", "broadcast", "broadcast_write", "between"):
                self._arrays()
        finally:
            self.values["shutdown"] = 1e3 * _time(system.stop)

    def ready(self) -> None:
        """Time the import, and the start of workers in a session that has everything loaded."""
        self.row("import", self._import)
        if self.wanted("start_ready"):
            self.system.load()
            self.system.settle()
            sleep(1.0)  # whatever the system prepares in the background may end
            self.values["start_ready"] = 1e3 * self._start(load=False)
            self.system.stop()

    def workers(self) -> None:
        """Measure what depends on the number of workers."""
        system, n = self.system, self.system.n
        self.system.load()
        self.values["start"] = 1e3 * self._start(load=False)
        try:
            self.row("turn_p50", lambda: self._calls(lambda i: i % n, 3000)[0])
            self.row("pss", self._pss)
            self.row("everywhere", lambda: self._everywhere(100))
            self.row("broadcast_8", lambda: 1e3 * self._repeat(self._broadcast(1_000_000, work.length), 5))
            self.row("pipe_n", lambda: 1e3 * self._in_flight(_CALLS, n))
            self.row("map_n", lambda: 1e3 * self._map(_CALLS, 1))
        finally:
            self.values["shutdown"] = 1e3 * _time(system.stop)

    def items(self) -> None:
        """Measure what depends on the number of items."""
        n = self.job.items
        self.system.load()
        self._start(load=False)
        try:
            self.row("pipe_items", lambda: 1e3 * self._in_flight(n, 1))
            self.row("map_items", lambda: 1e3 * self._map(n, 1))
            self.row("map_best_items", lambda: 1e3 * self._best_map(n))
        finally:
            self.system.stop()

    # ---- the measurements

    def _start(self, load: bool) -> float:
        """Start the workers until each has answered; return the seconds."""
        system = self.system
        begin = perf_counter()
        if load:
            system.load()
        system.start()
        system.gather([system.submit(i, work.noop, i) for i in range(system.n)])
        taken = perf_counter() - begin
        if not system.addresses:
            system.pids()  # those that are started on demand
        return taken

    def _import(self) -> float:
        """Return the milliseconds by which the import makes the start of an interpreter longer."""
        system = self.system
        if system.statement == "pass":
            raise NotOffered
        commands = [[sys.executable, "-c", code] for code in ("pass", system.statement)]
        times: list[list[float]] = [[], []]
        for _ in range(4 if self.job.quick else 10):
            for command, taken in zip(commands, times, strict=True):
                taken.append(_time(lambda command=command: subprocess.run(command, check=True)))  # type: ignore[misc]
        # The first of each warms the disk.
        return 1e3 * (statistics.median(times[1][1:]) - statistics.median(times[0][1:]))

    def _calls(
        self, target: Callable[[int], int], n: int, pause: float = 0.0, f: Callable[[Any], Any] = work.noop
    ) -> tuple[float, float]:
        """Return p50 and p99 of single calls, in microseconds."""
        call = self.system.call

        def one(i: int) -> float:
            if pause:
                sleep(pause)
            worker = target(i)
            begin = perf_counter()
            value = call(worker, f, i)
            taken = perf_counter() - begin
            assert value == i
            return taken

        if self.job.quick:
            n //= 4
        list(self._until_enough(one, n // 10))
        return _percentiles(list(self._until_enough(one, n)))

    def _busy(self) -> tuple[float, float]:
        if not self.system.addresses:
            raise NotOffered
        self.system.call(0, work.spin, 0)
        try:
            return self._calls(lambda i: 0, 1000)
        finally:
            self.system.call(0, work.stop_spinning, 0)

    def _everywhere(self, n: int) -> float:
        def one(i: int) -> float:
            return _time(self.system.everywhere)

        list(self._until_enough(one, 10))
        return _percentiles(list(self._until_enough(one, n // 3 if self.job.quick else n)))[0]

    def _channel(self, n: int) -> float:
        put, take = self.system.channel()

        def one(i: int) -> float:
            begin = perf_counter()
            put(i)
            value = take()
            taken = perf_counter() - begin
            assert value == i
            return taken

        list(self._until_enough(one, n // 10))
        return _percentiles(list(self._until_enough(one, n // 4 if self.job.quick else n)))[0]

    def _in_flight(self, n: int, workers: int) -> float:
        system = self.system

        def run(n: int = n) -> None:
            values = system.gather([system.submit(i % workers, work.noop, i) for i in range(n)])
            assert values[-1] == n - 1

        run(200)
        return self._repeat(run, 3)

    def _map(self, n: int, chunk: int | None) -> float:
        system = self.system

        def run(n: int = n) -> None:
            values = system.map(work.noop, range(n), chunk)
            assert len(values) == n
            assert values[-1] == n - 1

        run(200)
        return self._repeat(run, 3)

    def _best_map(self, n: int) -> float:
        times = {chunk: self._map(n, chunk) for chunk in self.system.chunks}
        best = min(times, key=times.__getitem__)
        self.notes["batch"] = "auto" if best is None else best
        return times[best]

    def _loop(self) -> float:
        n = _ADDITIONS // 10 if self.job.quick else _ADDITIONS
        return n / self._repeat(lambda: self.system.loop(n), 3)

    def _arrays(self) -> None:
        try:
            import numpy as np
        except ImportError:
            self.notes["arrays"] = "numpy is missing"
            return
        system = self.system
        a = np.random.default_rng(0).random(work.ITEMS)
        gigabytes = a.nbytes / 1e9
        repeats = 3 if self.job.quick else 7
        count = itertools.count(1)

        def send() -> None:
            a[0] = next(count)  # nobody may send what was sent before
            assert system.argument(work.length, a) == work.ITEMS

        def fetch() -> None:
            assert len(system.result()) == work.ITEMS

        def between() -> None:
            assert system.between() == work.ITEMS

        def argument() -> float:
            self.notes["argument_writeable"] = bool(system.argument(work.writeable, a))
            return gigabytes / self._repeat(send, repeats)

        def result() -> float:
            system.call(0, work.make, 0)
            self.notes["result_writeable"] = bool(system.result().flags.writeable)
            return gigabytes / self._repeat(fetch, repeats)

        self.row("argument", argument)
        self.row("result", result)
        self.row("between", lambda: gigabytes / self._repeat(between, repeats))
        self.row("broadcast", lambda: 1e3 * self._repeat(self._broadcast(work.ITEMS, work.length), repeats))
        self.row("broadcast_write", lambda: 1e3 * self._repeat(self._broadcast(work.ITEMS, work.add_one), repeats))

    def _broadcast(self, items: int, f: Callable[[Any], Any]) -> Callable[[], None]:
        try:
            import numpy as np
        except ImportError:
            raise NotOffered from None
        a = np.random.default_rng(0).random(items)
        count = itertools.count(1)
        self.system.broadcast(f, a[:10])  # numpy is imported there

        def broadcast() -> None:
            a[0] = next(count)
            self.system.broadcast(f, a)

        return broadcast

    def _pss(self) -> float:
        sizes = [size for size in map(_pss_of, self.system.pids()) if size is not None]
        if not sizes:
            raise NotOffered
        return statistics.mean(sizes)

    # ---- repeating

    def _until_enough(self, one: Callable[[int], float], n: int) -> Iterator[float]:
        """Yield ``one(i)`` for ``n`` numbers, or fewer when the time is up."""
        end = perf_counter() + (_ENOUGH / 3 if self.job.quick else _ENOUGH)
        for i in range(n):
            yield one(i)
            if perf_counter() > end:
                return

    def _repeat(self, run: Callable[[], None], n: int) -> float:
        """Return the median seconds of ``n`` runs after a first one; fewer if they are slow."""
        first = _time(run)
        if first > _SLOW:
            return first
        return statistics.median([_time(run) for _ in range(n)])


PARTS = {
    "rows": Measurement.rows,
    "ready": Measurement.ready,
    "workers": Measurement.workers,
    "items": Measurement.items,
}


def main(make: Callable[[int], System]) -> None:
    """Do what the first argument says (a `Job` as JSON; without one: all rows) and print the outcome."""
    asked = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    job = Job(**{**asked, "rows": tuple(asked.get("rows", ()))})
    _function_of_main()  # before any process is forked
    system = make(job.workers)
    measurement = Measurement(system, job)
    PARTS[job.part](measurement)
    said = {
        "system": system.name,
        "values": measurement.values,
        "errors": measurement.errors,
        "notes": measurement.notes,
    }
    print("\n" + json.dumps(said), flush=True)


def _function_of_main() -> Callable[[Any], Any]:
    """Return a function as a notebook would define it."""
    scope = vars(sys.modules["__main__"])
    if "same" not in scope:
        exec("def same(x):\n    return x", scope)
    function: Callable[[Any], Any] = scope["same"]
    return function


def _time(run: Callable[[], object]) -> float:
    begin = perf_counter()
    run()
    return perf_counter() - begin


def _percentiles(times: list[float]) -> tuple[float, float]:
    times.sort()
    return 1e6 * times[len(times) // 2], 1e6 * times[len(times) * 99 // 100]


def _pss_of(pid: int) -> float | None:
    """Return the share of memory of a process, in MB; None where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return None
