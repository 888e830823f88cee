"""The engine of ``pmap``: one function over many inputs, on all workers.

    inputs ─▶ messages ─▶ a few in flight on each worker ─▶ results by index
                 ▲                    │ failure, or given back unbegun
                 └── retries ◀── retry_check, on_error (here, on the master)

The calling thread does it all: it feeds, and reads the answers of all workers itself.
"""

from __future__ import annotations

import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from pydist._errors import ProcessExitedException, remote_exception, unwrap
from pydist._flights import Message, Place
from pydist._items import Inputs, Results
from pydist._pace import Pace
from pydist._protocol.frames import BACK, CUT, EACH, STAR
from pydist._rules import Item, Rules, View, annotate
from pydist._runtime.asking import Prepared
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.pickling import are_plain
from pydist._runtime.shield import shield_of_this_thread

if TYPE_CHECKING:
    from pydist._protocol.frames import Frame

__all__ = ["Run"]

#: How often it is looked who may work (seconds).
_LOOK = 0.005
#: How long an interrupted pmap waits for its workers to stop.
_STOPPING = 0.5

#: An input and its place in the order.
_Numbered = tuple[int, Any]


class Run:
    """One map under way.

    Args:
        node: this process.
        f: the function.
        inputs: what it is mapped over.
        pids: says who may work.
        batch_size: items in a message, or "auto".
        rules: what is done about failures.
        view: the progress display.
        keep: the results are wanted together, see `in_order`.
    """

    def __init__(
        self,
        node: Node,
        f: Callable[..., Any],
        inputs: Inputs,
        pids: Callable[[], list[int]],
        batch_size: int | str,
        rules: Rules,
        view: View,
        keep: bool,
    ) -> None:
        self.node = node
        self.origin = node.origin()
        self._results = Results(keep)
        self._f = f
        self._inputs = inputs
        self._total = inputs.total
        self._pace = Pace(batch_size, inputs.total)
        self._flags = STAR if inputs.star else 0
        self._flags |= CUT if self._pace.auto else EACH if self._pace.single else 0
        self._pids = pids
        self._rules = rules
        self._view = view
        self._taken = 0
        self._exhausted = False
        #: Those to send before new ones are taken, a heap: retries, and what a worker has not begun.
        self._again: list[_Numbered] = []
        #: (time, input): retries that wait.
        self._later: list[tuple[float, _Numbered]] = []
        self._failures: dict[int, Item] = {}
        self._once = Once(node.pool)
        self._places: dict[int, Place] = {}
        #: Those that may work.
        self._open: list[Place] = []
        self._looked = 0.0
        self._arrived: deque[Message] = deque()
        self._thread = 0
        #: It has ended: what still comes is dropped.
        self._is_over = False

    def results(self) -> Iterator[tuple[int, Any]]:
        """Work; yield ``(index, result)`` as they come, unless they are kept. Closing the iterator stops the work."""
        self._thread = get_ident()
        finished = False
        try:
            self._look()
            self._pace.guess(self._inputs)
            while True:
                self._feed()
                if not any(place.flying for place in self._places.values()):
                    if self._exhausted and not self._again and not self._later:
                        break
                    if not self._later and not self._has_room():
                        raise ValueError("No active worker available in pool")
                self._await()
                while self._arrived:
                    self._take(self._arrived.popleft())
                self._view.tick()
                yield from self._results.pop()
            finished = True
        finally:
            self._leave(finished)

    def in_order(self) -> list[Any]:
        """Return all results, when the work is done and they were kept."""
        return self._results.in_order()

    def landed(self, message: Message) -> None:
        """There is news of a message; from the thread that reads."""
        if self._is_over:
            self._drop_parts(message)
        else:
            self._arrived.append(message)
        if get_ident() != self._thread:
            self.node.reader.kick()

    def _await(self) -> None:
        """Wait for the next answer, or for the time of a retry."""
        arrived = self._arrived
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            self.node.reader.lead_until(lambda: bool(arrived), self._until_retry())
            if shield.pending:
                # Before anything is raised: the next press may come at any instruction.
                self._cancel()
        finally:
            shield.lower()

    def _cancel(self) -> list[Message]:
        """Interrupt what is in flight; return it."""
        flying = [message for place in self._places.values() for message in place.flying if not message.done]
        for message in flying:
            self.node.cancel(message)
        return flying

    def _leave(self, finished: bool) -> None:
        """Leave nothing on the workers, whatever interrupts come."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            flying = self._cancel()
            self._is_over = True
            for place in self._places.values():
                for message in place.flying:
                    self._drop(message)
                if place.prepared is not None:
                    self.node.forget_prepared(place.pid, place.prepared)
            self._once.close()
        finally:
            shield.lower()
        if not finished and flying:
            # A moment for the workers to be free again.
            self.node.reader.lead_until(lambda: all(message.done for message in flying), _STOPPING)

    def _drop(self, message: Message) -> None:
        """Nobody will read what has come for a message, or comes yet: let go of the references in it."""
        self._drop_parts(message)
        message.add_callback(lambda: self.node.discard(message.frame))

    def _drop_parts(self, message: Message) -> None:
        while message.parts:
            try:
                part = message.parts.popleft()
            except IndexError:
                return  # another thread has it
            self.node.discard(part)

    def _until_retry(self) -> float | None:
        if not self._later:
            return None
        return max(0.0, min(when for when, _ in self._later) - time.monotonic())

    # ---- who works

    def _look(self) -> None:
        """Look who may work now; not each time, since that is a question to the pool."""
        now = time.monotonic()
        if now - self._looked < _LOOK and self._has_room():
            return
        self._looked = now
        pids = [pid for pid in self._pids() if pid != self.node.pid]
        for pid in pids:
            if pid not in self._places:
                self._places[pid] = Place(pid)
        self._open = [place for pid in pids if not (place := self._places[pid]).gone]
        self._pace.workers = len(self._open)

    def _has_room(self) -> bool:
        return any(not place.gone for place in self._open)

    # ---- feeding

    def _feed(self) -> None:
        if self._later:
            now = time.monotonic()
            for when, one in self._later:
                if when <= now:
                    heappush(self._again, one)
            self._later = [(when, one) for when, one in self._later if when > now]
        if self._exhausted and not self._again:
            return
        self._look()
        fair = self._fair_share()
        # First one for each, so that none has two while another has nothing.
        for place in self._open:
            if not place.flying and not self._send(place, 1):
                return
        if self._pace.depth > 1 and fair > 1:
            most = min(self._pace.depth, fair)
            for place in self._open:
                if place.flying and place.flying[0] is place.lasting:
                    continue  # more would only be given back, too
                # Several at once, rather than one for each that comes back.
                load = place.load()
                if 2 * load <= most and not self._send(place, most - load):
                    return

    def _fair_share(self) -> int:
        """Return how many messages at most each worker should have, if the others are to have as many."""
        if self._total is None:
            return self._pace.depth
        flying = sum([place.load() for place in self._open])
        left = max(0, self._total - self._taken) + len(self._again)
        return -(-(flying + -(-left // self._pace.size)) // max(1, len(self._open)))

    def _next_items(self, n: int) -> tuple[Sequence[int], Sequence[Any]]:
        if self._again:
            again = [heappop(self._again) for _ in range(min(n, len(self._again)))]
            return [index for index, _ in again], [item for _, item in again]
        items: Sequence[Any] = () if self._exhausted else self._inputs.take(n)
        if len(items) < n:
            self._exhausted = True
        first = self._taken
        self._taken += len(items)
        return range(first, self._taken), items

    def _next_messages(self, place: Place, n: int) -> Iterator[Message]:
        """Make the next ``n`` messages; of single items one, with ``n`` of them, where each is answered by itself."""
        single = self._pace.single
        while n > 0:
            indices, items = self._next_items(n if single else self._pace.size)
            if not items:
                return
            if single and not are_plain(items):
                # Each comes with what it needs, and lets it go when it is done.
                for index, item in zip(indices, items, strict=True):
                    yield self._message(place, (index,), [item])
            else:
                yield self._message(place, indices, items)
            n -= len(items) if single else 1

    def _message(self, place: Place, indices: Sequence[int], items: Sequence[Any]) -> Message:
        return Message(self.node.next_id(), self.origin, place, indices, items, self._pace.single, self.landed)

    def _send(self, place: Place, n: int) -> bool:
        """Send what brings ``n`` answers; return whether there may be more inputs."""
        if place.gone:
            return True
        messages: list[Message] = []
        try:
            if place.prepared is None or place.prepared.connection.closed:
                place.prepared = self.node.prepare(place.pid, self._f, self._once)
            messages.extend(self._next_messages(place, n))
            if messages:
                self._ask(place, place.prepared, messages)
        except (EOFError, ProcessExitedException):
            # It died a moment ago: the items were never there. What it had is told by its own messages.
            for message in messages:
                if message not in place.flying:
                    self._return(message, 0)
            place.gone = True
            return True
        except Exception as error:
            unsent = [message.indices[0] for message in messages if message not in place.flying]
            annotate(error, unsent[0] if unsent else self._taken, self._results.by_index())
            raise
        return sum([message.left for message in messages]) == n

    def _ask(self, place: Place, prepared: Prepared, messages: list[Message]) -> None:
        # From the sending to the noting no interrupt: what is sent must be known, or nobody stops it.
        shield = shield_of_this_thread()
        shield.raise_()
        now, written = time.monotonic(), prepared.connection.bytes_out
        try:
            for message in messages:
                place.flying.append(message)
                message.position = len(place.flying)
                message.sent = now
            self.node.map_prepared(prepared, [(message, message.items) for message in messages], self._flags)
            self._pace.weigh((prepared.connection.bytes_out - written) // sum([message.left for message in messages]))
        except Exception:
            pending = prepared.connection.pending
            place.flying = [message for message in place.flying if message.done or message.rid in pending]
            raise
        finally:
            shield.lower()

    def _return(self, message: Message, begun: int) -> None:
        """The items from the ``begun``-th on are to be sent again."""
        if begun < len(message.items):
            for one in zip(message.indices[begun:], message.items[begun:], strict=True):
                heappush(self._again, one)
            message.indices, message.items = message.indices[:begun], message.items[:begun]

    # ---- taking in

    def _take(self, message: Message) -> None:
        place = message.place
        if message not in place.flying:
            return
        # First whether it is done, and each thing once: another thread may be reading. All else is there before that.
        done, kept = message.done, message.kept
        if message.parts is not None:
            self._take_parts(message, message.parts)
        if kept < len(message.items):
            # It lasts longer than was thought.
            self._pace.note_cut(kept)
            if message.parts is not None:
                place.lasting = message
                message.left -= len(message.items) - kept
            self._return(message, kept)
        if not done:
            return
        place.flying.remove(message)
        if message.frame is not None and message.frame.kind == BACK:
            place.lasting = place.flying[0] if place.flying else None
            self._return(message, 0)
            return
        try:
            values, failure, took = self.node.value_of(message)
        except Exception as error:
            self._take_loss(message, error)
            return
        self._pace.note((time.monotonic() - message.sent) / message.position, took, len(message.items))
        first = message.done_before()
        n, indices, items = first + len(values), message.indices, message.items
        self._results.put(indices[first:n], values)
        self._view.done += n - first
        if failure is None:
            self._return(message, n)
            return
        self._return(message, n + 1)
        self._failed(indices[n], items[n], remote_exception(place.pid, failure))

    def _take_parts(self, message: Message, parts: deque[Frame]) -> None:
        """Take the answers to single items of a message, in their order."""
        while parts:
            frame, at = parts.popleft(), message.done_before()
            message.left -= 1
            index = message.indices[at]
            try:
                values, failure, took = self.node.value_in(frame, message.connection)
            except Exception as error:
                self._failed(index, message.items[at], error)
                continue
            self._pace.note(0.0, took, 1)
            if failure is None:
                self._results.put_one(index, values[0])
                self._view.done += 1
            else:
                self._failed(index, message.items[at], remote_exception(message.place.pid, failure))

    def _take_loss(self, message: Message, error: Exception) -> None:
        """A whole message has failed: the worker has ended, or what it sent cannot be read here."""
        if isinstance(error, ProcessExitedException):
            if message.place.lost:
                self._return(message, message.done_before())  # it stood behind the one that was worked on
                return
            message.place.lost = message.place.gone = True
        if message.parts is not None:
            at = message.done_before()
            if at < len(message.items):  # else all were done, and what stood behind them was given back
                self._return(message, at + 1)
                self._failed(message.indices[at], message.items[at], error)
            return
        for index, item in zip(message.indices, message.items, strict=True):
            self._failed(index, item, error)

    def _failed(self, index: int, row: Any, error: BaseException) -> None:
        item = self._failures.setdefault(index, Item())
        item.attempts += 1
        delay = self._rules.again(item, error)
        if delay is not None:
            self._later.append((time.monotonic() + delay, (index, row)))
            return
        self._view.failed += 1
        if self._rules.on_error is None:
            annotate(error, index, self._results.by_index())
            raise error
        self._results.put((index,), [self._rules.on_error(unwrap(error))])
        self._view.done += 1
