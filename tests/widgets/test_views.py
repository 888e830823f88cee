from __future__ import annotations

import gc
from concurrent.futures import Future
from typing import Any

from pydist_widgets._views import FutureView, ProgressMeter, WorkersView
from tests.widgets.processes import NOON, Process


class Call(Future[Any]):
    """A Future with the address that those of pydist have."""

    where, whence, id = 2, 1, 4


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_workers_are_asked_for_anew_each_time() -> None:
    processes = [Process(1)]
    view = WorkersView(lambda: processes, lambda: NOON)
    assert view.snapshot().grid.caption == "no workers"
    processes.append(Process(2))
    assert view.snapshot().grid.caption.startswith("1 worker ")


def test_time_passes_on_a_progress_meter_until_it_is_closed() -> None:
    clock = Clock()
    meter = ProgressMeter("pmap", 10, clock)
    clock.now += 2
    assert meter.snapshot().elapsed == 2
    meter.update(4, 1, 10)
    clock.now += 3
    meter.close("interrupted")
    clock.now += 50
    last = meter.snapshot()
    assert (last.finished, last.failed, last.total, last.elapsed, last.state) == (4, 1, 10, 5, "interrupted")


def test_a_meter_tells_of_its_changes() -> None:
    told: list[bool] = []
    meter = ProgressMeter("pmap", 2)
    meter.on_change = lambda: told.append(meter.ended)
    meter.update(1, 0, 2)
    meter.close("done")
    assert told == [False, True]


def test_a_future_is_pending_until_it_is_done() -> None:
    future = Call()
    view = FutureView(future)
    assert view.snapshot().text() == "Future(2, 1, 4) ◌ pending on worker 2"
    future.set_result(1)
    assert view.ended
    assert view.snapshot().state == "done"


def test_a_failed_future_names_the_error_in_one_line() -> None:
    future = Call()
    view = FutureView(future)
    future.set_exception(ValueError("no such file\nand more"))
    assert view.snapshot().text() == "Future(2, 1, 4) ✘ failed on worker 2: ValueError: no such file"


def test_a_cancelled_future() -> None:
    future = Call()
    view = FutureView(future)
    future.cancel()
    assert view.snapshot().state == "cancelled"


def test_showing_a_future_does_not_keep_it_alive() -> None:
    future = Call()
    view = FutureView(future)
    del future
    gc.collect()
    assert view.snapshot().state == "released"
    assert view.ended
