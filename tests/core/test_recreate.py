"""Running a failed call here."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

import pydist
from pydist._recreate import call_of

pytestmark = pytest.mark.processes


def divide(a: int, b: int = 0) -> float:
    return a / b


def add_and_fail(items: list[int]) -> None:
    items.append(len(items))
    raise RuntimeError(f"{len(items)} items")


def test_it_fails_here_as_it_failed_there(pids: list[int]) -> None:
    future = pydist.remotecall(divide, pids[0], 7, b=0)
    with pytest.raises(ZeroDivisionError) as caught:
        pydist.recreate(future)
    assert not isinstance(caught.value, pydist.RemoteException)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "divide"


def test_the_arguments_are_as_the_call_has_left_them(pids: list[int]) -> None:
    future = pydist.remotecall(add_and_fail, pids[0], [])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="2 items"):
            pydist.recreate(future)


def test_what_does_not_fail_here_gives_its_value(pids: list[int]) -> None:
    future = pydist.remotecall(_only_here, pids[0])
    assert pydist.recreate(future) == 1


def _only_here() -> int:
    if pydist.myid() != 1:
        raise RuntimeError("not here")
    return pydist.myid()


def test_a_call_of_this_process_too() -> None:
    with pytest.raises(ZeroDivisionError):
        pydist.recreate(pydist.remotecall(divide, 1, 1))


def test_a_coroutine_function_gives_a_coroutine(pids: list[int]) -> None:
    coroutine = pydist.recreate(pydist.remotecall(_waits_and_fails, pids[0], 5))
    with pytest.raises(ValueError, match="5"):
        coroutine.send(None)


async def _waits_and_fails(n: int) -> None:
    raise ValueError(n)


def test_only_the_last_few_are_kept(pids: list[int]) -> None:
    futures = [pydist.remotecall(divide, pids[0], i).exception() and None for i in range(3)]
    del futures
    kept = [pydist.remotecall(divide, pids[0], i) for i in range(12)]
    assert all(future.exception() is not None for future in kept)
    with pytest.raises(ZeroDivisionError):
        pydist.recreate(kept[-1])
    with pytest.raises(ValueError, match="only those of the last few calls"):
        pydist.recreate(kept[0])


def test_it_is_kept_no_longer_than_the_future(pids: list[int]) -> None:
    future = pydist.remotecall(divide, pids[0], 1)
    future.exception()
    ref = (future.whence, future.id)
    assert pydist.remotecall_fetch(call_of, pids[0], ref)[1:] == ((1,), {})  # type: ignore[index]
    del future
    while pydist.remotecall_fetch(call_of, pids[0], ref) is not None:
        pydist.refs()  # which tells the owners what has been dropped


@pytest.mark.parametrize("wrong", [3, ValueError("x"), None])
def test_what_is_no_future_is_named(wrong: object) -> None:
    with pytest.raises(TypeError, match="recreate takes the Future of a call, not"):
        pydist.recreate(wrong)  # type: ignore[arg-type]


def test_a_call_that_has_not_failed_has_nothing_to_show(pids: list[int]) -> None:
    with pytest.raises(ValueError, match="has not failed"):
        pydist.recreate(pydist.remotecall(divide, pids[0], 1, 1))


def test_the_arguments_go_with_their_worker(spare: Callable[[], int]) -> None:
    future = pydist.remotecall(divide, spare(), 1)
    future.exception()
    pydist.rmprocs(future.where, waitfor=10)
    with pytest.raises(pydist.ProcessExitedException):
        pydist.recreate(future)
