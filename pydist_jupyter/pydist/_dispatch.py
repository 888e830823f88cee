"""The work of an executor on its way to the workers.

    put ─▶ queue ─▶ at most one task at each worker ─▶ landed ─▶ the task's Future

One thread does it all: it sends, and it reads what comes back (the values are unpickled here, not by the reader of the
streams). It lives as long as there is work, so an executor that is forgotten needs no end.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pydist._errors import ProcessExitedException
from pydist._runtime.call import Call
from pydist._runtime.current import CURRENT_CALL
from pydist._runtime.node import Node
from pydist._runtime.shield import LOOK
from pydist._tasks import Chunk, Task

__all__ = ["Dispatcher", "WorkerExitedException"]

#: The thread waits so long for more work (seconds) before it ends: tasks that follow each other share it.
_LINGER = 0.05


class WorkerExitedException(ProcessExitedException, BrokenProcessPool):
    """A worker of an executor has ended, and with it what it was working on.

    Both kinds at once: code written for ``ProcessPoolExecutor`` expects the second.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return (WorkerExitedException, super().__reduce__()[1])


class Dispatcher:
    """The queue of an executor, and the thread that works it off.

    Args:
        node: this process.
        pids: says which workers there are; see `pydist._pmap`.
        limit: use no more workers than this at the same time.
        initializer: called on each worker before its first task.
        initargs: its arguments.
    """

    def __init__(
        self,
        node: Node,
        pids: Callable[[], list[int]],
        limit: int | None,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self._node = node
        self._pids = pids
        self._limit = limit
        self._initializer = initializer
        self._initargs = initargs
        self._lock = threading.Lock()
        self._queue: deque[Task] = deque()
        #: So many were put in.
        self._turn = 0
        self._flying: dict[int, list[Task]] = {}
        #: What has landed, or what is to be stopped; None: look whether there is something new to do.
        self._events: queue.SimpleQueue[Task | _Stop | None] = queue.SimpleQueue()
        #: All that there is has been sent: the next task wakes the thread.
        self._hungry = True
        self._thread: threading.Thread | None = None
        self._closed = False
        self._broken: BrokenProcessPool | None = None
        #: pid -> the stream on which the initializer has run.
        self._initialized: dict[int, object] = {}
        #: pid -> the stream on which nothing could be sent any more.
        self._gone: dict[int, object] = {}
        self._chosen: list[int] = []
        #: How a worker of ours has ended.
        self._loss: ProcessExitedException | None = None

    # ---- from the user's threads

    def put(self, task: Task) -> None:
        """Take a task in.

        Raises:
            RuntimeError: it is closed.
            BrokenProcessPool: the initializer has failed.
        """
        with self._lock:
            if self._broken is not None:
                raise BrokenProcessPool(str(self._broken)) from self._broken
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._turn += 1
            task.turn = self._turn
            self._queue.append(task)
            if self._thread is None:
                # No daemon: a program that has come to its end still gets its results, as with ProcessPoolExecutor.
                thread = self._thread = threading.Thread(target=self._run, name="pydist-executor", daemon=False)
                self._node.joined.append(self._look)
                self._node.stopping.append(self._stop_origin)
                thread.start()
            elif self._hungry:
                self._events.put(None)

    def close(self) -> None:
        """Take nothing in any more; what is there is still done."""
        with self._lock:
            self._closed = True
        self._events.put(None)

    def join(self) -> None:
        """Wait until all is done. The thread must have been told so by `close`."""
        while (thread := self._thread) is not None and thread is not threading.current_thread():
            thread.join(LOOK)  # see `PatientFuture`

    def wait_for(self, futures: list[Future[Any]], timeout: float) -> None:
        """Give some of its tasks ``timeout`` seconds to end."""
        if self._thread is not threading.current_thread():  # whose callback would be waiting for itself
            wait(futures, timeout)

    def drop(self, which: Callable[[Task], bool]) -> None:
        """Cancel what is in the queue and fits."""
        with self._lock:
            dropped = [task for task in self._queue if which(task)]
            self._queue = deque(task for task in self._queue if not which(task))
        for task in dropped:
            _cancel(task.future)
        self._events.put(None)

    def stop(self, which: Callable[[Task], bool]) -> None:
        """Cancel what is in the queue, and have interrupted what runs."""
        self.drop(which)
        with self._lock:
            if self._thread is not None:
                # By the thread: it alone knows what it is sending in this moment.
                self._events.put(_Stop(which, self._turn))

    def places(self) -> list[int]:
        """Return the processes to use now."""
        pids = [pid for pid in self._pids() if not self._is_gone(pid)]
        if self._limit is None:
            return pids
        chosen = [pid for pid in self._chosen if pid in pids]
        if len(chosen) < self._limit:
            busy = self._node.calls_in_flight()
            others = sorted((pid for pid in pids if pid not in chosen), key=lambda pid: busy.get(pid, 0))
            chosen += others[: self._limit - len(chosen)]
        self._chosen = chosen
        return chosen

    def _look(self, pids: list[int]) -> None:
        self._events.put(None)

    def _stop_origin(self, origin: int) -> None:
        self.stop(lambda task: task.origin == origin)

    # ---- the thread

    def _run(self) -> None:
        while True:
            self._feed()
            idle = not any(self._flying.values())
            try:
                event = self._events.get(timeout=(0 if self._closed else _LINGER) if idle else None)
            except queue.Empty:
                with self._lock:
                    if self._queue or not self._events.empty():
                        continue
                    self._node.joined.remove(self._look)
                    self._node.stopping.remove(self._stop_origin)
                    self._hungry = True
                    self._thread = None
                return
            if isinstance(event, _Stop):
                self._interrupt(event)
            elif event is not None:
                self._land(event)
            del event  # no result is kept alive by a thread that waits

    def _interrupt(self, stop: _Stop) -> None:
        self.drop(stop.fits)  # one may have come back, because its worker was not ready for it
        for task in [task for tasks in self._flying.values() for task in tasks]:
            if stop.fits(task):
                task.interrupt(self._node)

    def _land(self, task: Task) -> None:
        self._flying[task.pid].remove(task)
        if task.is_back:
            assert isinstance(task, Chunk)
            task.mapped.quick = False  # or it would be sent there again, and come back again
            with self._lock:
                self._queue.appendleft(task)
            return
        if type(task) is not _Setup:
            self._feed()  # first of all, so that the worker goes on meanwhile
        try:
            value = task.outcome(self._node)
        except BaseException as error:
            failure = self._translated(error)
            if type(task) is _Setup:
                self._break(task.pid, failure)
            else:
                task.future.set_exception(failure)
        else:
            if type(task) is _Setup:
                self._initialized[task.pid] = self._stream(task.pid)
            else:
                task.future.set_result(value)

    def _feed(self) -> None:
        while True:
            with self._lock:
                self._hungry = not self._queue
                if self._hungry:
                    return
            try:
                places = self.places()
            except Exception as error:  # the pool belongs to another process, which may be gone
                self._fail_all(lambda error=error: error)  # type: ignore[misc]
                return
            if not places:
                self._fail_all(self._nobody)
                return
            with self._lock:
                task = self._queue[0] if self._queue else None
            if task is None:
                continue
            flying = [(self._flying.setdefault(pid, []), pid) for pid in places]
            there, pid = min(flying, key=lambda place: len(place[0]))
            if not task.may_follow(there):
                return
            if self._take(task):
                self._send(task, pid)

    def _take(self, task: Task) -> bool:
        """Take the first task from the queue; return whether it is to be done."""
        with self._lock:
            if not self._queue or self._queue[0] is not task:
                return False  # it was dropped in this moment
            self._queue.popleft()
        return task.future.running() or task.future.set_running_or_notify_cancel()

    def _send(self, task: Task, pid: int) -> None:
        if self._initializer is not None and self._initialized.get(pid, _NEVER) is not self._stream(pid):
            with self._lock:
                self._queue.appendleft(task)
            task = _Setup(task.origin, self._initializer, self._initargs, {})
        token = CURRENT_CALL.set(Call(None, None, 0, task.origin))
        self._flying.setdefault(pid, []).append(task)
        try:
            task.start(self._node, pid, self._events.put)
        except ProcessExitedException:
            # It has died a moment ago; the task has never been there.
            self._gone[pid] = self._stream(pid)
            self._flying[pid].remove(task)
            if type(task) is not _Setup:
                with self._lock:
                    self._queue.appendleft(task)
        except BaseException as error:
            self._flying[pid].remove(task)
            if type(task) is _Setup:
                self._break(pid, error)
            else:
                task.future.set_exception(error)
        finally:
            CURRENT_CALL.reset(token)

    # ---- workers that are no more

    def _stream(self, pid: int) -> object:
        peer = self._node.peers.get(pid)
        return None if peer is None else peer.connection

    def _is_gone(self, pid: int) -> bool:
        # A worker that was started again has another stream.
        return pid in self._gone and self._gone[pid] is self._stream(pid)

    def _translated(self, error: BaseException) -> BaseException:
        if type(error) is not ProcessExitedException:
            return error
        self._loss = error
        return WorkerExitedException(*error.__reduce__()[1])

    def _nobody(self) -> BaseException:
        if self._loss is not None:
            return WorkerExitedException(*self._loss.__reduce__()[1])
        return BrokenProcessPool("No active worker available in pool")

    def _break(self, pid: int, error: BaseException) -> None:
        broken = BrokenProcessPool(f"the initializer has failed on process {pid}: {error}")
        broken.__cause__ = error
        with self._lock:
            self._broken = broken
        self._fail_all(lambda: broken)

    def _fail_all(self, why: Callable[[], BaseException]) -> None:
        with self._lock:
            tasks, self._queue = self._queue, deque()
        for task in tasks:
            if task.future.running() or task.future.set_running_or_notify_cancel():
                task.future.set_exception(why())


class _Setup(Task):
    """The initializer, on one worker."""


class _Stop:
    """Asks the thread to stop what fits, of all that was put in until then."""

    def __init__(self, which: Callable[[Task], bool], turn: int) -> None:
        self._which = which
        self._turn = turn

    def fits(self, task: Task) -> bool:
        return task.turn <= self._turn and self._which(task)


_NEVER = object()


def _cancel(future: Future[Any]) -> None:
    if future.cancel():
        future.set_running_or_notify_cancel()  # whoever waits for several hears of it by this
    else:
        future.set_exception(CancelledError())  # its worker has died before it could be sent
