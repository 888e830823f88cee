"""The event loop of a process, for ``async def`` functions that others call. Made when the first one comes."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future as PlainFuture
from typing import TYPE_CHECKING, Any

from pydist._runtime.answers import HIDDEN

if TYPE_CHECKING:
    import asyncio

__all__ = ["cancel", "start"]

HIDDEN.add(__file__)


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    import asyncio

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="pydist-coroutines", daemon=True).start()
    return loop


def start(coroutine: Coroutine[Any, Any, Any], ended: Callable[[Any, BaseException | None], None]) -> PlainFuture[Any]:
    """Run a coroutine; ``ended(value, error)`` is called once, in the loop's thread. Return a handle for `cancel`.

    The context of the calling thread goes along, so what the coroutine prints belongs to its call.
    """
    import asyncio
    import contextvars

    context = contextvars.copy_context()
    handle: PlainFuture[Any] = PlainFuture()

    async def whole() -> None:
        try:
            value = await coroutine
        except asyncio.CancelledError as error:
            ended(None, error)
        except BaseException as error:
            ended(None, error)
        else:
            ended(value, None)

    def begin() -> None:
        handle.set_result(_loop().create_task(whole(), context=context))

    _loop().call_soon_threadsafe(begin)
    return handle


def cancel(handle: PlainFuture[Any]) -> None:
    """Cancel what `start` started, as soon as it has begun."""
    handle.add_done_callback(lambda done: _loop().call_soon_threadsafe(done.result().cancel))
