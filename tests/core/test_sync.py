"""sync: a block that waits for what has been started in it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pydist
from pydist import _calls, frontend, sync
from tests.core.bells import Bell
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import CellError, Session, outcome

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    assert _calls.listeners == []


def inverse(x: int) -> float:
    return 1 / x


def open_soon(*gates: Gate) -> threading.Thread:
    """Open gates once somebody stands at each, beside what this thread does."""

    def work() -> None:
        for gate in gates:
            gate.wait_for_arrival()
            gate.open()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


STARTS: dict[str, Callable[[Any, str, int], pydist.Future]] = {
    "spawn": lambda f, name, pid: pydist.spawn(f, name),
    "spawnat": lambda f, name, pid: pydist.spawnat(pid, f, name),
    "spawnat any": lambda f, name, pid: pydist.spawnat("any", f, name),
    "remotecall": lambda f, name, pid: pydist.remotecall(f, pid, name),
    "remotecall to oneself": lambda f, name, pid: pydist.remotecall(f, 1, name),
    "remotecall to a pool": lambda f, name, pid: pydist.remotecall(f, pydist.WorkerPool([pid]), name),
    "distributed": lambda f, name, pid: pydist.distributed(f, [name]),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_the_block_ends_when_what_was_started_has_ended(
    start: Callable[[Any, str, int], pydist.Future], request: pytest.FixtureRequest, pids: list[int]
) -> None:
    gate = Gate(1, request.node.name)
    opener = open_soon(gate)
    with sync() as block:
        future = start(lambda name: pydist.remotecall_fetch(Gate.stand, 1, name), gate.name, pids[0])
        assert not future.done()
    assert future.done()
    assert block.futures == [future]
    opener.join()


def test_values_lie_where_they_are_until_they_are_fetched(pids: list[int]) -> None:
    with sync() as block:
        for i in range(6):
            pydist.spawn(pow, i, 2)
    assert [future.fetch() for future in block.futures] == [0, 1, 4, 9, 16, 25]


def test_a_block_in_which_nothing_was_started_ends_at_once() -> None:
    with sync() as block:
        pass
    assert repr(block) == "<sync: 0 started>"


def test_all_that_failed_is_raised_at_the_end(pids: list[int]) -> None:
    def block() -> None:
        with sync():
            pydist.spawn(inverse, 0)
            pydist.spawn(inverse, 1)
            pydist.spawn(int, "x")
            pydist.distributed(inverse, range(3))

    with pytest.raises(pydist.CompositeException, match="3 of 4 calls failed") as caught:
        block()
    assert [type(error).__qualname__ for error in caught.value.exceptions] == [
        "RemoteZeroDivisionError",
        "RemoteValueError",
        "RemoteZeroDivisionError",
    ]


def test_a_single_failure_is_a_group_too(pids: list[int]) -> None:
    caught = []
    try:
        with sync():
            pydist.spawn(inverse, 0)
    except* ZeroDivisionError as group:
        caught.append(group)
    assert len(caught) == 1


def test_one_that_fails_lets_the_others_end(pids: list[int]) -> None:
    gate = Gate(pids[1], "the others end")
    opener = open_soon(gate)
    others = []

    def block() -> None:
        with sync():
            pydist.spawnat(pids[0], inverse, 0)
            others.append(pydist.spawnat(pids[1], gate.stand, gate.name, 7))

    with pytest.raises(pydist.CompositeException):
        block()
    assert others[0].fetch(0) == 7
    opener.join()


def test_the_end_of_a_worker_is_one_of_the_failures(spare: Callable[[], int], pids: list[int]) -> None:
    with pytest.raises(pydist.CompositeException) as caught, sync():
        pydist.spawnat(spare(), os._exit, 3)
    (error,) = caught.value.exceptions
    assert isinstance(error, pydist.ProcessExitedException)


def test_an_exception_in_the_block_stops_what_was_started(pids: list[int]) -> None:
    gates = [Gate(pid, "stopped") for pid in pids]
    futures: list[pydist.Future] = []

    def block() -> None:
        with sync():
            futures.extend(pydist.spawnat(gate.pid, gate.spin, gate.name) for gate in gates)
            for gate in gates:
                gate.wait_for_arrival()
            raise LookupError

    with pytest.raises(LookupError):
        block()
    assert all(future.cancelled() for future in futures)
    assert frontend.running() == {}


def test_blocks_can_be_nested(pids: list[int]) -> None:
    gate = Gate(pids[0], "nested")
    with sync() as outer:
        first = pydist.spawnat(pids[0], gate.stand, gate.name)
        with sync() as inner:
            second = pydist.spawnat(pids[1], abs, -1)
        assert inner.futures == [second]
        assert second.done()
        assert not first.done()
        third = pydist.spawnat(pids[1], abs, -1)
        assert outer.futures == [first, third]
        gate.open()
    assert first.done()


def test_what_a_function_starts_belongs_to_the_block_too(pids: list[int]) -> None:
    def start() -> None:
        pydist.spawn(abs, -1)

    with sync() as block:
        start()
    assert len(block.futures) == 1


def test_what_was_started_before_and_afterwards_does_not_belong_to_it(pids: list[int]) -> None:
    pydist.spawn(abs, -1)
    with sync() as block:
        pass
    pydist.spawn(abs, -1)
    assert block.futures == []


def test_what_other_threads_start_does_not_belong_to_it(pids: list[int]) -> None:
    futures: list[pydist.Future] = []
    with sync() as block:
        thread = threading.Thread(target=lambda: futures.append(pydist.spawn(inverse, 0)))
        thread.start()
        thread.join()
    assert block.futures == []
    assert isinstance(futures[0].exception(LIMIT), ZeroDivisionError)


def test_a_thread_in_a_copy_of_the_context_takes_part(pids: list[int]) -> None:
    with sync() as block:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(pydist.spawn, abs, -1))
        thread.start()
        thread.join()
    assert len(block.futures) == 1


def test_calls_that_are_waited_for_by_themselves_do_not_belong_to_it(pids: list[int]) -> None:
    with sync() as block:
        pydist.remotecall_fetch(abs, pids[0], -1)
        pydist.remotecall_fetch(abs, pydist.WorkerPool(pids), -1)
        pydist.remotecall_wait(abs, pids[0], -1)
        pydist.fetchfrom(pids[0], abs, -1)
        pydist.remote_do(abs, pids[0], -1)
        pydist.distributed(abs, range(3), max)
        pydist.pmap(abs, range(3))
        pydist.everywhere("None")
    assert block.futures == []


def test_a_loop_that_fails_in_a_block_is_not_told_as_unseen(pids: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    from pydist import _loop_handle

    with pytest.raises(pydist.CompositeException), sync():
        pydist.distributed(inverse, range(3))
    assert not _loop_handle._untold
    assert capfd.readouterr().err == ""


def test_a_block_is_used_once() -> None:
    block = sync()
    with block:
        pass
    with pytest.raises(RuntimeError, match="entered before; each `with` needs a sync"):
        with block:
            pass


def test_a_worker_can_wait_too(pids: list[int]) -> None:
    def work() -> list[int]:
        with sync() as block:
            for pid in pydist.workers():
                pydist.spawnat(pid, pydist.myid)
        return [future.fetch() for future in block.futures]

    assert sorted(pydist.remotecall_fetch(work, pids[0])) == pids


# ---- in coroutines


def test_a_coroutine_can_wait_without_stopping_its_loop(pids: list[int]) -> None:
    gate = Gate(1, "the loop goes on")

    async def open_it() -> None:
        await asyncio.to_thread(gate.wait_for_arrival)
        gate.open()

    async def main() -> None:
        opener = asyncio.create_task(open_it())
        async with sync() as block:
            pydist.spawn(lambda: pydist.remotecall_fetch(Gate.stand, 1, "the loop goes on"))
        assert block.futures[0].done()
        await opener

    asyncio.run(main())


def test_tasks_that_the_block_starts_take_part_and_others_do_not(pids: list[int]) -> None:
    async def start(go: asyncio.Event) -> None:
        await go.wait()
        pydist.spawn(abs, -1)

    async def main() -> None:
        go = asyncio.Event()
        other = asyncio.create_task(start(go))
        async with sync() as block:
            mine = asyncio.create_task(start(go))
            go.set()
            await mine
            await other
        assert len(block.futures) == 1

    asyncio.run(main())


def test_a_coroutine_gets_all_that_failed(pids: list[int]) -> None:
    async def main() -> None:
        async with sync():
            pydist.spawn(inverse, 0)
            pydist.distributed(inverse, range(3))

    with pytest.raises(pydist.CompositeException, match="2 of 2 calls failed"):
        asyncio.run(main())


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_a_task_that_is_cancelled_stops_what_it_has_started(where: str, pids: list[int]) -> None:
    gate = Gate(pids[0], f"cancelled {where}")
    futures = []

    async def work() -> None:
        async with sync() as block:
            pydist.spawnat(pids[0], gate.spin, gate.name)
            futures.extend(block.futures)
            if where == "in the block":
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.to_thread(gate.wait_for_arrival)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    with pytest.raises(KeyboardInterrupt):
        futures[0].wait(LIMIT)


def test_an_ordinary_block_works_in_a_coroutine(pids: list[int]) -> None:
    async def main() -> None:
        with sync() as block:
            pydist.spawn(abs, -1)
        assert block.futures[0].done()

    asyncio.run(main())


# ---- Ctrl-C


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_an_interrupt_stops_what_was_started(where: str, session: Session, bell: Bell) -> None:
    session.run("other = pydist.remotecall(time.sleep, pydist.workers()[0], 60)")
    session.start(
        f"""
def work():
    with open({str(bell)!r}, "a") as bell: bell.write("x")
    time.sleep(60)
with pydist.sync() as block:
    for pid in pydist.workers(): pydist.spawnat(pid, work)
    if {where == "in the block"}:
        time.sleep(60)
"""
    )
    bell.wait(2)
    session.interrupt()
    with pytest.raises(CellError) as caught:
        session.finish()
    assert caught.value.kind == "KeyboardInterrupt"
    assert [outcome(session, f"block.futures[{i}]") for i in range(2)] == ["RemoteKeyboardInterrupt"] * 2
    assert sum(session.run("pydist.frontend.running()").values()) == 1
    session.run("other.cancel()")
    assert outcome(session, "other") == "RemoteKeyboardInterrupt"
