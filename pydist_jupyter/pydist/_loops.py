"""Loops over the workers: ``distributed``.

    R ─▶ splitrange ─▶ a contiguous part for each worker ─▶ the loop over it, there, in one call
                                                                     │ with a reducer: its fold
                                       value ◀── fold in order ◀─────┘

What a worker calls once is a *chunk function*: it takes the part and does the whole loop over it. For `distributed`
that is a function of this module, which calls the body; `distributed_chunks` is given one that has the body inside.
"""

from __future__ import annotations

import array
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, overload

from pydist._batches import splitrange
from pydist._calls import announce, begin
from pydist._futures import Future
from pydist._loop_handle import DistributedLoop, annotate, mark, stop
from pydist._pools import default_worker_pool
from pydist._procs import myid, procs
from pydist._runtime.shield import shield_of_this_thread
from pydist._waiting import as_completed

__all__ = ["distributed", "distributed_chunks"]

Reducer = Callable[[Any, Any], Any]

#: What is cut by slices. Anything else goes to the workers whole and is indexed there, as in Julia.
_SLICED = (range, list, tuple, str, bytes, bytearray, memoryview, array.array)
#: The flag of a coroutine function's code; `inspect`, which has the name, is slow to import.
_CO_COROUTINE = 0x80
#: At which worker a loop without a reducer begins.
_turn = itertools.count().__next__


@overload
def distributed(body: Callable[[Any], Any], R: Any, reducer: None = None) -> DistributedLoop: ...
@overload
def distributed(body: Callable[[Any], Any], R: Any, reducer: Reducer) -> Any: ...
def distributed(body: Callable[[Any], Any], R: Any, reducer: Reducer | None = None) -> Any:
    """Call ``body`` for each element of ``R``, a part of ``R`` on each worker. Julia: ``@distributed``.

    The parts are contiguous and nearly equal (see `splitrange`); each worker is called once and loops over its part.
    Assignments in the body stay on the worker; what is to come back comes by the reducer or by channels.

    Args:
        body: the function. It and what it captures go once to each worker.
        R: a range, list, array, or anything with a length and indices from 0 on.
        reducer: ``reducer(a, b)`` combines two values of the body, in the order of ``R``: within each part, then the
            results of the parts. It should be associative: ``(a + b) + c`` and ``a + (b + c)`` the same.

    Returns:
        With a reducer its result, once all parts have ended; if one fails, the others are interrupted. Without one a
        handle, at once: a `Future` to wait for, await, or cancel. If the loop fails and nobody looks at the handle,
        the error is written to stderr.

    Raises:
        TypeError: ``body`` or ``reducer`` is not callable, or ``R`` has no length or no indices.
        ValueError: ``R`` is empty, and there is a reducer.
        RemoteException: the body or the reducer raised there; ``.index`` says at which element.
        ProcessExitedException: a worker ended.

    Example:
        >>> import operator
        >>> distributed(lambda i: i * i, range(1000), operator.add)
        332833500
        >>> distributed(print, []).wait().done()
        True
    """
    _check(body, "body")
    if reducer is None:
        return _start(_each, (body,), R)
    _check(reducer, "reducer")
    return _reduce(_fold, (body, reducer), R, reducer)


@overload
def distributed_chunks(chunk: Callable[[Any], Any], R: Any, reducer: None = None) -> DistributedLoop: ...
@overload
def distributed_chunks(chunk: Callable[[Any], Any], R: Any, reducer: Reducer) -> Any: ...
def distributed_chunks(chunk: Callable[[Any], Any], R: Any, reducer: Reducer | None = None) -> Any:
    """Do what `distributed` does with a loop that is compiled into one function. For front ends: ``%%distributed``.

    No function is called for each element, so a loop over cheap elements is as quick as if it stood alone.

    Args:
        chunk: ``chunk(part)`` does the whole loop over a part of ``R``: it iterates over ``part``, which has a length
            and is never empty. With a reducer it returns the fold of the body's values over the part, from the left
            and starting with the first value itself; without one what it returns is dropped.
        R: as for `distributed`.
        reducer: combines the values of the chunks, here and in order. The folding inside a part is the chunk's own
            affair, so ``+`` can stand there as an operator, and `operator.add` be given here.

    Returns:
        As `distributed`: the value with a reducer, else a `DistributedLoop`.

    Raises:
        Exception: as `distributed`; what the chunk raises has no ``.index``.

    Example:
        >>> import operator
        >>> def chunk(part):
        ...     part = iter(part)
        ...     total = 2 * next(part)
        ...     for i in part:
        ...         total += 2 * i
        ...     return total
        >>> distributed_chunks(chunk, range(10), operator.add)
        90
    """
    _check(chunk, "chunk")
    if reducer is None:
        return _start(_run_chunk, (chunk,), R)
    _check(reducer, "reducer")
    return _reduce(_value_of_chunk, (chunk,), R, reducer)


# ---- here: the parts, and who has them


def _check(f: object, name: str) -> None:
    if not callable(f):
        raise TypeError(f"distributed: {name} must be callable, not {f!r}")
    if getattr(getattr(f, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
        raise TypeError(f"distributed: {name} must be a plain function, and {f!r} is a coroutine function")


def _length(R: Any) -> int:
    if hasattr(type(R), "__getitem__") and not isinstance(R, Mapping):
        try:
            return len(R)
        except TypeError:
            pass
    raise TypeError(
        "distributed: R must have a length and indices from 0 on, as range(10), a list or an array; "
        f"one of type {type(R).__name__} has not"
    )


def _team() -> list[int]:
    """Return the processes that share a loop: the workers of the default pool; this one if there are none."""
    known = procs()
    return [pid for pid in default_worker_pool().workers() if pid in known] or [myid()]


class _Window:
    """A part of something that can only be indexed."""

    def __init__(self, source: Any, first: int, length: int) -> None:
        self._source, self._first, self._length = source, first, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < self._length:
            raise IndexError(i)
        try:
            return self._source[self._first + i]
        except LookupError as error:
            # An IndexError would only end the loop.
            raise RuntimeError(f"distributed: R has no element {self._first + i}: {error!r}") from error


def _part(R: Any, indices: range) -> Any:
    first, last = indices.start, indices.stop
    if isinstance(R, _SLICED) or hasattr(R, "__array_interface__"):
        return R[first:last]
    if getattr(R, "ndim", 0) == 1 and hasattr(R, "iloc"):
        return R.iloc[first:last]  # a pandas Series is indexed by its labels
    return _Window(R, first, last - first)


def _begin_all(
    chunks: list[Future], work: Callable[..., Any], how: tuple[Any, ...], R: Any, n: int, team: list[int]
) -> None:
    """Start a chunk on each process of the team; put their Futures into ``chunks`` as they are started."""
    shield = shield_of_this_thread()
    for pid, indices in zip(team, splitrange(0, n - 1, len(team)), strict=False):
        part = _part(R, indices)
        # From the sending to the noting no interrupt: what is sent must be known, or nobody stops it.
        shield.raise_()
        try:
            chunks.append(begin(work, pid, (part, indices.start, *how), {}))
        finally:
            shield.lower()


def _start(work: Callable[..., Any], how: tuple[Any, ...], R: Any) -> DistributedLoop:
    """Start a loop without a reducer."""
    n = _length(R)
    team = _team()
    # Round robin, as `spawn`: short loops shall not always meet at the same worker.
    turn = _turn() % len(team)
    chunks: list[Future] = []
    shield = shield_of_this_thread()
    try:
        _begin_all(chunks, work, how, R, n, team[turn:] + team[:turn])
        shield.raise_()
        try:
            loop = DistributedLoop.of(chunks)
            announce(loop)
        finally:
            shield.lower()
    except BaseException:
        stop(chunks)
        raise
    return loop


def _reduce(work: Callable[..., Any], how: tuple[Any, ...], R: Any, reducer: Reducer) -> Any:
    """Run a loop with a reducer."""
    n = _length(R)
    if n == 0:
        raise ValueError("distributed: R is empty, and a reducer needs at least one element")
    team = _team()
    if team == [myid()]:
        try:
            return work(_part(R, range(n)), 0, *how)
        except Exception as error:
            annotate(error)
            raise
    chunks: list[Future] = []
    try:
        _begin_all(chunks, work, how, R, n, team)
        for chunk in as_completed(chunks):
            # One that has failed ends the loop, wherever the others are.
            chunk.wait()
        values = [chunk.fetch() for chunk in chunks]
    except BaseException as error:
        stop(chunks)
        annotate(error)
        raise
    return functools.reduce(reducer, values)


# ---- there: the loop over one part


def _each(part: Any, first: int, body: Callable[[Any], Any]) -> None:
    elements = iter(part)
    try:
        for element in elements:
            body(element)
    except Exception as error:
        mark(error, first, part, elements)
        raise


def _fold(part: Any, first: int, body: Callable[[Any], Any], reducer: Reducer) -> Any:
    # Not functools.reduce and map: in C code that calls only C code no interrupt would be heard.
    elements = iter(part)
    try:
        value = body(next(elements))
        for element in elements:
            value = reducer(value, body(element))
    except Exception as error:
        mark(error, first, part, elements)
        raise
    return value


def _run_chunk(part: Any, first: int, chunk: Callable[[Any], Any]) -> None:
    chunk(part)


def _value_of_chunk(part: Any, first: int, chunk: Callable[[Any], Any]) -> Any:
    return chunk(part)
