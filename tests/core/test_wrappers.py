"""Decorators of functools around what the notebook has defined."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import pydist

pytestmark = pytest.mark.processes


@functools.lru_cache(maxsize=50)
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@functools.singledispatch
def kind(x: Any) -> str:
    return "something"


@kind.register
def _(x: int) -> str:
    return "int"


@kind.register
def _(x: list) -> str:  # type: ignore[type-arg]
    return "list of " + ", ".join(kind(item) for item in x)


class Shape:
    def __init__(self, side: float) -> None:
        self.side = side

    @functools.cached_property
    def area(self) -> float:
        return square(self.side)

    @functools.lru_cache  # noqa: B019  # users do
    def times(self, n: int) -> float:
        return self.area * n

    @functools.singledispatchmethod
    def tell(self, x: Any) -> str:
        return "something"

    @tell.register
    def _(self, x: int) -> str:
        return f"int {square(x):g}"


def square(x: float) -> float:
    return x * x


def test_a_cached_function_can_be_called_and_mapped(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(fib, pids[0], 40) == fib(40)
    assert pydist.pmap(fib, range(10)) == [fib(n) for n in range(10)]


def test_its_cache_lives_on_the_worker_from_call_to_call(pids: list[int]) -> None:
    pydist.remotecall_fetch(lambda: fib.cache_clear(), pids[0])
    assert pydist.remotecall_fetch(lambda: fib(30), pids[0]) == fib(30)
    before = pydist.remotecall_fetch(lambda: fib.cache_info(), pids[0])
    assert pydist.remotecall_fetch(lambda: fib(30), pids[0]) == fib(30)
    after = pydist.remotecall_fetch(lambda: fib.cache_info(), pids[0])
    assert after == before._replace(hits=before.hits + 1)
    assert after.maxsize == 50


def test_it_comes_back_as_the_same_object(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(lambda f: f, pids[0], fib) is fib


def test_a_generic_function_knows_its_implementations(pids: list[int]) -> None:
    assert pydist.remotecall_fetch(kind, pids[0], [1, "a"]) == "list of int, something"
    assert pydist.remotecall_fetch(lambda: kind([2, [3]]), pids[1]) == "list of int, list of int"


def test_methods_with_caches_and_implementations_work(pids: list[int]) -> None:
    def use(shape: Shape) -> tuple[float, float, str, str]:
        return shape.area, shape.times(2), shape.tell(3), shape.tell("x")

    assert pydist.remotecall_fetch(use, pids[0], Shape(3)) == (9, 18, "int 9", "something")
    assert pydist.remotecall_fetch(lambda: use(Shape(2)), pids[1]) == (4, 8, "int 9", "something")


def test_a_decorated_function_within_another_goes_too(pids: list[int]) -> None:
    @functools.cache
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    assert pydist.remotecall_fetch(factorial, pids[0], 10) == 3628800
    assert pydist.remotecall_fetch(lambda: factorial(5), pids[0]) == 120
