"""Running a call that has failed once more, here, where one can look at it."""

from __future__ import annotations

from typing import Any

from pydist._calls import remotecall_fetch
from pydist._futures import Future
from pydist._runtime.current import current_node

__all__ = ["recreate"]


def recreate(future: Future) -> Any:
    """Run the call of a Future that has failed in this process, so that debuggers of this process can see it fail.

    It runs the same function with the arguments as they are at its owner, with what the call has changed in them. The
    owner keeps them as long as it keeps the failure, which ends with the last handle; of all the failures there, those
    of the last few. What the function does besides is done once more.

    Args:
        future: the Future of a call, as `remotecall`, `spawnat` and ``%spawnat`` return it. It is waited for.

    Returns:
        The value, if the call does not fail here. Of an ``async def`` function a coroutine: await it.

    Raises:
        Exception: what the call raises here, as itself, with a traceback of this process.
        ValueError: the call has not failed, or its arguments are not kept.
        ProcessExitedException: the owner is gone, and the arguments with it.

    Example:
        >>> try:
        ...     recreate(remotecall(divmod, 2, 1, 0))
        ... except ZeroDivisionError as error:
        ...     print(error)
        integer division or modulo by zero
    """
    if not isinstance(future, Future):
        raise TypeError(f"recreate takes the Future of a call, not {future!r}")
    if future.exception() is None:
        raise ValueError(f"the call of {future!r} has not failed: its value can be fetched")
    ref = (future.whence, future.id)
    made = call_of(ref) if future.where == current_node().pid else remotecall_fetch(call_of, future.where, ref)
    if made is None:
        raise ValueError(f"the arguments of {future!r} are not kept: only those of the last few calls that failed are")
    f, args, kwargs = made
    return f(*args, **kwargs)


def call_of(ref: tuple[int, int]) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """Return function and arguments of a call that has failed in this process, None if they are not kept."""
    entry = current_node().store.entries.get(ref)
    return None if entry is None or entry.captured is None else entry.value
