"""Running what others ask for: decode, run, answer.

frame ─▶ Call ─▶ inbox ─▶ a lane ─▶ run() ─▶ output, then RESULT, DONE or ERROR on the stream it came by
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Coroutine
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from pydist._protocol.frames import ASK, EACH, MAP, QUIET, STAR, Frame
from pydist._runtime import coroutines
from pydist._runtime.answers import HIDDEN, STRAY, Answers
from pydist._runtime.call import LATER, Call, Verb
from pydist._runtime.current import CURRENT_CALL
from pydist._runtime.mapped import NOTHING_BEHIND, Items, Outcome, run_item, run_items
from pydist._runtime.pickling import decode
from pydist._runtime.shield import MAIN, shield_of_this_thread, strike

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection
    from pydist._runtime.shield import Shield

__all__ = ["Executor"]

#: A call that does not end within this many seconds of its interrupt is answered without it: it sits in C code.
_PATIENCE = 0.1
#: Interrupts of one call that follow each other within this time (seconds) are one.
_SAME_PRESS = 0.2
#: The answer to a call that took less (seconds) may wait for the next one.
_QUICK = 1e-4
_UNREAD = (Frame, int)
HIDDEN.add(__file__)


class Executor(Answers):
    """Runs the calls of one node."""

    def run(self, call: Call) -> None:
        """Run a call in this thread and answer it. Never raises."""
        token = CURRENT_CALL.set(call)
        shield = shield_of_this_thread()
        began = monotonic()
        try:
            call.check()
            f, args, kwargs = self._decode(call)
            if type(f) is Verb:
                # The runtime's own code is never interrupted in the middle; what of it may be opens the shield itself.
                value = f.handler(*args)
                if value is LATER and call.is_withdrawn():
                    raise KeyboardInterrupt
            else:
                call.shield = shield
                try:
                    shield.open(call)
                    if call.cancelled:  # an interrupt that came before the shield was open has left its mark only
                        raise KeyboardInterrupt
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
            if type(f) in _UNREAD:
                f = _read_function(knowledge.received, frame.aux)
            buffers = frame.buffers
            if buffers and connection.borrower is not None:
                buffers, call.loans = connection.borrower.habits.receive(frame.aux, buffers)
            if frame.flags & MAP:
                items = decode(frame.body, buffers)
                if len(items) == 1:
                    call.items = NOTHING_BEHIND
                    return run_item, (f, items[0], frame.flags & STAR), {}
                call.items = Items(items, bool(frame.flags & STAR))
                if frame.flags & EACH:
                    return self._run_each, (call, f, call.items, shield_of_this_thread()), {}
                return run_items, (f, call.items), {}
            args, kwargs = decode(frame.body, buffers)
            return f, args, kwargs
        f, args, kwargs = decode(frame.body, frame.buffers)
        return f, args, kwargs

    def _run_each(self, call: Call, f: Any, items: Items, shield: Shield) -> Outcome:
        """Call ``f`` with each of the items, and answer for each at once; return the outcome of the last."""
        take, star = items.take, int(items.star)
        while True:
            items.since = monotonic()
            try:
                item = take()
            except IndexError:
                return [], None, 0.0  # it was given back
            outcome = run_item(f, item, star)
            if not items:
                return outcome
            shield.close()
            self.answer_part(call, outcome)
            shield.open(call)
            call.check()

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


def _read_function(received: dict[int, Any], number: int) -> Any:
    """Return the function that a peer calls by this number."""
    f = received[number]
    if type(f) is int:
        f = received[number] = _read_function(received, f)
    elif type(f) is Frame:
        f = received[number] = decode(f.body, f.buffers)
    return f
