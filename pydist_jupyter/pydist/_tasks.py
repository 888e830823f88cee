"""What an executor is asked for: calls, and chunks of calls of a function that is mapped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from pydist._calls import start_here
from pydist._errors import remote_exception
from pydist._protocol.frames import BACK, STAR
from pydist._runtime.asking import Prepared
from pydist._runtime.mapped import Items, run_items
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.shield import LOOK
from pydist._runtime.slots import Slot

__all__ = ["Chunk", "Mapped", "Task"]

#: While the chunks of a map take their worker less than this (seconds), a second one waits there, so that it never
#: idles.
_QUICK = 0.02


class PatientFuture(Future[Any]):
    """A plain Future, but Ctrl-C always ends the waiting for it.

    A signal that comes after Python has looked for signals, and before the lock is waited for, wakes nobody. So the
    main thread waits a little at a time.
    """

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, or raise what the call has raised."""
        self._wait_for_it(timeout)
        return super().result(0 if self.done() else timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call has raised, None if it has a result."""
        self._wait_for_it(timeout)
        return super().exception(0 if self.done() else timeout)

    def _wait_for_it(self, timeout: float | None) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while not self.done():
                left = LOOK if deadline is None else min(LOOK, deadline - time.monotonic())
                if left <= 0:
                    raise TimeoutError  # as `Future.result` does
                self._condition.wait(left)


class Task:
    """One call that is to be made.

    Args:
        origin: the cell that has asked for it; see `pydist.frontend`.
        f: the function, with its arguments.
    """

    def __init__(self, origin: int, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.future: Future[Any] = PatientFuture()
        self.origin = origin
        self.pid = 0
        self.sent = 0.0
        self.turn = 0
        self._call = (f, args, kwargs)
        self._slot: Slot | None = None
        self._here: Any = None

    def start(self, node: Node, pid: int, landed: Callable[[Task], None]) -> None:
        """Send it to process ``pid``; ``landed(self)`` is called when it is over."""
        self.pid = pid
        self.sent = time.monotonic()
        if pid == node.pid:
            self._here = self._start_here(node)
            self._here.when_ready(lambda: landed(self))
            return
        slot = self._slot = self._send(node, pid)
        connection = slot.connection
        if connection is not None and connection.parked:
            node.reader.release(connection)  # nobody waits for it who would read it
        slot.add_callback(lambda: landed(self))

    def _start_here(self, node: Node) -> Any:
        return start_here(node, *self._call)

    def _send(self, node: Node, pid: int) -> Slot:
        return node.call(pid, *self._call)

    def may_follow(self, others: list[Task]) -> bool:
        """Say whether it may go to a worker that has these: there they do not run at the same time."""
        return not others

    def outcome(self, node: Node) -> Any:
        """Return what the call has returned, or raise what it has raised."""
        if self._here is not None:
            return self._here.fetch()
        assert self._slot is not None
        return node.value_of(self._slot)

    @property
    def is_back(self) -> bool:
        """It was not begun where it was sent: another one lasts there."""
        return self._slot is not None and self._slot.frame is not None and self._slot.frame.kind == BACK

    def interrupt(self, node: Node) -> None:
        """Stop it where it runs."""
        if self._here is not None:
            self._here.cancel()
        elif self._slot is not None:
            node.cancel(self._slot)


class Mapped:
    """A function that is mapped: it goes to each worker once, with all that it captures."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.quick = False
        self._prepared: dict[int, Prepared] = {}
        self._once: Once | None = None

    def at(self, node: Node, pid: int) -> Prepared:
        """Return the function as process ``pid`` has it, sent now if it has not."""
        prepared = self._prepared.get(pid)
        if prepared is None or prepared.connection.closed:
            self._once = self._once or Once(node.pool)
            prepared = self._prepared[pid] = node.prepare(pid, self.f, self._once)
        return prepared

    def forget(self, node: Node) -> None:
        """It is not needed any more."""
        while self._prepared:
            node.forget_prepared(*self._prepared.popitem())
        if self._once is not None:
            self._once.close()


class Chunk(Task):
    """Some calls of a mapped function. Its Future holds ``(values, what the call after them has raised or None)``."""

    def __init__(self, origin: int, mapped: Mapped, batch: list[tuple[Any, ...]]) -> None:
        super().__init__(origin, mapped.f, (), {})
        self.mapped = mapped
        self._batch = batch

    def _start_here(self, node: Node) -> Any:
        return start_here(node, run_items, (self.mapped.f, Items(self._batch, star=True)), {})

    def _send(self, node: Node, pid: int) -> Slot:
        prepared = self.mapped.at(node, pid)
        slot = Slot(node.next_id(), prepared.connection, node.origin())
        node.map_prepared(prepared, [(slot, self._batch)], STAR)
        return slot

    def may_follow(self, others: list[Task]) -> bool:
        """Say whether it may wait at a worker behind another one of its map: those take turns there."""
        return not others or (
            len(others) == 1
            and type(last := others[0]) is Chunk
            and last.mapped is self.mapped
            and last._here is None
            and self.mapped.quick
        )

    def outcome(self, node: Node) -> Any:
        """Return the values and the failure."""
        values, failure, took = super().outcome(node)
        self.mapped.quick = took < _QUICK
        return values, None if failure is None else remote_exception(self.pid, failure)
