"""What becomes of a pmap when something goes wrong."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pydist
from pydist import frontend
from tests.core.gates import LIMIT

pytestmark = pytest.mark.processes


class Bad(Exception):
    """What the functions here raise."""


def bad_at(*numbers: int) -> Callable[[int], int]:
    def work(i: int) -> int:
        if i in numbers:
            raise Bad(i)
        return -i

    return work


def check_that_the_workers_are_free(pids: list[int]) -> None:
    assert frontend.running() == {}
    assert pydist.pmap(abs, [-1, -2, -3]) == [1, 2, 3]
    assert pydist.workers() == pids


@pytest.mark.parametrize("batch_size", [1, 4, "auto"])
def test_an_error_says_which_item_it_was_and_what_had_been_computed(batch_size: Any, pids: list[int]) -> None:
    with pytest.raises(Bad) as caught:
        pydist.pmap(bad_at(10), range(1000), batch_size=batch_size)
    error: Any = caught.value
    assert issubclass(type(error), pydist.RemoteException)
    assert error.index == 10
    assert all(error.results[i] == -i for i in error.results)
    assert any("item 10 failed" in note for note in error.__notes__)
    check_that_the_workers_are_free(pids)


def test_what_stood_before_it_in_its_batch_is_among_the_results(pids: list[int]) -> None:
    with pytest.raises(Bad) as caught:
        pydist.pmap(bad_at(3), range(5), batch_size=5)
    assert caught.value.results == {0: 0, 1: -1, 2: -2}  # type: ignore[attr-defined]


def test_nothing_new_is_sent_after_an_error(pids: list[int]) -> None:
    taken: list[int] = []
    taken_when_told: list[int] = []

    def source() -> Iterator[int]:
        for i in itertools.count():
            taken.append(i)
            yield i

    def never(state: Any, error: BaseException) -> bool:
        taken_when_told.append(len(taken))
        return False

    # How many there are until then depends on the system: the worker with item 50 may have to wait for a CPU.
    with pytest.raises(Bad):
        pydist.pmap(bad_at(50), source(), retry_delays=[0], retry_check=never)
    assert len(taken) >= 51
    assert taken_when_told == [len(taken)]
    check_that_the_workers_are_free(pids)


def test_an_error_interrupts_what_runs(pids: list[int]) -> None:
    def work(i: int) -> None:
        if i == 5:
            raise Bad(i)
        if i > 5:
            threading.Event().wait(60)

    with pytest.raises(Bad):
        pydist.pmap(work, range(100))
    check_that_the_workers_are_free(pids)


def test_an_error_of_the_input_comes_out_as_it_is(pids: list[int]) -> None:
    def source() -> Iterator[int]:
        yield from range(20)
        raise Bad("in the input")

    with pytest.raises(Bad, match="in the input") as caught:
        pydist.pmap(abs, source())
    assert not isinstance(caught.value, pydist.RemoteException)
    check_that_the_workers_are_free(pids)


def test_a_function_that_cannot_be_pickled_is_refused_and_nothing_is_left(pids: list[int]) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        pydist.pmap(lambda x: lock, range(10))
    check_that_the_workers_are_free(pids)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_item_that_cannot_be_pickled_says_which_one_it_is(batch_size: int, pids: list[int]) -> None:
    with pytest.raises(TypeError, match="lock") as caught:
        pydist.pmap(id, [1, 2, 3, threading.Lock(), 5], batch_size=batch_size)
    assert caught.value.index == 3  # type: ignore[attr-defined]
    check_that_the_workers_are_free(pids)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_result_that_cannot_be_pickled_is_an_error_of_its_item(batch_size: int, pids: list[int]) -> None:
    def work(i: int) -> Any:
        return threading.Lock() if i == 4 else i

    with pytest.raises(TypeError, match="lock"):
        pydist.pmap(work, range(9), batch_size=batch_size)
    check_that_the_workers_are_free(pids)


# on_error


@pytest.mark.parametrize("batch_size", [1, 4, "auto"])
def test_on_error_gives_the_result_of_what_failed(batch_size: Any, pids: list[int]) -> None:
    results = pydist.pmap(bad_at(3, 4, 9), range(12), batch_size=batch_size, on_error=lambda error: error.args)
    assert results == [(i,) if i in (3, 4, 9) else -i for i in range(12)]


def test_on_error_runs_here_and_sees_the_original_exception(pids: list[int]) -> None:
    seen: list[Any] = []

    def on_error(error: BaseException) -> None:
        seen.append((error, os.getpid(), threading.get_ident()))

    pydist.pmap(bad_at(1), [1], on_error=on_error)
    ((error, pid, thread),) = seen
    assert type(error) is Bad
    assert (pid, thread) == (os.getpid(), threading.get_ident())


def test_an_error_of_on_error_comes_out(pids: list[int]) -> None:
    def on_error(error: BaseException) -> None:
        raise KeyError("from on_error") from error

    with pytest.raises(KeyError, match="from on_error"):
        pydist.pmap(bad_at(5), range(100), on_error=on_error)
    check_that_the_workers_are_free(pids)


def test_on_error_works_without_workers_too(pids: list[int]) -> None:
    assert pydist.pmap(bad_at(1), range(3), on_error=lambda error: "bad", distributed=False) == [0, "bad", -2]


# Retries


def counting(folder: Path) -> Callable[[int], int]:
    """Return a function that notes each attempt as a file, and fails for item 2."""

    def work(i: int) -> int:
        attempt = next(n for n in itertools.count(1) if not (folder / f"{i}-{n}").exists())
        (folder / f"{i}-{attempt}").touch()
        if i == 2:
            raise Bad(attempt)
        return i

    return work


def attempts(folder: Path, i: int) -> int:
    return len([*folder.glob(f"{i}-*")])


@pytest.mark.parametrize("distributed", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_n_delays_allow_n_more_attempts(distributed: bool, batch_size: int, tmp_path: Path, pids: list[int]) -> None:
    with pytest.raises(Bad) as caught:
        pydist.pmap(
            counting(tmp_path), range(6), retry_delays=[0, 0.001, 0], batch_size=batch_size, distributed=distributed
        )
    assert caught.value.args == (4,)
    assert attempts(tmp_path, 2) == 4
    assert attempts(tmp_path, 1) <= 1  # it may not have begun when item 2 had failed for good


def test_an_item_that_succeeds_at_last_has_its_result(tmp_path: Path, pids: list[int]) -> None:
    def work(i: int) -> int:
        (tmp_path / f"{i}-{len([*tmp_path.iterdir()])}").touch()
        if i == 2 and len([*tmp_path.glob("2-*")]) < 3:
            raise Bad(i)
        return i

    assert pydist.pmap(work, range(5), retry_delays=[0] * 5) == [*range(5)]


@pytest.mark.parametrize("distributed", [True, False])
def test_retry_check_decides_and_keeps_its_state(distributed: bool, tmp_path: Path, pids: list[int]) -> None:
    asked: list[Any] = []

    def check(state: Any, error: BaseException) -> tuple[int, bool]:
        asked.append((state, type(error)))
        return (state or 0) + 1, len(asked) < 3

    with pytest.raises(Bad):
        pydist.pmap(counting(tmp_path), range(4), retry_delays=[0] * 9, retry_check=check, distributed=distributed)
    assert asked == [(None, Bad), (1, Bad), (2, Bad)]
    assert attempts(tmp_path, 2) == 3


def test_retry_check_may_answer_yes_or_no_alone(tmp_path: Path, pids: list[int]) -> None:
    with pytest.raises(Bad):
        pydist.pmap(counting(tmp_path), range(4), retry_delays=[0] * 9, retry_check=lambda state, error: False)
    assert attempts(tmp_path, 2) == 1


@pytest.mark.parametrize("distributed", [True, False])
def test_an_error_of_retry_check_comes_out(distributed: bool, tmp_path: Path, pids: list[int]) -> None:
    def check(state: Any, error: BaseException) -> bool:
        raise LookupError("no idea")

    with pytest.raises(LookupError, match="no idea") as caught:
        pydist.pmap(counting(tmp_path), range(4), retry_delays=[0] * 9, retry_check=check, distributed=distributed)
    assert not isinstance(caught.value, pydist.RemoteException)
    check_that_the_workers_are_free(pids)


def test_on_error_comes_after_the_last_attempt(tmp_path: Path, pids: list[int]) -> None:
    results = pydist.pmap(counting(tmp_path), range(4), retry_delays=[0, 0], on_error=lambda error: error.args[0])
    assert results == [0, 1, 3, 3]


# The end of a worker


def deadly(folder: Path, *numbers: int) -> Callable[[int], int]:
    """Return a function that ends its process at these items, each once."""

    def work(i: int) -> int:
        if i in numbers:
            try:
                (folder / str(i)).touch(exist_ok=False)
            except FileExistsError:
                return -i
            os.kill(os.getpid(), signal.SIGKILL)
        return -i

    return work


@pytest.fixture
def pool(spare: Callable[[], int], pids: list[int]) -> list[int]:
    """Return two workers that may die."""
    return [spare(), spare()]


def test_the_end_of_a_worker_ends_the_map(pool: list[int], pids: list[int], tmp_path: Path) -> None:
    with pytest.raises(pydist.ProcessExitedException) as caught:
        pydist.pmap(deadly(tmp_path, 30), range(1000), pool=pool)
    assert caught.value.pid in pool
    assert caught.value.signal == signal.SIGKILL
    assert caught.value.index == 30  # type: ignore[attr-defined]
    check_that_the_workers_are_free([pid for pid in [*pids, *pool] if pid != caught.value.pid])


@pytest.mark.parametrize("batch_size", [1, 4, "auto"])
def test_retries_outlive_a_worker(batch_size: Any, pool: list[int], tmp_path: Path) -> None:
    results = pydist.pmap(deadly(tmp_path, 30), range(200), pool=pool, retry_delays=[0], batch_size=batch_size)
    assert results == [-i for i in range(200)]


def test_on_error_sees_the_end_of_a_worker(pool: list[int], tmp_path: Path) -> None:
    results = pydist.pmap(deadly(tmp_path, 30), range(200), pool=pool, on_error=lambda error: type(error))
    assert results[30] is pydist.ProcessExitedException
    assert [result for result in results if not isinstance(result, type)] == [
        -i for i, result in enumerate(results) if not isinstance(result, type)
    ]


def test_retry_check_sees_the_end_of_a_worker(pool: list[int], tmp_path: Path) -> None:
    def check(state: Any, error: BaseException) -> bool:
        return isinstance(error, pydist.ProcessExitedException)

    results = pydist.pmap(deadly(tmp_path, 30), range(100), pool=pool, retry_delays=[0], retry_check=check)
    assert results == [-i for i in range(100)]


def test_the_end_of_all_workers_is_said(pool: list[int], tmp_path: Path) -> None:
    with pytest.raises((pydist.ProcessExitedException, ValueError)) as caught:
        pydist.pmap(lambda i: os.kill(os.getpid(), signal.SIGKILL), range(100), pool=pool, retry_delays=[0] * 10)
    if isinstance(caught.value, ValueError):
        assert str(caught.value) == "No active worker available in pool"


def test_removing_a_worker_meanwhile_costs_nothing_with_a_retry(pool: list[int], tmp_path: Path) -> None:
    def work(i: int) -> int:
        if i == 30:
            pydist.remotecall_fetch(remove, 1, pool[0])
        return -i

    def remove(pid: int) -> None:
        pydist.rmprocs(pid, waitfor=LIMIT)

    assert pydist.pmap(work, range(200), pool=pool, retry_delays=[0]) == [-i for i in range(200)]


def test_only_the_item_that_ended_its_worker_is_blamed(pool: list[int]) -> None:
    """Others that had been sent to that worker were not begun there."""

    def work(i: int) -> int:
        if i == 200:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    results = pydist.pmap(work, range(600), pool=pool, on_error=lambda error: type(error))
    assert results == [pydist.ProcessExitedException if i == 200 else i for i in range(600)]


@pytest.mark.parametrize("batch_size", [1, 10, "auto"])
def test_only_the_item_whose_result_cannot_be_sent_fails(pids: list[int], batch_size: Any) -> None:
    def work(i: int) -> Any:
        return threading.Lock() if i == 57 else i

    results = pydist.pmap(work, range(200), batch_size=batch_size, on_error=lambda error: type(error))
    assert results == [TypeError if i == 57 else i for i in range(200)]
    with pytest.raises(TypeError, match="cannot pickle") as caught:
        pydist.pmap(work, range(200), batch_size=batch_size)
    assert caught.value.index == 57  # type: ignore[attr-defined]


def test_an_input_that_cannot_be_sent_is_named_also_if_others_go_with_it(pids: list[int]) -> None:
    inputs: list[Any] = [[i] for i in range(300)]
    inputs[217] = threading.Lock()
    with pytest.raises(TypeError, match="cannot pickle") as caught:
        pydist.pmap(len, inputs)
    assert caught.value.index == 217  # type: ignore[attr-defined]
    check_that_the_workers_are_free(pids)
