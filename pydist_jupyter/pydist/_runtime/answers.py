"""Answering the calls that have come in, each once: with a value, with what it raised, or not at all.

The answers to quick calls of one function that wait one behind the other are held back and sent together.
"""

from __future__ import annotations

import pickle
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from pydist._errors import CapturedException, capture
from pydist._protocol.frames import BACK, DONE, ENDED, INLINE, KEEP, MAP, PART, QUIET, RESULT, pack
from pydist._runtime.call import Call
from pydist._runtime.failures import encode_failure, qualified
from pydist._runtime.mapped import Outcome
from pydist._runtime.pickling import Outgoing, are_plain, is_plain
from pydist._runtime.store import Carried

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection
    from pydist._runtime.node import Node

__all__ = ["DRAIN", "HIDDEN", "LOST", "STRAY", "Answers"]

#: Flags of replies, beside those of frames.py.
DRAIN = 8  # something was written below Python: read the pipe first
LOST = 16  # the globals that came with this call are not in place: send them again
STRAY = 128  # the call was interrupted and goes on all the same: ENDED will tell when it is over

#: Frames of these files are left out of tracebacks: they are on the way to the user's code.
HIDDEN = {__file__}
#: Not more answers than this are sent together.
_TOGETHER = 32
#: Of so many calls that have failed, function and arguments are kept, as long as their Futures are.
_KEPT_CALLS = 8


class Answers:
    """The calls of one node that are not answered yet, and their answers."""

    def __init__(self, node: Node) -> None:
        self._node = node
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
        asked, output = call.asked, self._node.output
        if call.texts is not None or asked & QUIET:
            flags = self.finish_output(call)
            if asked & QUIET:
                return True
        else:
            flags = DRAIN if output is not None and output.wrote_below() else 0
        try:
            if asked & KEEP:
                self._node.store.keep((connection.pid, call.rid), connection.pid, value)
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
            elif _is_plain_outcome(value) if asked & MAP else is_plain(value):
                connection.send(pack(RESULT, call.rid, pickle.dumps(value, 5), 0, call.origin, flags))
            else:
                try:
                    if asked & MAP:
                        self._send_outcome(call, connection, value, flags)
                    else:
                        self._node.send_value(connection, RESULT, call.rid, value, origin=call.origin, flags=flags)
                except EOFError:
                    raise
                except BaseException as error:
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

    def answer_part(self, call: Call, outcome: Outcome) -> None:
        """One item of a map has ended, and there are others: answer for that one alone.

        Raises:
            EOFError: nobody is there any more to have it.
        """
        connection = call.connection
        assert connection is not None
        flags = self.finish_output(call) | PART
        if _is_plain_outcome(outcome):
            connection.send(pack(RESULT, call.rid, pickle.dumps(outcome, 5), 0, call.origin, flags))
        else:
            self._send_outcome(call, connection, outcome, flags)

    def _send_outcome(self, call: Call, connection: Connection, outcome: Outcome, flags: int) -> None:
        try:
            self._node.send_value(connection, RESULT, call.rid, outcome, origin=call.origin, flags=flags)
        except EOFError:
            raise
        except Exception:
            outcome = self._up_to_what_cannot_be_sent(connection, outcome)
            self._node.send_value(connection, RESULT, call.rid, outcome, origin=call.origin, flags=flags)

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
                return sendable, _captured(error), took
            sendable.append(value)
        return [], _captured(pickle.PicklingError("the results of a batch cannot be sent together")), took

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
        captured = error.captured if isinstance(error, Carried) else _captured(error)
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
            made = self._made_to_keep(call, captured)
            self._node.store.keep((connection.pid, call.rid), connection.pid, made, captured)
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
        captured = error if isinstance(error, CapturedException) else _captured(error)
        connection.send(encode_failure(self._node, connection, call.rid, call.origin, captured, flags))

    def _first(self, call: Call, stray: int = 0) -> bool:
        key = self.key(call)
        goes_on = stray and not call.answered
        if goes_on:
            self.strays[key] = call  # first: whoever finds it answered looks for it there
        if self.calls.pop(key, None) is None:  # of several threads one gets it
            if goes_on:
                self.strays.pop(key, None)
            return False
        call.answered = True
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


def _captured(error: BaseException) -> CapturedException:
    return capture(error, frozenset(HIDDEN))


def _is_plain_outcome(outcome: Outcome) -> bool:
    return outcome[1] is None and are_plain(outcome[0])


def _about(value: Any) -> str:
    return f"this was about the value that the call has returned, an object of class {qualified(type(value))!r}"
