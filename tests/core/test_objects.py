"""What goes along with a call and comes back: any object, of any size, or an error that harms this call alone."""

from __future__ import annotations

import collections
import dataclasses
import enum
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydist
from pydist import frontend
from tests.core.gates import LIMIT

pytestmark = pytest.mark.processes


def same(x: Any) -> Any:
    return x


def check_that_nothing_is_left_of_it(pid: int) -> None:
    """The stream is in order and no answer is waited for."""
    assert pydist.remotecall(pow, pid, 3, 4).fetch(LIMIT) == 81
    assert pydist.remotecall(same, pid, [1, {"a": 2}]).fetch(LIMIT) == [1, {"a": 2}]
    assert frontend.running() == {}


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - this kind too

VALUES: list[Any] = [
    None,
    ...,
    NotImplemented,
    10**5000,
    float("inf"),
    "\ud800 lone surrogate",
    "x" * 1_000_000,
    b"x" * 1_000_000,
    bytearray(b"abc" * 100_000),
    [],
    [*range(100_000)],
    {i: str(i) for i in range(10_000)},
    {frozenset({1}), frozenset({2})},
    (1, (2, (3, (4, ())))),
    Point(1, 2),
    Pair(1, 2),
    Colour.RED,
    range(5),
    slice(1, 2),
    Path("a/b"),
    collections.deque([1, 2], maxlen=3),
    collections.Counter("abc"),
    [str(i) for i in range(100_000)],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_went(value: Any, pids: list[int]) -> None:
    found = pydist.remotecall(same, pids[0], value).fetch(LIMIT)
    assert found == value
    assert type(found) is type(value)


def test_a_value_is_a_copy(pids: list[int]) -> None:
    value = [1]
    assert pydist.remotecall_fetch(same, pids[0], value) is not value


def test_what_is_one_object_here_is_one_object_there(pids: list[int]) -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    assert pydist.remotecall_fetch(lambda x: x[1] is x, pids[0], ring)
    assert pydist.remotecall_fetch(lambda x, y: x is y, pids[0], ring, ring)


def test_an_exception_that_is_returned_is_a_value(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(ValueError, pids[0], "x").args == ("x",)
    assert type(pydist.remotecall(ValueError, pids[0], "x").fetch(LIMIT)) is ValueError


# Arrays


ARRAYS: list[np.ndarray[Any, Any]] = [
    np.arange(10),
    np.arange(4_000_000, dtype=float).reshape(2000, -1),
    np.asfortranarray(np.arange(60_000).reshape(200, -1)),
    np.arange(200_000)[::2],
    np.zeros((0, 5)),
    np.array(3.5),
    np.array(["text", "more text"] * 5000),
    np.array([1, None, "x"] * 5000, dtype=object),
    np.ones(50_000, dtype=[("a", "i4"), ("b", "f8")]),
]
SHAPES = ["small", "large", "fortran", "strided", "empty", "scalar", "text", "objects", "records"]


@pytest.mark.parametrize("array", ARRAYS, ids=SHAPES)
def test_arrays_come_back_as_they_went(array: np.ndarray[Any, Any], pids: list[int]) -> None:
    found = pydist.remotecall(same, pids[0], array).fetch(LIMIT)
    assert np.array_equal(found, array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("n", [10, 100_000, 3_000_000])
def test_arrays_can_be_written_to_there_and_here(n: int, pids: list[int]) -> None:
    def double(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        array *= 2
        return array

    found = pydist.remotecall(double, pids[0], np.ones(n)).fetch(LIMIT)
    found += 1
    assert found.sum() == 3 * n


def test_bytearrays_can_be_written_to_there_and_here(pids: list[int]) -> None:
    def note(array: bytearray) -> bytearray:
        array[0] = 7
        return array

    found = pydist.remotecall(note, pids[0], bytearray(500_000)).fetch(LIMIT)
    found.append(1)
    assert (found[0], len(found)) == (7, 500_001)


def test_arrays_inside_of_objects_travel(pids: list[int]) -> None:
    value = {"a": [np.ones(100_000), np.zeros(100_000)], "b": Point(1)}
    found = pydist.remotecall(same, pids[0], value).fetch(LIMIT)
    assert found["a"][0].sum() == 100_000
    assert found["a"][1].sum() == 0


def test_an_array_in_a_closure_travels(pids: list[int]) -> None:
    array = np.ones(500_000)
    assert pydist.remotecall_fetch(lambda: float(array.sum()), pids[0]) == 500_000


def test_the_array_of_the_caller_can_be_changed_once_the_call_is_sent(pids: list[int]) -> None:
    array = np.ones(2_000_000)
    future = pydist.remotecall(np.sum, pids[0], array)
    array[:] = 0
    assert future.fetch(LIMIT) == 2_000_000


def test_many_arrays_travel_at_the_same_time_both_ways(pids: list[int]) -> None:
    arrays = [np.full(300_000, i) for i in range(30)]
    futures = [pydist.remotecall(same, pids[i % 3], array) for i, array in enumerate(arrays)]
    assert all(np.array_equal(future.fetch(LIMIT), array) for future, array in zip(futures, arrays, strict=True))


def test_two_workers_can_send_each_other_large_arrays_at_once(pids: list[int]) -> None:
    def send(other: int) -> float:
        return float(pydist.remotecall_fetch(same, other, np.ones(3_000_000)).sum())

    futures = [pydist.remotecall(send, pids[0], pids[1]), pydist.remotecall(send, pids[1], pids[0])]
    assert [future.fetch(LIMIT) for future in futures] == [3_000_000, 3_000_000]


# What cannot travel


class Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("I stay here")


class Trap:
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> Any:
        return _spring, ()


def _spring() -> Any:
    raise ValueError("the trap")


UNPICKLABLE: list[tuple[Callable[[], Any], type[Exception]]] = [
    (threading.Lock, TypeError),
    (lambda: iter(x for x in "ab"), TypeError),
    (Refuses, ValueError),
    (lambda: [np.ones(100_000), threading.Lock()], TypeError),
]
KINDS = ["lock", "generator", "object", "behind an array"]


@pytest.mark.parametrize(("make", "kind"), UNPICKLABLE, ids=KINDS)
@pytest.mark.parametrize("call", [pydist.remotecall, pydist.remotecall_fetch, pydist.remotecall_wait, pydist.remote_do])
def test_an_argument_that_cannot_be_pickled_raises_at_the_call_and_harms_nothing(
    call: Callable[..., Any], make: Callable[[], Any], kind: type[Exception], pids: list[int]
) -> None:
    with pytest.raises(kind) as caught:
        call(same, pids[0], make())
    assert not isinstance(caught.value, pydist.RemoteException)
    check_that_nothing_is_left_of_it(pids[0])


def test_a_function_that_cannot_be_pickled_raises_at_the_call_and_harms_nothing(pids: list[int]) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        pydist.remotecall(lambda: lock, pids[0])
    check_that_nothing_is_left_of_it(pids[0])


@pytest.mark.parametrize(("make", "kind"), UNPICKLABLE, ids=KINDS)
def test_a_result_that_cannot_be_pickled_fails_that_call_alone(
    make: Callable[[], Any], kind: type[Exception], pids: list[int]
) -> None:
    with pytest.raises(kind) as caught:
        pydist.remotecall_fetch(make, pids[0])
    assert isinstance(caught.value, pydist.RemoteException)
    check_that_nothing_is_left_of_it(pids[0])


@pytest.mark.parametrize(("make", "kind"), UNPICKLABLE, ids=KINDS)
def test_a_kept_result_that_cannot_be_pickled_fails_when_it_is_fetched(
    make: Callable[[], Any], kind: type[Exception], pids: list[int]
) -> None:
    future = pydist.remotecall(make, pids[0])
    with pytest.raises(kind) as caught:
        future.fetch(LIMIT)
    assert isinstance(caught.value, pydist.RemoteException)
    del future
    check_that_nothing_is_left_of_it(pids[0])


def test_an_argument_that_cannot_be_unpickled_fails_that_call_alone(pids: list[int]) -> None:
    with pytest.raises(ValueError, match="the trap") as caught:
        pydist.remotecall_fetch(same, pids[0], Trap())
    assert isinstance(caught.value, pydist.RemoteException)
    check_that_nothing_is_left_of_it(pids[0])


def test_a_result_that_cannot_be_unpickled_fails_that_call_alone(pids: list[int]) -> None:
    with pytest.raises(ValueError, match="the trap"):
        pydist.remotecall_fetch(Trap, pids[0])
    check_that_nothing_is_left_of_it(pids[0])


@pytest.fixture
def folder_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that only this process can import."""
    (tmp_path / "only_here.py").write_text("class Thing:\n    pass\n\ndef f(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "only_here", raising=False)
    return "only_here"


def test_a_module_that_the_worker_cannot_import_fails_that_call_alone_and_is_named(
    folder_module: str, pids: list[int]
) -> None:
    import only_here  # type: ignore[import-not-found]

    for f, argument in ((only_here.f, 1), (same, only_here.Thing())):
        with pytest.raises(ModuleNotFoundError, match="only_here") as caught:
            pydist.remotecall_fetch(f, pids[0], argument)
        assert isinstance(caught.value, pydist.RemoteException)
    check_that_nothing_is_left_of_it(pids[0])


def test_a_function_that_failed_to_arrive_is_sent_again_when_the_worker_can_import_it(
    folder_module: str, tmp_path: Path, pids: list[int]
) -> None:
    import only_here

    def add_path(path: str) -> None:
        sys.path.insert(0, path)

    def remove_path(path: str) -> None:
        sys.path.remove(path)

    with pytest.raises(ModuleNotFoundError):
        pydist.remotecall_fetch(only_here.f, pids[1], 1)
    pydist.remotecall_fetch(add_path, pids[1], str(tmp_path))
    try:
        assert pydist.remotecall(only_here.f, pids[1], 1).fetch(LIMIT) == 2
    finally:
        pydist.remotecall_fetch(remove_path, pids[1], str(tmp_path))


# Errors of functions


class Odd(Exception):
    def __init__(self, a: int, *, b: str) -> None:
        super().__init__(f"{a} of {b}")
        self.a = a
        self.b = b


class Holds(Exception):
    """Carries what cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("held")
        self.lock = threading.Lock()


def fail(error: BaseException | Callable[[], BaseException]) -> None:
    raise error() if callable(error) else error


def test_an_error_keeps_its_type_its_values_and_where_it_was_raised(pids: list[int]) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        pydist.remotecall_fetch(open, pids[0], "/no/such/file")
    error: Any = caught.value
    assert issubclass(type(error), pydist.RemoteException)
    assert (error.pid, error.errno, error.filename) == (pids[0], 2, "/no/such/file")


def test_an_error_of_the_user_with_an_odd_constructor_keeps_its_type_and_values(pids: list[int]) -> None:
    with pytest.raises(Odd, match="3 of four") as caught:
        pydist.remotecall_fetch(fail, pids[0], lambda: Odd(3, b="four"))
    assert (caught.value.a, caught.value.b) == (3, "four")


def test_an_error_can_be_sent_as_an_argument(pids: list[int]) -> None:
    with pytest.raises(Odd, match="3 of four"):
        pydist.remotecall_fetch(fail, pids[0], Odd(3, b="four"))


def test_an_error_that_cannot_be_pickled_keeps_its_class_its_text_and_its_frames(pids: list[int]) -> None:
    with pytest.raises(Holds, match="held") as caught:
        pydist.remotecall_fetch(fail, pids[0], Holds)
    assert isinstance(caught.value, pydist.RemoteException)
    assert "in fail" in caught.value.captured.traceback
    check_that_nothing_is_left_of_it(pids[0])


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_errors_that_are_no_exceptions_are_answered_too(kind: type[BaseException], pids: list[int]) -> None:
    with pytest.raises(kind) as caught:
        pydist.remotecall_fetch(fail, pids[0], kind)
    assert isinstance(caught.value, pydist.RemoteException)
    check_that_nothing_is_left_of_it(pids[0])


def test_a_group_of_errors_can_be_taken_apart_here(pids: list[int]) -> None:
    group = ExceptionGroup("two", [ValueError("a"), KeyError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        pydist.remotecall_fetch(fail, pids[0], group)
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]


def test_a_deep_recursion_is_an_error_like_others(pids: list[int]) -> None:
    def down(n: int) -> int:
        return down(n + 1)

    with pytest.raises(RecursionError):
        pydist.remotecall_fetch(down, pids[0], 0)
    check_that_nothing_is_left_of_it(pids[0])


def test_errors_with_a_ring_of_causes_are_answered(pids: list[int]) -> None:
    def ring() -> None:
        one, two = ValueError("one"), ValueError("two")
        one.__context__, two.__context__ = two, one
        raise one

    with pytest.raises(ValueError, match="one"):
        pydist.remotecall(ring, pids[0]).fetch(LIMIT)


def test_the_remote_traceback_shows_the_line_that_failed(pids: list[int]) -> None:
    with pytest.raises(pydist.RemoteException) as caught:
        pydist.remotecall_fetch(fail, pids[0], ValueError("x"))
    text = caught.value.captured.traceback
    assert "raise error() if callable(error) else error" in text
    assert "ValueError: x" in text


def test_a_worker_does_not_keep_the_arguments_of_calls_that_have_ended(pids: list[int]) -> None:
    class Thing:
        pass

    def keep(thing: Thing) -> None:
        vars(threading)["_ref_of_test"] = weakref.ref(thing)

    def kept() -> bool:
        import gc

        gc.collect()
        return vars(threading).pop("_ref_of_test")() is not None

    pydist.remotecall_fetch(keep, pids[0], Thing())
    assert not pydist.remotecall_fetch(kept, pids[0])
