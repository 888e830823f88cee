"""Running what others ask for: decode, run, answer.

frame ─▶ Call ─▶ inbox ─▶ a lane ─▶ run() ─▶ output, then RESULT, DONE or ERROR on the stream it came by
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple

from pydist._errors import CapturedException, capture
from pydist._protocol.frames import ASK, BACK, DONE, ENDED, INLINE, KEEP, MAP, QUIET, RESULT, STAR, Frame, pack
from pydist._runtime import coroutines
from pydist._runtime.current import CURRENT_CALL
from pydist._runtime.failures import encode_failure, qualified
from pydist._runtime.mapped import Items, Outcome, run_item, run_items
from pydist._runtime.pickling import Outgoing, are_plain, decode, is_plain
from pydist._runtime.shield import MAIN, Shield, shield_of_this_thread, strike
from pydist._runtime.store import Carried

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection
    from pydist._runtime.mappings import Mapping
    from pydist._runtime.node import Node
    from pydist._runtime.output import TextBuffer

__all__ = ["DRAIN", "LATER", "LOST", "STRAY", "Call", "Executor"]

#: Flags of replies, beside those of frames.py.
DRAIN = 8  # something was written below Python: read the pipe first
LOST = 16  # the globals that came with this call are not in place: send them again
STRAY = 128  # the call was interrupted and goes on all the same: ENDED will tell when it is over

#: What a verb returns that will answer later.
LATER = object()

#: A call that does not end within this many seconds of its interrupt is answered without it: it sits in C code.
_PATIENCE = 0.1
#: Interrupts of one call that follow each other within this time (seconds) are one.
_SAME_PRESS = 0.2
_HIDE = frozenset({__file__})
#: The answer to a call that took less (seconds) may wait for the next one,
_QUICK = 1e-4
#: but not more of them than this.
_TOGETHER = 32
#: Of so many calls that have failed, function and arguments are kept, as long as their Futures are.
_KEPT_CALLS = 8


class Call:
    """One request that came in (or was made to this very process: then there is no connection)."""

    __slots__ = (
        "abandon",
        "answered",
        "asked",
        "cancelled",
        "connection",
        "frame",
        "items",
        "loans",
        "local",
        "made",
        "origin",
        "rid",
        "shield",
        "struck_at",
        "task",
        "texts",
        "turn",
    )

    #: Function and arguments, noted when it has failed.
    made: Any

    def __init__(self, connection: Connection | None, frame: Frame | None, rid: int, origin: int) -> None:
        self.connection = connection
        self.frame = frame
        self.rid = rid
        self.origin = origin
        self.asked = 0 if frame is None else frame.flags
        #: Calls with equal turns run one after the other; see turns.py.
        self.turn = (0, 0) if frame is None or connection is None else (connection.pid, frame.aux)
        #: Of a map: what it goes through, once it has begun.
        self.items: Items | None = None
        self.answered = False
        #: Of its large arguments: those to look at when it has ended, see habits.py.
        self.loans: list[Mapping] | None = None
        self.cancelled = False
        #: When it was interrupted last (monotonic).
        self.struck_at = 0.0
        #: For a verb that answers later: takes back what it waits for; False if it is too late for that.
        self.abandon: Callable[[], bool] | None = None
        #: The shield of the lane that runs it now.
        self.shield: Shield | None = None
        #: Its coroutine's task.
        self.task: Any = None
        #: What it has written and not sent, on stdout and stderr.
        self.texts: list[TextBuffer | None] | None = None
        #: For a call to this process itself: the function, and where the outcome goes.
        self.local: Any = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if the call has been interrupted."""
        if self.cancelled:
            raise KeyboardInterrupt

    def is_withdrawn(self) -> bool:
        """Say whether the call has been interrupted and what it waits for could be taken back."""
        return self.cancelled and self.abandon is not None and self.abandon()


class Verb(NamedTuple):
    """Something that the runtime itself does when it is asked."""

    handler: Callable[[Call, Any], Any]


class Executor:
    """Runs the calls of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        #: Everything that has come in and is not answered yet.
        self.calls: dict[tuple[int, int], Call] = {}
        #: The calls that have failed lately, whose function and arguments are kept.
        self._failed: deque[tuple[int, int]] = deque()
        #: What was answered after an interrupt and goes on all the same.
        self.strays: dict[tuple[int, int], Call] = {}
        #: How many answers are held back, to be sent together with the next one, and where.
        self._held = 0
        self._held_on: Connection | None = None

    def key(self, call: Call) -> tuple[int, int]:
        """Return the key of a call in `calls`."""
        return (0 if call.connection is None else id(call.connection), call.rid)

    def accept(self, call: Call) -> None:
        """Take a call in."""
        self.calls[self.key(call)] = call

    # ---- running

    def run(self, call: Call) -> None:
        """Run a call in this thread and answer it. Never raises."""
        token = CURRENT_CALL.set(call)
        shield = shield_of_this_thread()
        began = monotonic()
        try:
            call.check()
            f, args, kwargs = self._decode(call)
            call.shield = None if type(f) is Verb else shield
            if type(f) is Verb:
                # The runtime's own code is never interrupted in the middle; what of it may be opens the shield itself.
                value = f.handler(*args)
                if value is LATER and call.is_withdrawn():
                    raise KeyboardInterrupt
            else:
                try:
                    shield.open(call)
                    call.check()  # an interrupt that came before the shield was open has left its mark only
                    value = f(*args, **kwargs)
                finally:
                    shield.close()
                    call.shield = None
            if type(value) is CoroutineType:
                call.made = (f, args, kwargs)
                call.loans = None
                self._start_coroutine(call, value)
                return
        except BaseException as error:
            shield.close()
            with contextlib.suppress(UnboundLocalError):
                call.made = (f, args, kwargs)
            call.loans = None
            self.fail(call, error)
        else:
            if value is not LATER:
                # What came in is let go of before the answer goes out: whoever sent it can use its memory again then.
                if call.loans:
                    self._look_at(call)
                f = args = kwargs = None
                self._node.returns.begin()
                self.answer(call, value, shield is MAIN and monotonic() - began < _QUICK)
        finally:
            CURRENT_CALL.reset(token)

    def _decode(self, call: Call) -> tuple[Any, Any, Any]:
        if call.local is not None:
            return call.local[0], call.local[1], call.local[2]
        frame, connection = call.frame, call.connection
        assert frame is not None
        assert connection is not None
        call.frame = None  # let the memory go while the call runs
        knowledge = connection.knowledge
        if knowledge.names or knowledge.names_lock.locked():
            self._node.put_names_in_place(knowledge, frame.rid)
        if frame.kind == ASK:
            return Verb(self._node.verbs[frame.aux]), (call, decode(frame.body, frame.buffers)), {}
        if frame.aux:
            f = knowledge.received[frame.aux]
            if type(f) is Frame:
                f = knowledge.received[frame.aux] = decode(f.body, f.buffers)
            buffers = frame.buffers
            if buffers and connection.borrower is not None:
                buffers, call.loans = connection.borrower.habits.receive(frame.aux, buffers)
            if frame.flags & MAP:
                items = decode(frame.body, buffers)
                if len(items) == 1:
                    return run_item, (f, items[0], frame.flags & STAR), {}
                call.items = Items(items, bool(frame.flags & STAR))
                return run_items, (f, call.items), {}
            args, kwargs = decode(frame.body, buffers)
            return f, args, kwargs
        f, args, kwargs = decode(frame.body, frame.buffers)
        return f, args, kwargs

    @staticmethod
    def _look_at(call: Call) -> None:
        """Note what the call has made of its large arguments."""
        loans, call.loans = call.loans, None
        if loans and call.connection is not None and call.connection.borrower is not None:
            call.connection.borrower.habits.look(call.turn[1], loans)

    def _start_coroutine(self, call: Call, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine on the process's loop; the lane is free meanwhile."""

        def ended(value: Any, error: BaseException | None) -> None:
            if error is not None:
                self.fail(call, KeyboardInterrupt() if call.cancelled else error)
            else:
                self.answer(call, value)

        call.task = coroutines.start(coroutine, ended)

    def run_users_code(self, call: Call, f: Callable[..., Any], *args: Any) -> Any:
        """Run the user's code in the middle of a verb: interrupts may strike there."""
        shield = call.shield = shield_of_this_thread()
        try:
            shield.open(call)
            return f(*args)
        finally:
            shield.close()
            call.shield = None

    def aside(self, work: Callable[[], None], origin: int = 0, then: Callable[[], None] | None = None) -> None:
        """Run something of this process's own in a pooled thread; ``then``, however it has ended, call that."""
        call = Call(None, None, self._node.next_id(), origin)
        call.asked = QUIET
        call.local = (work, (), {}, lambda value, captured: None if then is None else then())
        self.accept(call)
        self._node.lanes.start(call)

    # ---- answering

    def answer(self, call: Call, value: Any, quick: bool = False) -> bool:
        """The call has ended with a value; return whether anybody was there to have it.

        ``quick``: the main lane ran it, in no time.
        """
        if not self._first(call):
            self._end_after_answer(call)
            return False
        connection = call.connection
        if connection is None:
            self.finish_output(call)
            call.local[3](value, None)
            return True
        flags = self.finish_output(call)
        asked = call.asked
        if asked & QUIET:
            return True
        try:
            if asked & KEEP:
                self._node.store.settle((connection.pid, call.rid), value)
                inline = is_plain(value)
                body = pickle.dumps(value, 5) if inline else b""
                reply = pack(DONE, call.rid, body, 0, call.origin, flags | INLINE if inline else flags)
                if quick and self._is_followed_by_its_like(call):
                    self._held += 1
                    connection.hold(reply)
                    self._held_on = connection
                else:
                    self._held = 0
                    connection.send(reply)
            elif _is_plain_batch(*value) if asked & MAP else is_plain(value):
                connection.send(pack(RESULT, call.rid, pickle.dumps(value, 5), 0, call.origin, flags))
            else:
                try:
                    self._node.send_value(connection, RESULT, call.rid, value, origin=call.origin, flags=flags)
                except EOFError:
                    raise
                except BaseException as error:
                    if asked & MAP and isinstance(error, Exception):
                        value = self._up_to_what_cannot_be_sent(connection, value)
                        self._node.send_value(connection, RESULT, call.rid, value, origin=call.origin, flags=flags)
                    else:
                        error.add_note(_about(value))
                        self._send_failure(call, connection, error, flags)
        except EOFError:
            return False
        except KeyboardInterrupt:
            return True  # aimed at the call, which has ended: its answer is out
        return True

    def _is_followed_by_its_like(self, call: Call) -> bool:
        """Say whether the main lane will call the same function next, so that both can be answered at once.

        Another function is not waited for: it may end the process, and what was done before would seem to have failed.
        """
        if not call.turn[1] or self._held >= _TOGETHER:
            return False
        try:
            return self._node.lanes.inbox[0].turn == call.turn
        except IndexError:
            return False

    def flush(self) -> None:
        """Send the answers that are held back; by the main lane, or in its place while it is in a call that lasts."""
        connection, self._held_on = self._held_on, None
        if connection is not None:
            connection.flush_outbox()

    def _up_to_what_cannot_be_sent(self, connection: Connection, outcome: Outcome) -> Outcome:
        """Return what a map's call answers if one of its results cannot be pickled: as if that item had failed."""
        values, _, took = outcome
        sendable: list[Any] = []
        for value in values:
            try:
                with connection.knowledge.lock:
                    Outgoing(self._node.definitions, connection.knowledge).encode(value)
            except Exception as error:
                error.add_note(_about(value))
                return sendable, capture(error, _HIDE), took
            sendable.append(value)
        return [], capture(pickle.PicklingError("the results of a batch cannot be sent together"), _HIDE), took

    def fail(self, call: Call, error: BaseException, stray: int = 0) -> None:
        """The call has ended with an exception; ``STRAY``: it goes on, but its answer is given now."""
        if not self._first(call, stray):
            self._end_after_answer(call)
            return
        if call.frame is not None:
            self._node.discard(call.frame)  # it was dropped before anybody read it
            call.frame = None
        connection = call.connection
        asked = call.asked
        captured = error.captured if isinstance(error, Carried) else capture(error, _HIDE)
        if connection is None:
            self.finish_output(call)
            call.local[3](None, captured)
            return
        if asked & QUIET:
            self._print_failure(captured)
            self.finish_output(call)
            return
        flags = self.finish_output(call) | stray
        if call.cancelled:
            flags |= LOST
        if asked & KEEP:
            self._node.store.settle((connection.pid, call.rid), self._made_to_keep(call, captured), captured)
        try:
            self._send_failure(call, connection, captured, flags)
        except (EOFError, KeyboardInterrupt):
            return

    def _made_to_keep(self, call: Call, captured: CapturedException) -> Any:
        """Return what `recreate` needs to run a failed call again; only the last few have it."""
        made = getattr(call, "made", None)
        if made is None or not isinstance(captured.ex, Exception) or isinstance(captured.ex, MemoryError):
            return None
        assert call.connection is not None
        self._failed.append((call.connection.pid, call.rid))
        if len(self._failed) > _KEPT_CALLS:
            entry = self._node.store.entries.get(self._failed.popleft())
            if entry is not None and entry.captured is not None:
                entry.value = None
        return made

    def _print_failure(self, captured: CapturedException) -> None:
        # An error of remote_do has no other place to go.
        sys.stderr.write(captured.traceback)

    def _send_failure(
        self, call: Call, connection: Connection, error: BaseException | CapturedException, flags: int
    ) -> None:
        captured = error if isinstance(error, CapturedException) else capture(error, _HIDE)
        connection.send(encode_failure(self._node, connection, call.rid, call.origin, captured, flags))

    def _first(self, call: Call, stray: int = 0) -> bool:
        with self._lock:
            if call.answered:
                return False
            call.answered = True
            if stray:
                self.strays[self.key(call)] = call
        self.calls.pop(self.key(call), None)
        return True

    def _end_after_answer(self, call: Call) -> None:
        """A call has ended that was answered before: send what it has written since, and that it is over."""
        if self.strays.pop(self.key(call), None) is not None and call.connection is not None:
            call.connection.post(pack(ENDED, call.rid, b""))
        if call.texts is not None and self._node.output is not None:
            self._node.output.finish(call)

    def finish_output(self, call: Call) -> int:
        """Send what the call has written; return the flags that its reply needs."""
        output = self._node.output
        if output is None:
            return 0
        if call.texts is not None:
            output.finish(call)
        return DRAIN if output.wrote_below() else 0

    def give_back(self, call: Call, kept: int) -> None:
        """Tell that of a map's call only the first ``kept`` items are done here; 0: it has not begun at all."""
        if not kept:
            if call.cancelled:
                self.fail(call, KeyboardInterrupt())
                return
            if not self._first(call):
                return
            self._node.discard(call.frame)
        if call.connection is not None:
            call.connection.post(pack(BACK, call.rid, b"", kept))

    # ---- interrupting

    def cancel(self, connection: Connection, rid: int) -> None:
        """Interrupt one request of a connection; 0: all of everybody. From the reader's thread."""
        if rid == 0:
            self.cancel_all()
            return
        call = self.calls.get((id(connection), rid))
        if call is not None:
            self.interrupt(call)

    def cancel_all(self) -> None:
        """Interrupt everything that runs or waits here."""
        for call in [*self.calls.values(), *self.strays.values()]:
            self.interrupt(call)

    def forget(self, connection: Connection) -> None:
        """Nobody is there any more for what came over this stream: take back what waits."""
        for call in list(self.calls.values()):
            if call.connection is connection and call.abandon is not None and call.abandon():
                self._first(call)

    def interrupt(self, call: Call) -> None:
        """Interrupt one call, wherever it is."""
        now = monotonic()
        if now - call.struck_at < _SAME_PRESS:
            return  # one wish by two ways; the call may be dealing with it, and must not be hit in that
        call.struck_at = now
        call.cancelled = True
        if call.task is not None:
            coroutines.cancel(call.task)
            return
        shield = call.shield
        if shield is None:
            # In the queue: it is dropped when its turn comes. Waiting for a verb's answer: answered now.
            if call.abandon is not None and call.abandon():
                self.fail(call, KeyboardInterrupt())
            return
        strike(shield, call)
        timer = threading.Timer(_PATIENCE, self._answer_in_its_place, (call,))
        timer.daemon = True
        timer.start()

    def _answer_in_its_place(self, call: Call) -> None:
        if not call.answered:
            self.fail(call, KeyboardInterrupt("interrupted, but the call does not listen and goes on there"), STRAY)


def _is_plain_batch(values: list[Any], failure: CapturedException | None, took: float) -> bool:
    return failure is None and are_plain(values)


def _about(value: Any) -> str:
    return f"this was about the value that the call has returned, an object of class {qualified(type(value))!r}"
