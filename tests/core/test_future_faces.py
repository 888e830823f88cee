"""A Future is one of concurrent.futures and of asyncio, too; and it can be cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import operator
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

import pydist
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import stopped

pytestmark = pytest.mark.processes


def test_it_is_a_future_of_concurrent_futures(pids: list[int]) -> None:
    future = pydist.remotecall(pow, pids[0], 3, 4)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(LIMIT) == 81
    assert future.exception(LIMIT) is None
    assert future.done()
    assert not future.running()
    assert not future.cancelled()


def test_its_exception_is_what_fetch_raises(pids: list[int]) -> None:
    error = pydist.remotecall(operator.truediv, pids[0], 1, 0).exception(LIMIT)
    assert isinstance(error, ZeroDivisionError)
    assert isinstance(error, pydist.RemoteException)


@pytest.mark.parametrize("make", ["call there", "call here", "unset there", "unset here"])
def test_wait_sees_what_is_ready_and_what_becomes_ready(make: str, pids: list[int]) -> None:
    where = 1 if make.endswith("here") else pids[0]
    gate = Gate(where, f"wait {make}")
    ready = pydist.remotecall_wait(pow, where, 3, 4)
    later = gate.start() if make.startswith("call") else pydist.Future(where)
    found = concurrent.futures.wait([ready, later], timeout=0.01)
    assert (found.done, found.not_done) == ({ready}, {later})
    if make.startswith("call"):
        gate.open()
    else:
        pydist.remotecall(lambda f: f.put(1) and None, pids[1], later).wait(LIMIT)
    found = concurrent.futures.wait([ready, later], timeout=LIMIT)
    assert (found.done, found.not_done) == ({ready, later}, set())


@pytest.mark.parametrize("until", [concurrent.futures.FIRST_COMPLETED, concurrent.futures.FIRST_EXCEPTION])
def test_wait_ends_with_the_first(until: str, pids: list[int]) -> None:
    gate = Gate(pids[0], f"wait {until}")
    blocked = gate.start()
    failing = pydist.remotecall(operator.truediv, pids[1], 1, 0)
    done, not_done = concurrent.futures.wait([blocked, failing], timeout=LIMIT, return_when=until)
    assert (done, not_done) == ({failing}, {blocked})
    gate.open()


def test_as_completed_yields_each_once_as_it_comes(pids: list[int]) -> None:
    gates = [Gate(pid, "as_completed") for pid in pids]
    futures: list[concurrent.futures.Future[Any]] = [gate.start(i) for i, gate in enumerate(gates)]
    found = []
    completed = concurrent.futures.as_completed(futures, timeout=LIMIT)
    for i in (2, 0, 1):
        gates[i].open()
        found.append(next(completed).result(LIMIT))
    assert found == [2, 0, 1]
    assert next(completed, None) is None


def test_as_completed_works_with_futures_of_other_makers(pids: list[int]) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        futures: list[concurrent.futures.Future[int]] = [
            threads.submit(pow, 2, 3),
            pydist.remotecall(pow, pids[0], 3, 4),
        ]
        assert {future.result(LIMIT) for future in concurrent.futures.as_completed(futures, LIMIT)} == {8, 81}


# Callbacks


def test_a_callback_gets_the_future_once(pids: list[int]) -> None:
    gate = Gate(pids[0], "callback")
    future = gate.start()
    called = concurrent.futures.Future[Any]()
    future.add_done_callback(called.set_result)  # which may be done only once
    assert not called.done()
    gate.open()
    assert called.result(LIMIT) is future


@pytest.mark.parametrize("fetched", [False, True])
def test_a_callback_of_what_is_ready_is_called_at_once(fetched: bool, pids: list[int]) -> None:
    future = pydist.remotecall_wait(pow, pids[0], 3, 4)
    if fetched:
        future.fetch(LIMIT)
    called: list[Any] = []
    future.add_done_callback(called.append)
    assert called == [future]


def test_a_callback_may_fetch(pids: list[int]) -> None:
    """Also a value that must be asked for first: it is called in the thread that reads."""
    called = concurrent.futures.Future[Any]()
    future = pydist.remotecall(list, pids[0], range(100_000))
    future.add_done_callback(lambda f: called.set_result(f.result()))
    assert len(called.result(LIMIT)) == 100_000


def test_a_callback_that_fails_is_printed_and_stops_no_other(
    pids: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(future: Any) -> None:
        raise RuntimeError("in the callback")

    gate = Gate(pids[0], "failing callback")
    future = gate.start()
    called = concurrent.futures.Future[Any]()
    future.add_done_callback(fail)
    future.add_done_callback(called.set_result)
    gate.open()
    called.result(LIMIT)
    assert "in the callback" in capsys.readouterr().err


# asyncio


def run(main: Callable[[], Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(LIMIT):
            return await main()

    return asyncio.run(limited())


def test_it_can_be_awaited(pids: list[int]) -> None:
    async def main() -> Any:
        return await pydist.remotecall(pow, pids[0], 3, 4)

    assert run(main) == 81


def test_a_large_value_can_be_awaited(pids: list[int]) -> None:
    async def main() -> Any:
        return await pydist.remotecall(list, pids[0], range(100_000))

    assert len(run(main)) == 100_000


@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize("where", ["here", "there"])
def test_what_is_ready_can_be_awaited(fetched: bool, where: str, pids: list[int]) -> None:
    future = pydist.remotecall_wait(pow, 1 if where == "here" else pids[0], 3, 4)
    if fetched:
        future.fetch(LIMIT)

    async def main() -> Any:
        return await future

    assert run(main) == 81


def test_an_error_can_be_awaited(pids: list[int]) -> None:
    async def main() -> Any:
        await pydist.remotecall(operator.truediv, pids[0], 1, 0)

    with pytest.raises(ZeroDivisionError):
        run(main)


def test_the_loop_goes_on_while_it_is_awaited(pids: list[int]) -> None:
    async def main() -> Any:
        gate = Gate(pids[0], "loop goes on")
        future = await asyncio.to_thread(gate.start, "value")
        waiting = asyncio.ensure_future(_value(future))
        await asyncio.to_thread(gate.open)
        return await waiting

    assert run(main) == "value"


async def _value(future: pydist.Future) -> Any:
    return await future


def test_many_can_be_gathered(pids: list[int]) -> None:
    async def main() -> Any:
        return await asyncio.gather(*(_value(pydist.remotecall(pow, pids[i % 3], i, 2)) for i in range(300)))

    assert run(main) == [i**2 for i in range(300)]


@pytest.mark.parametrize("error", [False, True])
def test_wrap_future_takes_it(error: bool, pids: list[int]) -> None:
    async def main() -> Any:
        return await asyncio.wrap_future(pydist.remotecall(operator.truediv, pids[0], 6, 0 if error else 2))

    if error:
        with pytest.raises(ZeroDivisionError):
            run(main)
    else:
        assert run(main) == 3


def test_who_stops_awaiting_it_cancels_the_call(pids: list[int]) -> None:
    async def main() -> pydist.Future:
        gate = Gate(pids[0], "stops awaiting")
        future = await asyncio.to_thread(gate.start)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await future
        return future

    future = run(main)
    assert isinstance(future, pydist.Future)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(LIMIT)


# Cancelling


def check_that_it_is_cancelled(future: pydist.Future) -> None:
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(LIMIT)
    with pytest.raises(concurrent.futures.CancelledError):
        future.exception(LIMIT)
    with pytest.raises(KeyboardInterrupt) as caught:
        future.fetch(LIMIT)
    assert isinstance(caught.value, pydist.RemoteException)
    assert future.cancelled()
    assert future.done()


@pytest.mark.parametrize("kind", ["sleeps", "computes"])
@pytest.mark.parametrize("lane", ["main", "pooled"])
def test_a_running_call_is_interrupted_alone(kind: str, lane: str, pids: list[int]) -> None:
    before, gate, beside = (Gate(pids[0], f"{name} {kind} {lane}") for name in ("before", "cancelled", "beside"))
    if lane == "pooled":
        before.start()  # this one has the main thread
    future = pydist.remotecall(gate.stand if kind == "sleeps" else gate.spin, pids[0], gate.name)
    gate.wait_for_arrival()
    other = beside.start("untouched")
    assert future.cancel()
    check_that_it_is_cancelled(future)
    beside.open()
    assert other.fetch(LIMIT) == "untouched"
    before.open()
    gate.open()


def test_a_running_coroutine_is_cancelled(pids: list[int]) -> None:
    def came() -> threading.Event:
        return vars(threading).setdefault("_came_of_test", threading.Event())  # type: ignore[no-any-return]

    async def sleep() -> None:
        came().set()
        await asyncio.sleep(20)

    future = pydist.remotecall(sleep, pids[0])
    assert pydist.remotecall(lambda: came().wait(20), pids[0]).fetch(LIMIT)
    assert future.cancel()
    check_that_it_is_cancelled(future)


def test_a_call_to_oneself_is_cancelled(pids: list[int]) -> None:
    gate = Gate(1, "cancelled here")
    future = pydist.remotecall(gate.spin, 1, gate.name)
    gate.wait_for_arrival()
    assert future.cancel()
    check_that_it_is_cancelled(future)


def test_a_call_that_has_not_begun_never_does(pids: list[int]) -> None:
    def mark() -> None:
        vars(threading)["_ran_of_test"] = True

    ospid = pydist.remotecall_fetch(os.getpid, pids[0])
    with stopped(ospid):  # so that it finds the call and its end at the same time
        future = pydist.remotecall(mark, pids[0])
        assert future.cancel()
    check_that_it_is_cancelled(future)
    assert not pydist.remotecall_fetch(lambda: "_ran_of_test" in vars(threading), pids[0])


def test_what_is_over_cannot_be_cancelled(pids: list[int]) -> None:
    future = pydist.remotecall_wait(pow, pids[0], 3, 4)
    assert not future.cancel()
    assert not future.cancelled()
    assert future.fetch(LIMIT) == 81


def test_a_call_that_does_not_mind_its_interrupt_keeps_its_value(pids: list[int]) -> None:
    gate = Gate(pids[0], "does not mind")

    def stubborn() -> str:
        try:
            gate.stand(gate.name)
        except KeyboardInterrupt:
            return "kept"
        return "not interrupted"

    future = pydist.remotecall(stubborn, pids[0])
    gate.wait_for_arrival()
    future.cancel()
    assert future.fetch(LIMIT) == "kept"
    assert not future.cancelled()


def test_the_call_after_a_cancelled_one_is_not_hit(pids: list[int]) -> None:
    for i in range(100):
        future = pydist.remotecall(pow, pids[0], 3, i)
        future.cancel()
        assert pydist.remotecall(operator.neg, pids[0], i).fetch(LIMIT) == -i
