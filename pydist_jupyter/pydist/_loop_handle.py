"""The handle of a loop that nobody waits for yet."""

from __future__ import annotations

import atexit
import itertools
import operator
import sys
import traceback
from _thread import allocate_lock, start_new_thread
from collections.abc import Generator, Iterator, Sequence
from time import monotonic
from typing import Any

from pydist import frontend
from pydist._errors import ELEMENT, CompositeException, RemoteException, capture
from pydist._futures import Future
from pydist._ids import RRID
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from pydist._runtime.shield import shield_of_this_thread

__all__ = ["DistributedLoop", "annotate", "mark", "stop"]

#: So long after a failure somebody may still come to look (seconds); then it is told.
_GRACE = 1.0
#: How long whoever stops calls waits for the workers to be free again (seconds).
_STOPPING = 0.5


def stop(futures: Sequence[Future]) -> None:
    """Interrupt what is still running of these, whatever interrupts come here; give the workers a moment to stop."""
    shield = shield_of_this_thread()
    shield.raise_()
    try:
        for future in futures:
            future.cancel()
    finally:
        shield.lower()
    deadline = monotonic() + _STOPPING
    for future in futures:
        try:
            future.wait(max(0.0, deadline - monotonic()))
        except Exception:
            continue  # it has ended, or the time is over


def mark(error: Exception, first: int, part: Any, elements: Iterator[Any]) -> None:
    """Let an exception say at which element of the loop it came, as far as the iterator over the part knows that."""
    left = operator.length_hint(elements, -1)
    if left >= 0:
        vars(error)[ELEMENT] = first + len(part) - left - 1


def annotate(error: BaseException) -> None:
    """Tell whoever gets the exception what `mark` has noted."""
    raised = error.captured.ex if isinstance(error, RemoteException) else error
    index = vars(raised).get(ELEMENT)
    vars(error).pop(ELEMENT, None)  # a loop around this one has elements of its own
    if index is not None:
        error.index = index  # type: ignore[attr-defined]
        error.add_note(f"distributed: the loop failed at element {index}")


class _Running:
    """The chunks of a loop: what goes on when nobody holds the handle any more.

    Args:
        node: this process.
        chunks: the Futures of the chunks.
        ref: the reference to settle when all have ended.
    """

    def __init__(self, node: Node, chunks: list[Future], ref: RRID) -> None:
        self.chunks = chunks
        self.origin = node.origin()
        #: How many wait for the end just now, and whether somebody has seen it.
        self.waiting = 0
        self.seen = False
        #: The handle has been dropped.
        self.dropped = False
        self._node = node
        self._ref = ref
        self._ended = itertools.count(1).__next__
        self._told = itertools.count().__next__
        #: Opened when somebody has looked, or when nobody can any more.
        self._news = allocate_lock()
        self._news.acquire()

    def start(self) -> None:
        """Watch the chunks."""
        if not self.chunks:
            self._finish()
        for chunk in self.chunks:
            chunk.when_ready(self._landed)

    def _landed(self) -> None:
        if self._ended() == len(self.chunks):
            # To read what failures say may take a while, and this is the thread that reads for all.
            self._node.executor.aside(self._finish)

    def _finish(self) -> None:
        failure = self.failure()
        if failure is not None and not isinstance(failure, KeyboardInterrupt):
            _untold.add(self)
            start_new_thread(self._watch, ())
        self._node.store.settle(self._ref, None, None if failure is None else capture(failure))

    def failure(self) -> Exception | None:
        """Return what has failed: one exception as it is, several as a group; each time new ones."""
        failures: list[Exception] = []
        for chunk in self.chunks:
            try:
                chunk._raise_failure()  # it has ended, and not to `wait` tells the front end that nobody has yet
            except Exception as error:
                annotate(error)
                failures.append(error)
        # Who is stopped stops all; that is one event, and there is nothing to add to what has failed besides.
        failures = [e for e in failures if not isinstance(e, KeyboardInterrupt)] or failures[:1]
        if len(failures) > 1:
            return CompositeException(f"{len(failures)} of {len(self.chunks)} parts of the loop failed", failures)
        return failures[0] if failures else None

    # ---- a failure that nobody looks at

    def look(self) -> None:
        """Somebody has seen the end."""
        self.seen = True
        _untold.discard(self)
        self._ring()

    def drop(self) -> None:
        """Nobody can look any more. Called by a finalizer: nothing but a mark."""
        self.dropped = True
        self._ring()

    def _ring(self) -> None:
        try:
            self._news.release()
        except RuntimeError:
            return

    def _watch(self) -> None:
        """Wait for somebody who looks."""
        while True:
            self._news.acquire(timeout=_GRACE)
            if self.seen:
                return
            if self.dropped or not self.waiting:
                self.tell()
                return

    def tell(self) -> None:
        """Show the failure, once."""
        _untold.discard(self)
        failure = self.failure()
        if failure is None or self._told() or _leaving:
            return
        text = "A distributed loop has failed, and nobody has looked at its handle yet:\n" + _text_of(failure)
        router = frontend.router()
        if router is not None and self.origin:
            router.text(self.origin, "stderr", text)
        else:
            sys.stderr.write(text)


#: What has failed and has been neither seen nor told.
_untold: set[_Running] = set()
#: Something is in it when this process is about to end. The workers end then, and what fails for that is no news.
_leaving: list[bool] = []


@atexit.register
def _tell_all() -> None:
    for running in [*_untold]:
        running.tell()
    _leaving.append(True)


def _text_of(failure: Exception) -> str:
    failures = failure.exceptions if isinstance(failure, CompositeException) else (failure,)
    texts = []
    for error in failures:
        if isinstance(error, RemoteException):
            texts.append(f"On worker {error.pid}:\n{error.captured.traceback}")
        else:
            texts.append("".join(traceback.format_exception_only(error)))
    return "".join(texts)


class DistributedLoop(Future):
    """A loop that runs on the workers, as `distributed` returns it. It is a `Future` with the value None.

    What waits for it raises what has failed: the exception of a part of the loop, or a `CompositeException` of
    several. A failure that nobody looks at is written to stderr, once. Julia: the ``Task`` of ``@distributed``.
    """

    _running: _Running

    @classmethod
    def of(cls, chunks: list[Future]) -> DistributedLoop:
        """Return the handle of a loop whose chunks have been started."""
        node = current_node()
        ref = RRID(node.pid, node.next_id())
        self = cls.__new__(cls)
        self._set_up(node, node.pid, ref)
        self._running = _Running(node, chunks, ref)
        self._running.start()
        return self

    def __repr__(self) -> str:
        chunks = self._running.chunks
        state = "failed" if self._has_failed() else "done" if self.isready() else "running"
        return f"DistributedLoop({len(chunks)} parts, {sum(chunk.isready() for chunk in chunks)} ended, {state})"

    def __del__(self) -> None:
        running = getattr(self, "_running", None)
        if running is not None:
            running.drop()
        super().__del__()

    def _has_failed(self) -> bool:
        entry = self._node.store.entries.get(self._ref)
        return entry is not None and entry.captured is not None

    def _wait(self, timeout: float | None) -> None:
        running = self._running
        running.waiting += 1
        try:
            super()._wait(timeout)
        except KeyboardInterrupt:
            if running.origin == self._node.origin():
                self.cancel()
            raise
        finally:
            running.waiting -= 1

    def _note_wait(self) -> None:
        self._running.look()
        for chunk in self._running.chunks:
            chunk._note_wait()

    def _raise_failure(self) -> None:
        failure = self._running.failure()
        if failure is not None:
            raise failure

    def expect_a_look(self) -> None:
        """Somebody will look for sure: a failure need not be told."""
        self._running.waiting += 1

    def cancel(self) -> bool:
        """Interrupt the parts that are still running; return False if all have ended."""
        if self.isready():
            return False
        self._watch()
        self._wanted_cancel = True
        for chunk in self._running.chunks:
            chunk.cancel()
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        self._running.waiting += 1
        try:
            return (yield from super().__await__())
        finally:
            self._running.waiting -= 1
