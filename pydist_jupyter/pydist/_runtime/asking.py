"""The half of a node that asks: requests, and waiting for their answers."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Sequence
from time import monotonic
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

from pydist import frontend
from pydist._errors import ProcessExitedException
from pydist._protocol.frames import (
    ALSO,
    ASK,
    CALL,
    ERROR,
    FUNCTION,
    KEEP,
    MAP,
    QUIET,
    Frame,
    pack,
)
from pydist._runtime import load
from pydist._runtime.connection import Connection
from pydist._runtime.failures import decode_failure
from pydist._runtime.knowledge import Knowledge
from pydist._runtime.namespaces import namespace
from pydist._runtime.once import Buffer, Once
from pydist._runtime.pickling import Outgoing, are_plain, decode, is_plain
from pydist._runtime.pieces import pieces
from pydist._runtime.reader import Reader
from pydist._runtime.sending import Sending, another
from pydist._runtime.shield import MAIN, shield_of_this_thread
from pydist._runtime.shortcuts import note_shortcut, number_by_shortcut
from pydist._runtime.slots import Slot
from pydist._runtime.sources import identity

__all__ = ["Asking", "Prepared"]

_dumps = pickle.dumps
_NO_KEYWORDS: dict[str, Any] = {}
_NUMBERED = (FunctionType, BuiltinFunctionType)
#: So long does whoever finds a worker gone wait for the news how that has ended (seconds).
_NEWS = 1.0


class Prepared(NamedTuple):
    """A function that a peer has by number."""

    number: int
    connection: Connection


class Asking(Sending):
    """What a process needs to ask others; `Node` adds the answering."""

    reader: Reader

    def __init__(self) -> None:
        super().__init__()
        #: Called with the origin whose requests are to be interrupted: by those who would send more.
        self.stopping: list[Callable[[int], None]] = []

    # ---- asking others

    def call(
        self,
        pid: int,
        f: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        flags: int = 0,
        once: Once | None = None,
    ) -> Slot:
        """Send a call to another process; return the slot of its answer. ``once``: others get the same call.

        Raises:
            ValueError, ProcessExitedException: there is no such process.
            Exception: what pickling the arguments raised; nothing was sent.
        """
        connection = self.peers.connection(pid)
        if connection.load.is_full and connection.load.holds_back(args, kwargs):
            self._wait_for_room(connection)
        slot = Slot(self.next_id(), connection, self.origin())
        knowledge = connection.knowledge
        if flags & KEEP:
            self.reader.nobody_waits(connection)
        if not kwargs and (number := self._number_there(knowledge, f)) and are_plain(args):
            if flags & KEEP:
                frontend.note_call(slot.origin, slot.rid)
            body = _dumps((args, _NO_KEYWORDS), 5)
            self.ask(connection, slot, pack(CALL, slot.rid, body, number, slot.origin, flags), flags=flags)
            return slot
        with knowledge.lock:
            job = Outgoing(self.definitions, knowledge, once)
            number, ahead, data, buffers = _encode_call(job, f, args, kwargs)
            self._send_job(connection, slot, job, ahead, CALL, data, buffers, number, flags)
            if number and type(f) is FunctionType and f not in knowledge.functions:
                note_shortcut(knowledge, f, number)
        return slot

    def call_fetch(self, pid: int, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call, wait, return the value, without a gap in which an interrupt would forget the call."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            slot = self.call(pid, f, args, kwargs)
            if not self.reader.wait(slot, None, direct=shield is MAIN or shield.owner is None):
                self.give_up(slot)
        finally:
            shield.lower()
        return self.value_of(slot)

    def tell(self, pid: int, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Send a call that nobody waits for."""
        connection = self.peers.connection(pid)
        slot = Slot(self.next_id(), connection, self.origin())
        with connection.knowledge.lock:
            job = Outgoing(self.definitions, connection.knowledge)
            number, ahead, data, buffers = _encode_call(job, f, args, kwargs)
            self._send_job(connection, slot, job, ahead, CALL, data, buffers, number, QUIET)
        connection.pending.pop(slot.rid, None)
        connection.load.take_off(slot.rid)

    def ask_verb(self, pid: int, verb: int, arguments: Any) -> Slot:
        """Ask another process for a verb of its runtime."""
        connection = self.peers.connection(pid)
        slot = Slot(self.next_id(), connection, self.origin())
        if is_plain(arguments):
            self.ask(connection, slot, pack(ASK, slot.rid, _dumps(arguments, 5), verb, slot.origin))
            return slot
        knowledge = connection.knowledge
        with knowledge.lock:
            job = Outgoing(self.definitions, knowledge)
            data, buffers = job.encode(arguments)
            self._send_job(connection, slot, job, b"", ASK, data, buffers, verb, 0)
        return slot

    def _wait_for_room(self, connection: Connection) -> None:
        """Let a peer that does not keep up answer some of what it has; for a while, see `Load`."""
        shield, deadline = shield_of_this_thread(), monotonic() + load.PATIENCE
        while connection.load.is_full and not shield.pending and (left := deadline - monotonic()) > 0:
            pending = list(connection.pending.values())
            if not pending:
                return
            # Not for the very first: there should be room for some, or each would wait anew.
            self.wait(pending[len(pending) // 4], min(left, load.LOOK))

    # ---- a function for many calls

    def prepare(self, pid: int, f: Any, once: Once | None = None) -> Prepared:
        """Send a function, with all that it captures and mentions now, once; the calls that follow carry its number.

        If it is small it goes out with the first of them. ``once``: others get the same function, as it was when the
        first of them got it.
        """
        connection = self.peers.connection(pid)
        knowledge = connection.knowledge
        # A number of its own in any case: by that the calls take turns there.
        number = next(knowledge.numbers)
        if known := self._number_there(knowledge, f):
            connection.hold(pack(FUNCTION, known, b"", number, 0, ALSO))
            return Prepared(number, connection)
        with knowledge.lock:
            job = Outgoing(self.definitions, knowledge, once)
            data: bytes | memoryview
            known, data = job.function_number(f)
            buffers: Sequence[Buffer] = ()
            if known:
                data = data + pack(FUNCTION, known, b"", number, 0, ALSO)
            else:
                data, buffers = job.encode_alike("function", f)
            prelude = job.prelude(self.next_id())
            self.send_ahead(job, connection)
            if known:
                connection.hold(prelude + data)
            elif buffers:
                self._write(connection, prelude, FUNCTION, 0, data, buffers, number, 0, job.flags)
            else:
                first, rest = pieces(FUNCTION, 0, data, buffers, number, 0, job.flags)
                connection.hold(prelude + first, *rest)
            job.commit()
            if known and type(f) is FunctionType and f not in knowledge.functions:
                note_shortcut(knowledge, f, known)
        return Prepared(number, connection)

    @staticmethod
    def _number_there(knowledge: Knowledge, f: Any) -> int:
        """Return the number by which a peer can call ``f`` as it is now; 0: it must be looked at."""
        return (knowledge.functions.get(f) or number_by_shortcut(knowledge, f)) if type(f) in _NUMBERED else 0

    def map_prepared(self, prepared: Prepared, messages: Sequence[tuple[Slot, Sequence[Any]]], flags: int = 0) -> None:
        """Map a prepared function over lists of items; the answer to each is an `Outcome`.

        Args:
            prepared: the function, which says where.
            messages: for each list a new slot, for the answer.
            flags: STAR, CUT.

        Raises:
            ProcessExitedException: the peer is gone; nothing of it was begun.
        """
        number, connection = prepared
        flags |= MAP
        if all(are_plain(items) for _, items in messages):
            data = [pack(CALL, slot.rid, _dumps(items, 5), number, slot.origin, flags) for slot, items in messages]
            self.ask_all(connection, [slot for slot, _ in messages], b"".join(data))
            return
        for slot, items in messages:
            with connection.knowledge.lock:
                job = Outgoing(self.definitions, connection.knowledge)
                body, buffers = job.encode(items)
                self._send_job(connection, slot, job, b"", CALL, body, buffers, number, flags)

    def call_numbered(self, prepared: Prepared, args: tuple[Any, ...], kwargs: dict[str, Any], flags: int) -> Slot:
        """Call a prepared function once."""
        connection = prepared.connection
        if connection.load.is_full and connection.load.holds_back(args, kwargs):
            self._wait_for_room(connection)
        slot = Slot(self.next_id(), connection, self.origin())
        with connection.knowledge.lock:
            job = Outgoing(self.definitions, connection.knowledge)
            data, buffers = job.encode((args, kwargs))
            self._send_job(connection, slot, job, b"", CALL, data, buffers, prepared.number, flags)
        return slot

    def forget_prepared(self, pid: int, prepared: Prepared) -> None:
        """The function is not needed any more."""
        if not prepared.connection.closed:
            prepared.connection.hold(pack(FUNCTION, 0, b"", prepared.number))
            self.reader.write_soon(prepared.connection)

    def wait(self, slot: Slot, timeout: float | None = None) -> bool:
        """Wait for an answer; see `Reader.wait`."""
        shield = shield_of_this_thread()
        # A pooled lane can be interrupted at any instruction, so it never reads; it sleeps and others read.
        return self.reader.wait(slot, timeout, direct=shield is MAIN or shield.owner is None)

    def value_of(self, slot: Slot) -> Any:
        """Return what a settled slot has brought.

        Raises:
            RemoteException: the call failed over there.
            ProcessExitedException: the process is gone.
        """
        if (failure := slot.failure) is not None:
            # Another one each time: what is raised keeps the frames that it has gone through, and their variables.
            raise another(failure) if type(failure) is ProcessExitedException else failure
        frame = slot.frame
        assert frame is not None
        if frame.kind == ERROR:
            assert slot.connection is not None
            raise decode_failure(slot.connection.pid, frame)
        return self.value_in(frame, slot.connection)

    def value_in(self, frame: Frame, connection: Connection | None) -> Any:
        """Return the value that an answer has brought."""
        if connection is not None and connection.knowledge.names:
            self.put_names_in_place(connection.knowledge, None)
        return decode(frame.body, frame.buffers)

    def fetch(self, slot: Slot, timeout: float | None = None) -> Any:
        """Wait for a slot and return its value; an interrupt or a time-out cancels the request over there."""
        try:
            if not self.wait(slot, timeout):
                self.give_up(slot)
                raise TimeoutError(f"no answer within {timeout} seconds")
        except KeyboardInterrupt:
            self.give_up(slot)
            raise
        return self.value_of(slot)

    def give_up(self, slot: Slot) -> None:
        """Interrupt a request whose answer nobody will look at."""
        self.cancel(slot)
        slot.add_callback(lambda: self.discard(slot.frame))

    def discard(self, frame: Frame | None) -> None:
        """Drop a frame that nobody will read; references in it are let go of."""
        raise NotImplementedError

    def calls_in_flight(self, origin: int | None = None) -> dict[int, int]:
        """Return how many requests wait for an answer, by process."""
        counts: dict[int, int] = {}
        for peer in self.peers.all():
            if peer.connection is not None:
                n = sum(1 for slot in list(peer.connection.pending.values()) if origin is None or slot.origin == origin)
                if n:
                    counts[peer.pid] = n
        return counts

    def cancel_origin(self, origin: int) -> dict[int, int]:
        """Interrupt all requests of one origin; return how many, by process."""
        for stop in list(self.stopping):
            stop(origin)
        counts = self.calls_in_flight(origin)
        for peer in self.peers.all():
            if peer.connection is not None:
                for slot in list(peer.connection.pending.values()):
                    if slot.origin == origin:
                        self.cancel(slot)
        return counts

    def wait_for_origin(self, origin: int, timeout: float) -> dict[int, int]:
        """Wait until the requests of one origin have been answered; return how many have not in time, by process."""
        deadline = monotonic() + timeout
        for peer in self.peers.all():
            if peer.connection is not None:
                for slot in list(peer.connection.pending.values()):
                    if slot.origin == origin:
                        self.wait(slot, max(0.0, deadline - monotonic()))
        return self.calls_in_flight(origin)

    def put_names_in_place(self, knowledge: Knowledge, rid: int | None) -> None:
        """Bind the globals that came ahead of request ``rid`` (and of earlier ones; None: all) in their namespaces.

        The master's own names are never bound anew by what a worker sends along.
        """
        with knowledge.names_lock:
            while knowledge.names and (rid is None or knowledge.names[0].rid <= rid):
                frame = knowledge.names.popleft()
                buffers = iter(frame.buffers)
                for (home, name), (data, n) in pickle.loads(frame.body).items():
                    scope, mine = namespace(home), list(itertools.islice(buffers, n))
                    if self.pid != 1 or name not in scope:
                        scope[name] = value = decode(data, mine)
                        knowledge.note_own((home, name), identity(value))


def _encode_call(
    job: Outgoing, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[int, bytes, Any, Sequence[Buffer]]:
    """Return the number of a function or 0, what goes ahead of it, and the pickle with its buffers."""
    try:
        number, ahead = job.function_number(f)
        data, buffers = job.encode_alike(bool(number), (args, kwargs) if number else (f, args, kwargs))
    except Exception as error:
        error.add_note(
            f"this was about sending {getattr(f, '__name__', f)!s} and its arguments to process {job.knowledge.pid}"
        )
        raise
    return number, ahead, data, buffers
