"""``with sync():`` waits for everything that is started in the block."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from pydist._alike import share_causes
from pydist._calls import listeners
from pydist._errors import CompositeException
from pydist._futures import Future
from pydist._loop_handle import DistributedLoop, stop

__all__ = ["SyncBlock", "sync"]

_innermost: ContextVar[SyncBlock | None] = ContextVar("pydist_sync", default=None)


class SyncBlock:
    """One block of `sync`.

    Attributes:
        futures: what has been started in it, in order.
    """

    def __init__(self) -> None:
        self.futures: list[Future] = []
        self._token: Token[SyncBlock | None] | None = None

    def __repr__(self) -> str:
        return f"<sync: {len(self.futures)} started>"

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._close()
            if error is None:
                failures = [failure for failure in map(_failure_of, self.futures) if failure is not None]
        except BaseException:
            stop(self.futures)
            raise
        if error is not None:
            stop(self.futures)
        else:
            self._report(failures)

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._close()
            if error is None:
                for future in self.futures:
                    await _until_ready(future)
        except BaseException:
            self._cancel()
            raise
        if error is not None:
            self._cancel()
        else:
            self._report([failure for failure in map(_failure_of, self.futures) if failure is not None])

    def _open(self) -> None:
        if self._token is not None:
            raise RuntimeError("this block has been entered before; each `with` needs a sync() of its own")
        try:
            self._token = _innermost.set(self)
            listeners.append(self._note)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        with contextlib.suppress(ValueError):
            listeners.remove(self._note)
        if self._token is not None and _innermost.get() is self:
            _innermost.reset(self._token)

    def _note(self, future: Future) -> None:
        # Other threads and tasks start things too, which do not belong to this block.
        if _innermost.get() is self:
            self.futures.append(future)
            if isinstance(future, DistributedLoop):
                future.expect_a_look()

    def _cancel(self) -> None:
        """Interrupt what is still running, without waiting for its end."""
        for future in self.futures:
            future.cancel()

    def _report(self, failures: list[Exception]) -> None:
        if failures:
            share_causes(failures)
            raise CompositeException(f"{len(failures)} of {len(self.futures)} calls failed", failures)


def _failure_of(future: Future) -> Exception | None:
    """Wait for a Future; return what it raises."""
    try:
        future.wait()
    except Exception as error:
        return error
    return None


async def _until_ready(future: Future) -> None:
    """Wait for a Future in a coroutine; its value stays where it is."""
    import asyncio

    loop = asyncio.get_running_loop()
    ready = asyncio.Event()

    def tell() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(ready.set)

    future.when_ready(tell)
    try:
        await ready.wait()
    finally:
        future.not_when_ready(tell)


def sync() -> SyncBlock:
    """Return a block for ``with``, at whose end everything has ended that was started in it. Julia: ``@sync``.

    It waits for what `remotecall`, `spawnat`, `spawn` and `distributed` have started, called by this thread (or this
    asyncio task, and those it has started in the block), directly or in functions. Blocks can be nested; the inner one
    waits for its own. In a coroutine, ``async with sync():`` waits without stopping the loop.

    An exception in the block, Ctrl-C too, interrupts what was started and is still running.

    Returns:
        The block, whose ``futures`` are what was started, in order.

    Raises:
        CompositeException: at the end of the block, with everything that failed.

    Example:
        >>> with sync() as block:
        ...     for i in range(3):
        ...         f = spawn(abs, -i)
        >>> [f.fetch() for f in block.futures]
        [0, 1, 2]
    """
    return SyncBlock()
