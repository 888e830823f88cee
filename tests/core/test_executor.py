"""Executor: what is written for ``ProcessPoolExecutor`` runs on the workers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

import pydist
from tests.core.bells import Bell
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import CellError, Session

pytestmark = pytest.mark.processes

NUMBERS = [112272535095293, 112582705942171, 115280095190773, 115797848077099, 1099726899285419]


def is_prime(n: int) -> bool:
    """Python's documentation has this one as its example of a ProcessPoolExecutor."""
    if n < 2:
        return False
    if n == 2:
        return True
    if n % 2 == 0:
        return False
    return all(n % i for i in range(3, math.isqrt(n) + 1, 2))


def small_primes(n: int) -> list[bool]:
    with pydist.Executor() as executor:
        return list(executor.map(is_prime, range(n), chunksize=7))


def ring(bell: str, letter: str = "x") -> None:
    with open(bell, "a") as file:
        file.write(letter)


def die(n: int = 0) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stand_on(gates: dict[int, str]) -> int:
    pydist.remotecall_fetch(Gate.stand, pydist.myid(), gates[pydist.myid()])
    return pydist.myid()


# ---- the documented examples


def test_primes_of_the_documentation(pids: list[int]) -> None:
    with pydist.Executor() as executor:
        found = dict(zip(NUMBERS[:2], executor.map(is_prime, NUMBERS[:2]), strict=True))
    assert found == dict.fromkeys(NUMBERS[:2], True)


def test_a_dictionary_of_futures_and_as_completed(pids: list[int]) -> None:
    with pydist.Executor(max_workers=2) as executor:
        futures = {executor.submit(pow, n, 2): n for n in range(20)}
        found = {futures[done]: done.result() for done in concurrent.futures.as_completed(futures, timeout=LIMIT)}
    assert found == {n: n * n for n in range(20)}


def test_submit_takes_arguments_and_keywords(pids: list[int]) -> None:
    def f(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    with pydist.Executor() as executor:
        assert executor.submit(f, 1, fn=2, self=3).result(LIMIT) == ((1,), {"fn": 2, "self": 3})


def test_wait_knows_its_futures(pids: list[int]) -> None:
    gate = Gate(pids[0], "executor waits")
    with pydist.Executor() as executor:
        held = executor.submit(pydist.remotecall_fetch, gate.stand, gate.pid, gate.name, "held")
        others = [executor.submit(abs, -n) for n in range(5)]
        done, pending = concurrent.futures.wait(
            [held, *others[:1]], timeout=LIMIT, return_when=concurrent.futures.FIRST_COMPLETED
        )
        assert (done, pending) == ({others[0]}, {held})
        gate.open()
        assert concurrent.futures.wait([held, *others], timeout=LIMIT).not_done == set()


def test_a_coroutine_awaits_it(pids: list[int]) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        with pydist.Executor() as executor:
            one = loop.run_in_executor(executor, pow, 2, 10)
            return await asyncio.gather(one, *(loop.run_in_executor(executor, pydist.myid) for _ in range(4)))

    value, *where = asyncio.run(main())
    assert value == 1024
    assert set(where) <= set(pids)


def test_it_works_on_a_worker(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(small_primes, pids[0], 20) == [is_prime(n) for n in range(20)]


def test_a_call_may_use_an_executor_itself(pids: list[int]) -> None:
    with pydist.Executor() as executor:
        assert [*executor.map(small_primes, [3, 5, 4, 6])] == [[*map(is_prime, range(n))] for n in (3, 5, 4, 6)]


# ---- where, and how many


def test_a_worker_does_one_call_at_a_time(pids: list[int]) -> None:
    gates = {pid: Gate(pid, "executor one each") for pid in pids}
    names = {pid: gate.name for pid, gate in gates.items()}
    with pydist.Executor() as executor:
        running = [executor.submit(stand_on, names) for _ in pids]
        for gate in gates.values():
            gate.wait_for_arrival()
        waiting = executor.submit(abs, -1)
        assert all(future.running() for future in running)
        assert not waiting.running()
        assert waiting.cancel()
        for gate in gates.values():
            gate.open()
        assert sorted(future.result(LIMIT) for future in running) == pids
        with pytest.raises(concurrent.futures.CancelledError):
            waiting.result(LIMIT)


def test_a_cancelled_future_among_others_is_done_for_those_who_wait(pids: list[int]) -> None:
    gate = Gate(pids[0], "executor cancelled")
    with pydist.Executor(pids[:1]) as executor:
        first = executor.submit(gate.stand, gate.name)
        gate.wait_for_arrival()
        second = executor.submit(abs, -1)
        assert second.cancel()
        third = executor.submit(abs, -3)
        gate.open()
        assert concurrent.futures.wait([first, second, third], timeout=LIMIT).not_done == set()
        assert third.result() == 3


@pytest.mark.parametrize("n", [1, 2])
def test_max_workers_is_kept(n: int, pids: list[int]) -> None:
    with pydist.Executor(max_workers=n) as executor:
        assert len(set(executor.map(lambda i: pydist.myid(), range(40)))) <= n
        assert executor._max_workers == n


def test_a_list_of_ids_or_a_pool_says_where(pids: list[int]) -> None:
    for pool in (pids[1:2], pydist.WorkerPool(pids[1:2])):
        with pydist.Executor(pool) as executor:
            assert {*executor.map(lambda i: pydist.myid(), range(5))} == {pids[1]}


def test_workers_that_join_take_part(pids: list[int], spare: Callable[[], int]) -> None:
    gates = {pid: Gate(pid, "executor joins") for pid in pids}
    names = {pid: gate.name for pid, gate in gates.items()}
    with pydist.Executor() as executor:
        running = [executor.submit(stand_on, names) for _ in pids]
        for gate in gates.values():
            gate.wait_for_arrival()
        waiting = executor.submit(pydist.myid)
        new = spare()
        assert waiting.result(LIMIT) == new
        for gate in gates.values():
            gate.open()
        assert sorted(future.result(LIMIT) for future in running) == pids


def test_without_workers_it_runs_here(own_session: Callable[..., Session]) -> None:
    session = own_session(0)
    session.run("e = pydist.Executor()\nf = e.submit(os.getpid)")
    assert session.run("f.result(20) == os.getpid(), list(e.map(pow, [1, 2, 3], [2, 2, 2]))") == (True, [1, 4, 9])


# ---- errors


def test_an_error_keeps_its_class(pids: list[int]) -> None:
    with pydist.Executor() as executor:
        future = executor.submit(divmod, 1, 0)
        assert isinstance(future.exception(LIMIT), ZeroDivisionError)
        assert executor.submit(abs, -1).result(LIMIT) == 1


def test_what_cannot_be_pickled_is_an_error_of_its_future(pids: list[int]) -> None:
    with pydist.Executor() as executor:
        bad = executor.submit(abs, threading.Lock())
        with pytest.raises(TypeError, match="lock"):
            bad.result(LIMIT)
        with pytest.raises(Exception, match="lock"):
            executor.submit(threading.Lock).result(LIMIT)
        assert executor.submit(abs, -1).result(LIMIT) == 1


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: pydist.Executor(4), TypeError, "max_workers=4"),  # type: ignore[arg-type]
        (lambda: pydist.Executor("all"), TypeError, "not 'all'"),  # type: ignore[arg-type]
        (lambda: pydist.Executor([]), ValueError, "No active worker"),
        (lambda: pydist.Executor([99]), ValueError, "no process with id 99"),
        (lambda: pydist.Executor(max_workers=0), ValueError, "greater than 0"),
        (lambda: pydist.Executor(max_workers=1.5), TypeError, "integer"),  # type: ignore[arg-type]
        (lambda: pydist.Executor(initializer=3), TypeError, "callable"),  # type: ignore[arg-type]
        (lambda: pydist.Executor().submit(3), TypeError, "callable"),  # type: ignore[arg-type]
        (lambda: pydist.Executor().map(3, []), TypeError, "callable"),  # type: ignore[arg-type]
        (lambda: pydist.Executor().map(abs, [], chunksize=0), ValueError, "chunksize"),
        (lambda: pydist.Executor().map(abs, [], buffersize=0), ValueError, "buffersize"),
        (lambda: pydist.Executor().map(abs, [], buffersize="2"), TypeError, "buffersize"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], object], kind: Any, text: str, pids: list[int]) -> None:
    with pytest.raises(kind, match=text):
        make()


# ---- shutdown


def test_after_shutdown_nothing_is_taken_and_the_workers_stay(pids: list[int]) -> None:
    executor = pydist.Executor()
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.map(abs, [-1])
    assert pydist.workers() == pids


def test_shutdown_without_waiting_lets_everything_end(pids: list[int]) -> None:
    gate = Gate(pids[0], "executor no wait")
    executor = pydist.Executor(pids[:1])
    futures = [executor.submit(gate.stand, gate.name, 1), executor.submit(abs, -2)]
    gate.wait_for_arrival()
    executor.shutdown(wait=False)
    assert not futures[0].done()
    gate.open()
    assert [future.result(LIMIT) for future in futures] == [1, 2]


def test_shutdown_may_cancel_what_has_not_begun(pids: list[int]) -> None:
    gate = Gate(pids[0], "executor cancels")
    executor = pydist.Executor(pids[:1])
    running, waiting = executor.submit(gate.stand, gate.name, 1), executor.submit(abs, -2)
    gate.wait_for_arrival()
    executor.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert concurrent.futures.wait([waiting], timeout=LIMIT).not_done == set()
    gate.open()
    assert running.result(LIMIT) == 1
    executor.shutdown()


def test_an_executor_that_is_forgotten_still_delivers_and_leaves_no_thread(pids: list[int]) -> None:
    future = pydist.Executor().submit(abs, -3)
    assert future.result(LIMIT) == 3
    for thread in threading.enumerate():
        if thread.name == "pydist-executor":
            thread.join(LIMIT)
            assert not thread.is_alive()


def test_a_script_that_ends_has_its_results_delivered() -> None:
    script = """
import pydist
pydist.addprocs(1)
pydist.Executor().submit(pow, 2, 5).add_done_callback(lambda future: print(future.result()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "32\n", "")


# ---- initializer


def prepare(name: str, value: int) -> None:
    vars(threading)[name] = vars(threading).get(name, 0) + value


def prepared(name: str) -> Any:
    return vars(threading).get(name)


def test_the_initializer_runs_once_on_each_worker_before_its_first_call(pids: list[int]) -> None:
    with pydist.Executor(initializer=prepare, initargs=("_executor_prepared", 7)) as executor:
        assert {*executor.map(prepared, ["_executor_prepared"] * 30)} == {7}


def test_an_initializer_that_fails_breaks_the_executor(pids: list[int]) -> None:
    with pydist.Executor(initializer=divmod, initargs=(1, 0)) as executor:
        future = executor.submit(abs, -1)
        error = future.exception(LIMIT)
        assert isinstance(error, BrokenProcessPool)
        assert isinstance(error.__cause__, ZeroDivisionError)
        with pytest.raises(BrokenProcessPool, match="initializer"):
            executor.submit(abs, -1)
    assert pydist.workers() == pids


# ---- a worker dies


def test_the_death_of_a_worker_fails_its_call_alone(pids: list[int], spare: Callable[[], int]) -> None:
    with pydist.Executor([spare(), pids[0]]) as executor:
        bad = executor.submit(die)
        error = bad.exception(LIMIT)
        assert isinstance(error, BrokenProcessPool)
        assert isinstance(error, pydist.ProcessExitedException)
        assert [*executor.map(abs, range(-5, 0))] == [5, 4, 3, 2, 1]


def test_without_a_worker_left_everything_fails(spare: Callable[[], int]) -> None:
    with pydist.Executor([spare()]) as executor:
        futures = [executor.submit(die), executor.submit(abs, -1)]
        assert all(isinstance(future.exception(LIMIT), BrokenProcessPool) for future in futures)
        assert isinstance(executor.submit(abs, -1).exception(LIMIT), BrokenProcessPool)


def test_a_worker_that_was_started_again_is_used_and_initialized_again(spare: Callable[[], int]) -> None:
    pid = spare()
    with pydist.Executor([pid], initializer=prepare, initargs=("_executor_again", 1)) as executor:
        first = executor.submit(os.getpid).result(LIMIT)
        pydist.restart(pid)
        assert executor.submit(os.getpid).result(LIMIT) != first
        assert executor.submit(prepared, "_executor_again").result(LIMIT) == 1


# ---- map


@pytest.mark.parametrize("chunksize", [1, 3, 100])
@pytest.mark.parametrize("buffersize", [None, 1, 5])
def test_map_keeps_the_order(chunksize: int, buffersize: int | None, pids: list[int]) -> None:
    with pydist.Executor() as executor:
        assert [*executor.map(pow, range(50), itertools.repeat(2), chunksize=chunksize, buffersize=buffersize)] == [
            n * n for n in range(50)
        ]
        assert [*executor.map(abs, [], chunksize=chunksize, buffersize=buffersize)] == []


def test_map_of_an_endless_input_with_a_buffersize(pids: list[int]) -> None:
    numbers = itertools.count(1)

    with pydist.Executor() as executor:
        results = executor.map(abs, numbers, buffersize=4)
        assert [*itertools.islice(results, 10)] == [*range(1, 11)]
        assert next(numbers) <= 15
        results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("chunksize", [1, 2, 5])
def test_map_raises_in_its_turn(chunksize: int, pids: list[int]) -> None:
    with pydist.Executor() as executor:
        results = executor.map(lambda n: 1 / n, [1, 2, 0, 4], chunksize=chunksize)
        assert [next(results), next(results)] == [1, 0.5]
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert next(results, None) is None


def test_map_has_a_time_limit(pids: list[int]) -> None:
    gate = Gate(pids[0], "executor map limit")
    with pydist.Executor(pids[:1]) as executor:
        results = executor.map(gate.stand, [gate.name] * 2, timeout=0.01)
        with pytest.raises(TimeoutError):
            next(results)
        gate.open()


def test_a_map_that_is_left_cancels_what_has_not_begun(pids: list[int]) -> None:
    gate = Gate(pids[0], "executor left")
    with pydist.Executor(pids[:1]) as executor:
        results = executor.map(lambda n: Gate.stand(gate.name) if n == 1 else n, range(1000))
        assert next(results) == 0
        gate.wait_for_arrival()
        results.close()  # type: ignore[attr-defined]
        gate.open()
        before = time.monotonic()
        executor.submit(abs, -1).result(LIMIT)
        assert time.monotonic() - before < LIMIT


def test_an_input_that_fails_midway_raises_at_the_call_and_leaves_nothing_running(pids: list[int]) -> None:
    def numbers() -> Any:
        yield from range(5)
        raise OSError("the tape is torn")

    with pydist.Executor() as executor:
        with pytest.raises(OSError, match="torn"):
            executor.map(abs, numbers())
        assert executor.submit(abs, -1).result(LIMIT) == 1
    assert not pydist.frontend.running()


def test_map_sends_its_function_once_to_each_worker(pids: list[int]) -> None:
    load = os.urandom(1_000_000)

    def sent() -> int:
        return sum(pydist.worker_info(pid).bytes_out for pid in pids)

    before = sent()
    with pydist.Executor() as executor:
        assert [*executor.map(lambda n: load[n], range(100))] == [*load[:100]]
    assert 1_000_000 < sent() - before < 1_000_000 * (len(pids) + 0.5)


# ---- Ctrl-C


@pytest.mark.parametrize(
    "source",
    [
        "with pydist.Executor() as e: e.submit(work, 1).result()",
        "with pydist.Executor() as e: list(e.map(work, range(10)))",
        "with pydist.Executor() as e: e.submit(work, 1)",
    ],
    ids=["in result", "in map", "at the end of with"],
)
def test_an_interrupt_ends_it_and_the_cluster_is_usable(source: str, session: Session, bell: Bell) -> None:
    session.run(f"def work(i):\n    with open({str(bell)!r}, 'a') as bell: bell.write('x')\n    time.sleep(60)")
    session.start(source)
    bell.wait(1)
    session.interrupt()
    with pytest.raises(CellError) as caught:
        session.finish()
    assert caught.value.kind == "KeyboardInterrupt"
    assert session.run("pydist.frontend.running()") == {}
    assert session.run("list(pydist.Executor().map(abs, [-1, -2]))") == [1, 2]


def test_what_comes_after_an_interrupt_is_not_stopped(session: Session, bell: Bell) -> None:
    session.run(f"def work(i):\n    with open({str(bell)!r}, 'a') as bell: bell.write('x')\n    time.sleep(60)")
    session.run("e = pydist.Executor()")
    session.start("list(e.map(work, range(10)))")
    bell.wait(1)
    session.interrupt()
    with pytest.raises(CellError):
        session.finish()
    assert session.run("list(e.map(abs, range(-50, 0))) == [*range(50, 0, -1)]") is True
