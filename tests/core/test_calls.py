"""Calls to other processes, and to this one."""

from __future__ import annotations

import itertools
import math
import operator
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pydist
from tests.core.gates import LIMIT, Gate

pytestmark = pytest.mark.processes

numbers = itertools.count().__next__


def everything(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def test_fetch_returns_the_value(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(pow, pids[0], 3, 4) == 81


def test_a_call_runs_in_the_process_that_was_named(pids: list[int]) -> None:
    assert [pydist.remotecall_fetch(pydist.myid, pid) for pid in [1, *pids]] == [1, *pids]
    assert len({pydist.remotecall_fetch(os.getpid, pid) for pid in [1, *pids]}) == 1 + len(pids)


def test_remotecall_returns_before_the_call_has_ended(pids: list[int]) -> None:
    gate = Gate(pids[0], "remotecall")
    future = pydist.remotecall(gate.stand, pids[0], gate.name, 5)
    gate.wait_for_arrival()
    assert not future.isready()
    gate.open()
    assert future.fetch(LIMIT) == 5


def test_remotecall_wait_returns_a_future_that_is_ready_and_leaves_the_value_there(pids: list[int]) -> None:
    future = pydist.remotecall_wait(list, pids[0], "ab")
    assert future.isready()
    assert future.where == pids[0]
    assert future.fetch(LIMIT) == ["a", "b"]


def test_remotecall_wait_raises_what_the_call_raised(pids: list[int]) -> None:
    with pytest.raises(ZeroDivisionError):
        pydist.remotecall_wait(operator.truediv, pids[0], 1, 0)


def test_remote_do_returns_nothing_and_runs(pids: list[int]) -> None:
    gate = Gate(pids[0], "remote_do")
    assert pydist.remote_do(gate.stand, pids[0], gate.name) is None  # type: ignore[func-returns-value]
    gate.wait_for_arrival()
    gate.open()


@pytest.mark.parametrize("call", [pydist.remotecall, pydist.remotecall_wait, pydist.remotecall_fetch])
@pytest.mark.parametrize("where", ["here", "there"])
def test_all_keywords_go_to_the_function(call: Callable[..., Any], where: str, pids: list[int]) -> None:
    keywords = {"pid": 1, "f": 2, "timeout": 3, "args": 4, "self": 5, "node": 6, "quiet": 7}
    result = call(everything, 1 if where == "here" else pids[0], 8, **keywords)
    assert pydist.fetch(result) == ((8,), keywords)


@pytest.mark.parametrize("call", [pydist.spawn, pydist.remote(everything)])
def test_all_keywords_go_to_the_function_on_any_worker(call: Callable[..., Any], pids: list[int]) -> None:
    arguments = (everything, 8) if call is pydist.spawn else (8,)
    assert pydist.fetch(call(*arguments, pid=1, f=2)) == ((8,), {"pid": 1, "f": 2})


def test_spawnat_takes_an_id_or_any(pids: list[int]) -> None:
    assert pydist.spawnat(pids[1], pydist.myid).fetch(LIMIT) == pids[1]
    assert pydist.spawnat("any", pydist.myid).fetch(LIMIT) in pids


def test_fetchfrom_takes_an_id_or_any(pids: list[int]) -> None:
    assert pydist.fetchfrom(pids[1], pydist.myid) == pids[1]
    assert pydist.fetchfrom("any", pydist.myid) in pids


def test_any_goes_round_all_workers(pids: list[int]) -> None:
    assert sorted(pydist.fetchfrom("any", pydist.myid) for _ in pids) == pids
    assert sorted(pydist.spawn(pydist.myid).fetch(LIMIT) for _ in pids) == pids


def test_remote_makes_a_function_that_runs_elsewhere(pids: list[int]) -> None:
    @pydist.remote
    def where(x: int) -> tuple[int, int]:
        return pydist.myid(), x

    pid, x = where(5)
    assert pid in pids
    assert x == 5
    assert where.__name__ == "where"


# What is called


class Doubler:
    """Its instances can be called, and so can a method."""

    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, x: int) -> int:
        return self.by * x

    def method(self, x: int) -> int:
        return self.by * x

    @classmethod
    def made(cls, by: int) -> int:
        return cls(by).by

    @staticmethod
    def add(x: int, y: int) -> int:
        return x + y


@pytest.mark.parametrize(
    ("f", "arguments", "value"),
    [
        (math.sqrt, (16,), 4.0),
        (len, ("abc",), 3),
        (str.upper, ("abc",), "ABC"),
        ("abc".replace, ("a", "x"), "xbc"),
        (int, ("12",), 12),
        (dict, ([("a", 1)],), {"a": 1}),
        (operator.itemgetter(1), ("abc",), "b"),
        (lambda x: x + 1, (1,), 2),
        (Doubler(3), (4,), 12),
        (Doubler(3).method, (4,), 12),
        (Doubler.made, (5,), 5),
        (Doubler.add, (5, 6), 11),
    ],
    ids=[
        "C",
        "builtin",
        "descriptor",
        "bound C",
        "type",
        "dict",
        "getter",
        "lambda",
        "object",
        "method",
        "cls",
        "static",
    ],
)
def test_whatever_can_be_called_can_be_called_there(
    f: Callable[..., Any], arguments: tuple[Any, ...], value: Any, pids: list[int]
) -> None:
    assert pydist.remotecall_fetch(f, pids[0], *arguments) == value


def test_a_class_is_called_like_a_function(pids: list[int]) -> None:
    made = pydist.remotecall_fetch(Doubler, pids[0], 7)
    assert type(made) is Doubler
    assert made.by == 7


def test_a_closure_takes_its_values_along_each_time(pids: list[int]) -> None:
    x = 1

    def add(y: int) -> int:
        return x + y

    assert pydist.remotecall_fetch(add, pids[0], 10) == 11
    x = 2
    assert pydist.remotecall_fetch(add, pids[0], 10) == 12


def test_a_recursive_closure_can_be_called(pids: list[int]) -> None:
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert pydist.remotecall_fetch(factorial, pids[0], 5) == 120


def test_defaults_travel(pids: list[int]) -> None:
    def f(x: int, y: list[int] = [5], *, z: int = 7) -> int:  # noqa: B006 - the default is what this is about
        y.append(x)
        return sum(y) + z

    assert pydist.remotecall_fetch(f, pids[0], 1) == 13
    assert pydist.remotecall_fetch(f, pids[0], 1) == 13


async def later(x: int) -> tuple[int, int]:
    import asyncio

    await asyncio.sleep(0)
    return pydist.myid(), x


def test_a_coroutine_function_runs_to_its_end_there(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(later, pids[0], 5) == (pids[0], 5)  # type: ignore[comparison-overlap]


def test_a_coroutine_function_runs_to_its_end_here(pids: list[int]) -> None:
    assert pydist.remotecall(later, 1, 5).fetch(LIMIT) == (1, 5)


def test_coroutines_of_one_worker_share_a_loop_and_wait_together(pids: list[int]) -> None:
    async def meet(first: bool) -> str:
        import asyncio

        barrier = vars(asyncio).setdefault("_barrier_of_test", asyncio.Barrier(2))
        async with asyncio.timeout(20):
            await barrier.wait()
        return "met"

    futures = [pydist.remotecall(meet, pids[0], True), pydist.remotecall(meet, pids[0], False)]
    assert [future.fetch(LIMIT) for future in futures] == ["met", "met"]


def test_an_error_of_a_coroutine_arrives(pids: list[int]) -> None:
    async def fail() -> None:
        raise KeyError("async")

    with pytest.raises(KeyError, match="async"):
        pydist.remotecall(fail, pids[0]).fetch(LIMIT)


# Calls to this very process


def test_a_call_to_oneself_copies_nothing(pids: list[int]) -> None:
    values: list[int] = []
    assert pydist.remotecall_fetch(lambda x: x, 1, values) is values
    pydist.remotecall(values.append, 1, 5).wait(LIMIT)
    assert values == [5]


def test_a_call_to_oneself_runs_in_a_thread_of_its_own(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(threading.get_ident, 1) != threading.get_ident()


def test_a_call_to_oneself_wraps_errors_all_the_same(pids: list[int]) -> None:
    with pytest.raises(pydist.RemoteException) as caught:
        pydist.remotecall_fetch(operator.truediv, 1, 1, 0)
    assert isinstance(caught.value, ZeroDivisionError)
    assert caught.value.pid == 1


def test_what_cannot_be_pickled_can_be_had_from_oneself(pids: list[int]) -> None:
    lock = threading.Lock()
    assert pydist.remotecall(lambda: lock, 1).fetch(LIMIT) is lock


# Many at a time


def test_calls_of_one_sender_start_in_the_order_in_which_they_were_sent(pids: list[int]) -> None:
    def note(i: int) -> None:
        vars(threading).setdefault("_order_of_test", []).append(i)

    def noted() -> list[int]:
        return vars(threading).pop("_order_of_test")  # type: ignore[no-any-return]

    for i in range(200):
        pydist.remote_do(note, pids[0], i)
    assert pydist.remotecall(noted, pids[0]).fetch(LIMIT) == [*range(200)]


def test_a_call_that_blocks_stops_no_other(pids: list[int]) -> None:
    gate = Gate(pids[0], "blocks")
    future = gate.start("late")
    assert pydist.remotecall(pow, pids[0], 3, 4).fetch(LIMIT) == 81
    gate.open()
    assert future.fetch(LIMIT) == "late"


def test_many_calls_may_block_at_the_same_time(pids: list[int]) -> None:
    def meet(name: str, n: int) -> int:
        barrier = vars(threading).setdefault(name, threading.Barrier(n))
        return barrier.wait(20)  # type: ignore[no-any-return]

    futures = [pydist.remotecall(meet, pids[0], "_barrier_of_test", 60) for _ in range(60)]
    assert sorted(future.fetch(LIMIT) for future in futures) == [*range(60)]


def test_a_computation_stops_no_other_call(pids: list[int]) -> None:
    gate = Gate(pids[0], "computes")
    future = pydist.remotecall(gate.spin, pids[0], gate.name)
    gate.wait_for_arrival()
    assert pydist.remotecall(pow, pids[0], 3, 4).fetch(LIMIT) == 81
    gate.open()
    assert future.fetch(LIMIT) > 0


def test_threads_may_call_at_the_same_time(pids: list[int]) -> None:
    def work(seed: int) -> bool:
        return all(pydist.remotecall_fetch(operator.add, pids[i % 3], seed, i) == seed + i for i in range(100))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


def test_ten_thousand_calls_are_answered(pids: list[int]) -> None:
    futures = [pydist.remotecall(operator.neg, pids[i % len(pids)], i) for i in range(10_000)]
    assert [future.fetch(LIMIT) for future in futures] == [-i for i in range(10_000)]


def test_two_thousand_calls_one_after_the_other_are_answered(pids: list[int]) -> None:
    assert [pydist.remotecall_fetch(operator.neg, pids[0], i) for i in range(2000)] == [-i for i in range(2000)]


# Nested calls


def test_a_worker_can_call_another(pids: list[int]) -> None:
    first, second, _ = pids
    assert pydist.remotecall_fetch(pydist.remotecall_fetch, first, pydist.myid, second) == second


def test_a_worker_can_call_the_master(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(pydist.remotecall_fetch, pids[0], os.getpid, 1) == os.getpid()


def test_a_worker_can_call_itself(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(pydist.remotecall_fetch, pids[0], pydist.myid, pids[0]) == pids[0]


def test_all_workers_can_call_each_other_at_once(pids: list[int]) -> None:
    def ask_all(others: list[int]) -> list[int]:
        return [pydist.remotecall_fetch(pydist.myid, other) for other in others]

    futures = [pydist.remotecall(ask_all, pid, [1, *pids]) for pid in [1, *pids]]
    assert [future.fetch(LIMIT) for future in futures] == [[1, *pids]] * 4


def test_calls_may_go_to_and_fro_many_times(pids: list[int]) -> None:
    def bounce(n: int, here: int, there: int) -> int:
        return 0 if n == 0 else 1 + pydist.remotecall_fetch(bounce, there, n - 1, there, here)

    assert pydist.remotecall(bounce, pids[0], 30, pids[0], pids[1]).fetch(LIMIT) == 30
    assert pydist.remotecall(bounce, pids[0], 30, pids[0], 1).fetch(LIMIT) == 30


def test_an_error_of_a_nested_call_keeps_its_type_and_its_way(pids: list[int]) -> None:
    first, second, _ = pids
    with pytest.raises(ZeroDivisionError) as caught:
        pydist.remotecall_fetch(pydist.remotecall_fetch, first, operator.truediv, second, 1, 0)
    error: Any = caught.value
    assert (error.pid, error.captured.ex.pid) == (first, second)
    assert type(error.captured.ex.captured.ex) is ZeroDivisionError


# The main thread


def test_a_call_runs_in_the_main_thread_when_that_is_free(pids: list[int]) -> None:
    def in_main() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert pydist.remotecall(in_main, pids[0]).fetch(LIMIT)


def test_asyncio_run_and_signals_work_in_a_call(pids: list[int]) -> None:
    def work() -> int:
        import asyncio
        import signal

        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, before)

        async def value() -> int:
            return 5

        return asyncio.run(value())

    assert pydist.remotecall(work, pids[0]).fetch(LIMIT) == 5


def test_another_thread_takes_the_call_while_the_main_thread_is_busy(pids: list[int]) -> None:
    gate = Gate(pids[0], "main thread")
    future = gate.start()

    def in_main() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert not pydist.remotecall(in_main, pids[0]).fetch(LIMIT)
    gate.open()
    future.wait(LIMIT)


def test_threads_that_user_code_starts_on_a_worker_can_call(pids: list[int]) -> None:
    def work(other: int) -> list[int]:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(pydist.remotecall_fetch(pydist.myid, other)))
        thread.start()
        thread.join(20)
        return found

    assert pydist.remotecall(work, pids[0], pids[1]).fetch(LIMIT) == [pids[1]]
