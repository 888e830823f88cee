"""Starting things on a worker, whichever."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, TypeVar, overload

from pydist._calls import remotecall, remotecall_fetch
from pydist._futures import Future
from pydist._procs import workers

__all__ = ["fetchfrom", "remote", "spawn", "spawnat"]

R = TypeVar("R")
#: Round robin, as in Julia: no load is looked at. Its increment is atomic.
_turn = itertools.count().__next__


def next_worker() -> int:
    """Return the worker whose turn it is; 1 if there is none."""
    pids = workers()
    return pids[_turn() % len(pids)]


def _resolve(pid: int | str, f: object, verb: str) -> int:
    if not callable(f):
        raise TypeError(f"{verb} takes a process and a function, as in {verb}(2, pow, 3, 4); {f!r} cannot be called")
    if pid == "any":
        return next_worker()
    if isinstance(pid, str):
        raise ValueError(f'the process must be an id or "any", not {pid!r}')
    return pid


def spawnat(pid: int | str, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
    """Start ``f(*args, **kwargs)`` in process ``pid``, or in ``"any"`` worker; return its Future. Julia: ``@spawnat``.

    Raises:
        Exception: as for `remotecall`.

    Example:
        >>> spawnat("any", pow, 3, 4).fetch()
        81
    """
    return remotecall(f, _resolve(pid, f, "spawnat"), *args, **kwargs)


def spawn(f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
    """Start ``f(*args, **kwargs)`` on the worker whose turn it is; return its Future. Julia: ``@spawn``.

    Example:
        >>> spawn(pow, 2, 10).fetch()
        1024
    """
    return remotecall(f, next_worker(), *args, **kwargs)


def fetchfrom(pid: int | str, f: Callable[..., R], /, *args: Any, **kwargs: Any) -> R:
    """Return ``f(*args, **kwargs)`` of process ``pid``, or of ``"any"`` worker. Julia: ``@fetchfrom``.

    Example:
        >>> fetchfrom(2, pow, 2, 10)
        1024
    """
    return remotecall_fetch(f, _resolve(pid, f, "fetchfrom"), *args, **kwargs)


@overload
def remote(f: Callable[..., R], /) -> Callable[..., R]: ...
@overload
def remote(pool: Any, f: Callable[..., R], /) -> Callable[..., R]: ...
def remote(*arguments: Any) -> Callable[..., Any]:
    """Return a function that runs ``f`` on some worker and returns its value; also a decorator. Julia: ``remote``.

    Example:
        >>> remote(pow)(3, 4)
        81
    """
    if len(arguments) not in (1, 2):
        raise TypeError(f"remote takes a function, or a pool and a function, not {len(arguments)} arguments")
    f = arguments[-1]
    if not callable(f):
        raise TypeError(f"remote takes a function, not {f!r}")

    @functools.wraps(f)
    def there(*args: Any, **kwargs: Any) -> Any:
        return remotecall_fetch(f, next_worker(), *args, **kwargs)

    return there
