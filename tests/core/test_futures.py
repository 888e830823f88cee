"""Futures: a value that lies in some process until it is fetched."""

from __future__ import annotations

import gc
import operator
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pydist
from tests.core.gates import LIMIT, Gate

pytestmark = pytest.mark.processes


def same(x: Any) -> Any:
    return x


def held_here() -> set[tuple[int, int]]:
    """Return the references whose values this process keeps."""
    from pydist._runtime.current import current_node

    gc.collect()
    return set(current_node().store.entries)


def held_on(pid: int) -> set[tuple[int, int]]:
    return pydist.remotecall_fetch(held_here, pid)


def check_that_it_is_forgotten(ref: tuple[int, int], pid: int) -> None:
    """Letting go is told to the owner soon, not at once: ask until it has heard of it."""
    deadline = time.monotonic() + LIMIT
    while ref in held_on(pid):
        assert time.monotonic() < deadline, f"{ref} is kept on {pid}"


def test_fetch_returns_the_same_object_each_time(pids: list[int]) -> None:
    future = pydist.remotecall(list, pids[0], "ab")
    value = future.fetch(LIMIT)
    value.append("c")
    assert future.fetch(LIMIT) is value


def test_none_is_a_value_like_any_other(pids: list[int]) -> None:
    future = pydist.remotecall(same, pids[0], None)
    assert future.fetch(LIMIT) is None
    assert future.isready()


def test_wait_returns_the_future_and_leaves_the_value_where_it_is(pids: list[int]) -> None:
    future = pydist.remotecall(list, pids[0], "ab")
    assert future.wait(LIMIT) is future
    assert pydist.remoteref_id(future) in held_on(pids[0])
    assert future.fetch(LIMIT) == ["a", "b"]


@pytest.mark.parametrize(
    "let_go",
    [
        lambda future: future.fetch(LIMIT),
        lambda future: future.release(),
        lambda future: future.__exit__(None, None, None),
    ],
    ids=["fetch", "release", "with"],
)
def test_the_owner_forgets_a_value_that_nobody_holds(let_go: Callable[[pydist.Future], Any], pids: list[int]) -> None:
    future = pydist.remotecall_wait(list, pids[0], "ab")
    ref = pydist.remoteref_id(future)
    let_go(future)
    check_that_it_is_forgotten(ref, pids[0])


def test_the_owner_forgets_a_value_whose_future_is_collected(pids: list[int]) -> None:
    future = pydist.remotecall_wait(list, pids[0], "ab")
    ref = pydist.remoteref_id(future)
    del future
    gc.collect()
    check_that_it_is_forgotten(ref, pids[0])


def test_a_future_of_this_process_is_forgotten_too(pids: list[int]) -> None:
    future = pydist.remotecall_wait(list, 1, "ab")
    ref = pydist.remoteref_id(future)
    assert ref in held_here()
    del future
    check_that_it_is_forgotten(ref, 1)


def test_isready_tells_whether_the_value_is_there(pids: list[int]) -> None:
    gate = Gate(pids[0], "isready")
    future = gate.start()
    assert not future.isready()
    gate.open()
    future.wait(LIMIT)
    assert future.isready()


def test_isready_is_true_for_an_error(pids: list[int]) -> None:
    future = pydist.remotecall(operator.truediv, pids[0], 1, 0)
    with pytest.raises(ZeroDivisionError):
        future.wait(LIMIT)
    assert future.isready()


@pytest.mark.parametrize("where", [0, 1])
def test_an_error_is_raised_by_each_fetch_and_each_wait(where: int, pids: list[int]) -> None:
    """Wherever the value would be: also for a future of this process."""
    future = pydist.remotecall(operator.truediv, [1, pids[0]][where], 1, 0)
    for ask in (future.fetch, future.fetch, future.wait, future.result):
        with pytest.raises(ZeroDivisionError) as caught:
            ask(LIMIT)
        assert isinstance(caught.value, pydist.RemoteException)


def test_an_index_is_applied_to_the_value(pids: list[int]) -> None:
    future = pydist.remotecall(dict, pids[0], a=1)
    assert future["a"] == 1
    assert future[...] == {"a": 1}


def test_many_threads_may_fetch_at_the_same_time(pids: list[int]) -> None:
    future = pydist.remotecall(list, pids[0], range(100_000))
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda _: future.fetch(LIMIT), range(16)))
    assert all(value == [*range(100_000)] for value in values)


def test_fetch_of_anything_else_is_that(pids: list[int]) -> None:
    assert pydist.fetch(5) == 5


# Time-outs


@pytest.mark.parametrize("ask", ["fetch", "wait", "result", "exception"])
@pytest.mark.parametrize("where", ["here", "there"])
def test_a_wait_that_is_over_leaves_the_call_alone(ask: str, where: str, pids: list[int]) -> None:
    gate = Gate(1 if where == "here" else pids[0], f"time-out of {ask} {where}")
    future = gate.start("late")
    with pytest.raises(TimeoutError, match=r"is not ready after 0\.01 seconds"):
        getattr(future, ask)(timeout=0.01)
    gate.open()
    assert future.fetch(LIMIT) == "late"


def test_a_time_out_of_nothing_asks_without_waiting(pids: list[int]) -> None:
    gate = Gate(pids[0], "no time")
    future = gate.start()
    with pytest.raises(TimeoutError):
        future.fetch(timeout=0)
    gate.open()
    future.wait(LIMIT)
    assert future.fetch(timeout=0) is None


# Setting


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_future_is_set_by_put(where: str, pids: list[int]) -> None:
    future = pydist.Future(1 if where == "here" else pids[0])
    assert not future.isready()
    assert future.put([1]) is future
    assert future.isready()
    assert future.fetch(LIMIT) == [1]


def test_a_future_can_be_set_to_none(pids: list[int]) -> None:
    assert pydist.Future(pids[0]).put(None).fetch(LIMIT) is None


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("fetched", [False, True])
def test_a_second_put_is_refused(where: str, fetched: bool, pids: list[int]) -> None:
    future = pydist.Future(1 if where == "here" else pids[0]).put(1)
    if fetched:
        future.fetch(LIMIT)
    with pytest.raises(pydist.InvalidStateException, match=r"^Future can be set only once$") as caught:
        future.put(2)
    assert caught.value.state == "set"
    assert future.fetch(LIMIT) == 1


def test_a_second_put_from_another_process_is_refused(pids: list[int]) -> None:
    for owner in (1, pids[0], pids[1]):
        future = pydist.Future(owner)
        pydist.remotecall(lambda f: f.put(1) and None, pids[1], future).wait(LIMIT)
        with pytest.raises(pydist.InvalidStateException, match="Future can be set only once"):
            future.put(2)
        assert future.fetch(LIMIT) == 1


def test_the_result_of_a_call_cannot_be_set_again(pids: list[int]) -> None:
    future = pydist.remotecall_wait(pow, pids[0], 3, 4)
    with pytest.raises(pydist.InvalidStateException, match="Future can be set only once"):
        future.put(2)
    assert future.fetch(LIMIT) == 81


def test_who_waits_is_woken_by_a_put_elsewhere(pids: list[int]) -> None:
    future = pydist.Future()
    waits = [pydist.remotecall(lambda f: f.fetch(20), pid, future) for pid in pids]
    with pytest.raises(TimeoutError):
        waits[0].fetch(timeout=0.01)
    pydist.remotecall(lambda f: f.put("set") and None, pids[1], future).wait(LIMIT)
    assert [wait.fetch(LIMIT) for wait in waits] == ["set"] * 3
    assert future.fetch(LIMIT) == "set"


# Travelling


def test_a_future_can_be_fetched_where_it_is_sent(pids: list[int]) -> None:
    gate = Gate(pids[0], "sent before it is ready")
    future = gate.start("value")
    fetched = pydist.remotecall(pydist.fetch, pids[1], future)
    gate.open()
    assert fetched.fetch(LIMIT) == "value"
    assert future.fetch(LIMIT) == "value"


def test_a_fetched_future_takes_its_value_along(pids: list[int]) -> None:
    future = pydist.remotecall(pow, pids[0], 3, 4)
    future.fetch(LIMIT)
    assert pydist.remotecall_fetch(lambda f: (f.isready(), f.fetch()), pids[1], future) == (True, 81)


def test_a_failed_future_fails_where_it_is_sent(pids: list[int]) -> None:
    future = pydist.remotecall(operator.truediv, pids[0], 1, 0)
    with pytest.raises(ZeroDivisionError):
        pydist.remotecall(pydist.fetch, pids[1], future).fetch(LIMIT)


def test_a_future_that_comes_home_is_the_same_object(pids: list[int]) -> None:
    future = pydist.Future()
    assert pydist.remotecall_fetch(same, pids[0], future) is future
    remote = pydist.remotecall(list, pids[0])
    assert pydist.remotecall_fetch(same, pids[1], remote) is remote


def test_equal_references_are_one_object_on_a_worker(pids: list[int]) -> None:
    future = pydist.Future()
    assert pydist.remotecall_fetch(lambda a, b: a is b, pids[0], future, future)


def test_futures_compare_by_their_reference(pids: list[int]) -> None:
    one, two = pydist.Future(), pydist.Future()
    assert one != two
    assert len({one, two, one}) == 2
    assert one != 5


def test_a_future_made_on_a_worker_can_be_fetched_here(pids: list[int]) -> None:
    first, second, _ = pids
    future = pydist.remotecall_fetch(pydist.remotecall, first, pow, second, 3, 4)
    assert (future.where, future.whence) == (second, first)
    assert future.fetch(LIMIT) == 81


def test_a_value_lives_as_long_as_a_future_is_held_anywhere(pids: list[int]) -> None:
    """The caller lets go while the handle is on its way to somebody else."""
    first, second, _ = pids

    def keep(f: pydist.Future) -> None:
        vars(threading)["_future_of_test"] = f

    def kept() -> Any:
        return vars(threading).pop("_future_of_test").fetch(20)

    future = pydist.remotecall(list, first, "ab")
    ref = pydist.remoteref_id(future)
    pydist.remotecall_fetch(keep, second, future)
    del future
    assert ref in held_on(first)
    assert pydist.remotecall(kept, second).fetch(LIMIT) == ["a", "b"]
    check_that_it_is_forgotten(ref, first)


def test_futures_in_transit_are_not_lost_however_many(pids: list[int]) -> None:
    """Each is made by one worker, of a value on another, and fetched by a third."""
    first, second, third = pids

    def make(n: int, there: int) -> list[pydist.Future]:
        return [pydist.remotecall(pow, there, i, 2) for i in range(n)]

    def collect(futures: list[pydist.Future]) -> list[int]:
        return [future.fetch(20) for future in futures]

    before = held_on(second)
    futures = pydist.remotecall(make, first, 100, second)
    assert pydist.remotecall(lambda fs: [f.fetch(20) for f in fs.fetch(20)], third, futures).fetch(LIMIT) == [
        i**2 for i in range(100)
    ]
    assert pydist.remotecall(collect, third, make(100, second)).fetch(LIMIT) == [i**2 for i in range(100)]
    del futures
    for ref in held_on(second) - before:
        check_that_it_is_forgotten(ref, second)


def test_a_future_of_a_worker_that_ends_in_this_moment_says_so_when_it_is_passed_on(
    pids: list[int], spare: Any
) -> None:
    victim = spare()
    ospid = pydist.remotecall_fetch(os.getpid, victim)
    future = pydist.remotecall(same, victim, 1).wait(LIMIT)

    def pass_on_for_ever() -> None:
        while True:
            pydist.remotecall(same, pids[0], future)

    os.kill(ospid, signal.SIGKILL)
    with pytest.raises(pydist.ProcessExitedException) as caught:
        pass_on_for_ever()
    assert caught.value.pid == victim


def test_a_future_in_a_plain_pickle_is_a_handle_to_nothing(pids: list[int]) -> None:
    future = pickle.loads(pickle.dumps(pydist.Future()))
    with pytest.raises(ValueError, match="no process with id 0 exists"):
        future.fetch(LIMIT)


def test_a_released_future_is_a_handle_to_nothing(pids: list[int]) -> None:
    future = pydist.remotecall_wait(list, pids[0])
    future.release()
    with pytest.raises(ValueError, match="no process with id 0 exists"):
        future.fetch(LIMIT)


def test_its_repr_tells_where_it_is_and_how_far(pids: list[int]) -> None:
    gate = Gate(pids[0], "repr")
    future = gate.start()
    start = f"Future({pids[0]}, 1, {future.id}, "
    assert repr(future) == start + "pending)"
    gate.open()
    assert repr(future.wait(LIMIT)) == start + "done)"
    failed = pydist.remotecall(operator.truediv, pids[0], 1, 0)
    assert failed.exception(LIMIT) is not None
    assert repr(failed).endswith("failed)")


# The end of an owner


def test_a_future_of_a_dead_owner_fails(spare: Callable[[], int]) -> None:
    pid = spare()
    future = pydist.remotecall_wait(list, pid, "ab")
    unset = pydist.Future(pid)
    pydist.rmprocs(pid, waitfor=10)
    for ask in (future.fetch, unset.fetch, unset.wait):
        with pytest.raises(pydist.ProcessExitedException) as caught:
            ask(LIMIT)
        assert caught.value.pid == pid


def test_a_fetched_value_survives_its_owner(spare: Callable[[], int]) -> None:
    pid = spare()
    future = pydist.remotecall(list, pid, "ab")
    future.fetch(LIMIT)
    pydist.rmprocs(pid, waitfor=10)
    assert future.fetch(LIMIT) == ["a", "b"]


def test_a_dead_holder_holds_nothing(spare: Callable[[], int], pids: list[int]) -> None:
    def keep(f: pydist.Future) -> None:
        vars(threading)["_future_of_test"] = f

    pid = spare()
    future = pydist.remotecall_wait(list, pids[0], "ab")
    ref = pydist.remoteref_id(future)
    pydist.remotecall_fetch(keep, pid, future)
    del future
    assert ref in held_on(pids[0])
    pydist.rmprocs(pid, waitfor=10)
    check_that_it_is_forgotten(ref, pids[0])
