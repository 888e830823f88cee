"""What a Future is to `concurrent.futures` and to asyncio."""

from __future__ import annotations

import abc
import concurrent.futures
import threading
import traceback
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from pydist._errors import RemoteException
from pydist._protocol.frames import INLINE
from pydist._refs import Reference
from pydist._runtime.call import Call
from pydist._runtime.slots import Slot

if TYPE_CHECKING:
    import asyncio

__all__ = ["MISSING", "Faces"]

MISSING: Any = object()
_PENDING, _FINISHED = "PENDING", "FINISHED"


class Faces(Reference, concurrent.futures.Future[Any]):
    """A reference with the methods of PEP 3148, that can be awaited."""

    # What most never need is not made for each: thousands may be under way.
    _slot: Slot | None = None
    _value: Any = MISSING
    #: The answer that brings the value here, once somebody has asked for it.
    _transfer: Slot | None = None
    _activated: threading.Condition | None = None
    _wanted_cancel = False
    #: What the user wants to have called.
    _callbacks: list[Callable[[concurrent.futures.Future[Any]], object]] | None = None
    #: For a call to this very process.
    _local_call: Call | None = None

    @abc.abstractmethod
    def fetch(self, timeout: float | None = None) -> Any:
        """Return the value, waiting for it."""

    @abc.abstractmethod
    def isready(self) -> bool:
        """Return whether the value (or the error) is there."""

    @abc.abstractmethod
    def _watch(self) -> Slot:
        """Return the slot that is settled when the value is there."""

    @abc.abstractmethod
    def _wait(self, timeout: float | None) -> None:
        """Wait until that is so."""

    @abc.abstractmethod
    def _failed(self) -> bool:
        """Return whether there is an error instead of a value."""

    @abc.abstractmethod
    def _raise_failure(self) -> None:
        """Raise it."""

    # ---- cancelling

    def cancel(self) -> bool:
        """Drop the call if it has not started, interrupt it if it runs; return False if it is over."""
        slot = self._slot
        if self._value is not MISSING or slot is None or slot.done:
            return False
        self._wanted_cancel = True
        if self._local_call is not None:
            self._node.executor.interrupt(self._local_call)
        self._node.cancel(slot)
        return True

    def cancelled(self) -> bool:
        """Return whether the call ended by `cancel`."""
        if not (self._wanted_cancel and self._slot is not None and self._slot.done and self._failed()):
            return False
        try:
            self._raise_failure()
        except KeyboardInterrupt:
            return True
        except Exception:
            return False
        return False

    # ---- concurrent.futures and asyncio

    def done(self) -> bool:
        """Return whether it is ready."""
        return self.isready()

    def running(self) -> bool:
        """Return whether it is not ready."""
        return not self.done()

    def result(self, timeout: float | None = None) -> Any:
        """Return the value as `fetch` does; raises `concurrent.futures.CancelledError` if it was cancelled."""
        try:
            return self.fetch(timeout)
        except RemoteException:
            if self.cancelled():
                raise concurrent.futures.CancelledError from None
            raise

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, None if it has a value."""
        self._wait(timeout)
        return self.failure()

    def failure(self) -> BaseException | None:
        """Return what `exception` returns, of a call that has ended; for those who look on, and do not wait for it."""
        if self.cancelled():
            raise concurrent.futures.CancelledError
        if self._value is MISSING:
            try:
                self._raise_failure()
            except Exception as error:
                return error
        return None

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[Any]], object]) -> None:
        """Call ``fn(self)`` when it is ready, in a thread of its own; at once if it is. Callbacks keep their order."""
        if self._value is not MISSING or self._watch().done:
            self._call_back([fn])
            return
        if self._callbacks is not None:
            self._callbacks.append(fn)
            return
        self._callbacks = callbacks = [fn]

        def ready() -> None:
            # The reader's thread must not wait for what the callbacks may do: fetch, for one.
            self._callbacks = None
            self._node.executor.aside(lambda: self._call_back(callbacks))

        self.when_ready(ready)

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Call ``tell()`` when it is ready, in the thread that reads: it must be quick and must not wait."""
        if self._value is not MISSING:
            tell()
        else:
            self._watch().add_callback(tell)

    def not_when_ready(self, tell: Callable[[], None]) -> None:
        """Take back what was said to `when_ready`."""
        if self._slot is not None:
            self._slot.remove_callback(tell)

    def _call_back(self, callbacks: list[Callable[[concurrent.futures.Future[Any]], object]]) -> None:
        for fn in callbacks:
            try:
                fn(self)
            except Exception:
                traceback.print_exc()

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not ready.done():
                ready.set_result(None)

        if self._value is MISSING:
            self._watch().add_callback(lambda: _call_soon(loop, tell))
            try:
                yield from ready.__await__()
            except asyncio.CancelledError:
                self.cancel()
                raise
            slot = self._slot
            inline = slot is not None and slot.frame is not None and slot.frame.flags & INLINE
            if not inline and self.where != self._node.pid and not self._failed():
                # Its transfer may take a while, and must not stop the loop.
                return (yield from asyncio.to_thread(self.fetch).__await__())
        return self.fetch()

    # The private side of concurrent.futures, which its wait() and as_completed() use.

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        if self._activated is None:
            self._activated = threading.Condition()
            self._waiters: list[Any] = []
            self.when_ready(self._notify)
        return self._activated

    @property
    def _state(self) -> str:  # type: ignore[override]
        ready = self._value is not MISSING or self._watch().done
        return _FINISHED if ready else _PENDING

    def _notify(self) -> None:
        condition = self._activated
        assert condition is not None
        with condition:
            for waiter in self._waiters:
                (waiter.add_exception if self._failed() else waiter.add_result)(self)
            condition.notify_all()


def _call_soon(loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)
