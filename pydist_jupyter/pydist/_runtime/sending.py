"""Writing messages to peers: what must be out ahead of them, where their answers go, and what if the peer is gone."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from typing import Any

from pydist import frontend
from pydist._errors import ProcessExitedException
from pydist._protocol.frames import (
    CANCEL,
    HOLD,
    KEEP,
    NAMES,
    QUIET,
    pack,
)
from pydist._runtime.connection import Connection
from pydist._runtime.current import CURRENT_CALL
from pydist._runtime.definitions import Definitions
from pydist._runtime.handles import Handles
from pydist._runtime.load import SMALL
from pydist._runtime.once import Buffer
from pydist._runtime.output import Desk
from pydist._runtime.peers import Peers
from pydist._runtime.pickling import Outgoing
from pydist._runtime.pieces import pieces
from pydist._runtime.shield import shield_of_this_thread
from pydist._runtime.slots import Slot
from pydist._runtime.store import Store

__all__ = ["Sending", "another"]

_dumps = pickle.dumps
#: So long does whoever finds a worker gone wait for the news how that has ended (seconds).
_NEWS = 1.0


class Sending:
    """What a process needs to send; `Asking` adds the requests, and waiting for their answers."""

    pid: int
    definitions: Definitions
    store: Store
    desk: Desk
    peers: Peers
    handles: Handles

    def __init__(self) -> None:
        self.next_id = itertools.count(1).__next__

    def origin(self) -> int:
        """Return the origin for a call that starts now in this thread."""
        call = CURRENT_CALL.get()
        if call is not None:
            return call.origin
        router = frontend.router()
        return router.origin() if router is not None else 0

    def gone(self, connection: Connection) -> ProcessExitedException:
        """Return the exception for a peer whose stream has ended."""
        peer = self.peers.get(connection.pid)
        if self.pid == 1 and peer is not None and connection.end is None:
            peer.gone.wait(_NEWS)  # how it has ended is known in a moment
        why = connection.end or (None if peer is None else peer.exit)
        return ProcessExitedException(connection.pid) if why is None else another(why)

    def cancel(self, slot: Slot) -> None:
        """Interrupt the request of a slot, where it runs."""
        if not slot.done and slot.connection is not None:
            slot.connection.post(pack(CANCEL, slot.rid, b""))

    def tell_holder(self, owner: int, ref: tuple[int, int], pid: int, n: int) -> None:
        """Tell the owner of a reference that ``pid`` holds it.

        Raises:
            ProcessExitedException: the owner is gone.
        """
        self._tell_holder(self.peers.connection(owner), ref, pid, n)

    def _tell_holder(self, connection: Connection, ref: tuple[int, int], pid: int, n: int) -> None:
        try:
            connection.send(pack(HOLD, 0, _dumps((tuple(ref), pid, n), 5)))
        except EOFError:
            # Of the owner, and not of whoever gets the message that this is for.
            raise self.gone(connection) from None

    def _send_job(
        self,
        connection: Connection,
        slot: Slot,
        job: Outgoing,
        ahead: bytes,
        kind: int,
        data: Any,
        buffers: Sequence[Buffer],
        aux: int,
        flags: int,
    ) -> None:
        prelude = ahead + job.prelude(slot.rid)
        self.send_ahead(job, connection)
        if flags & (KEEP | QUIET):
            frontend.note_call(slot.origin, slot.rid)
        shield = shield_of_this_thread()
        # What is lent must be told, or it never comes back.
        shield.raise_()
        try:
            first, rest = pieces(kind, slot.rid, data, buffers, aux, slot.origin, flags | job.flags, connection)
            self.ask(connection, slot, prelude + first, rest, flags)
            job.commit()
        finally:
            try:
                shield.lower()
            except KeyboardInterrupt:
                self._take_back(slot, flags)
                raise

    def ask(self, connection: Connection, slot: Slot, data: bytes, buffers: Any = (), flags: int = 0) -> None:
        """Write a request whose answer goes to ``slot``; ``flags``: those of the request.

        Raises:
            ProcessExitedException: the peer is gone.
        """
        shield = shield_of_this_thread()
        # What is noted as pending must be written, or it would be so for ever.
        shield.raise_()
        is_out = False
        try:
            connection.pending[slot.rid] = slot
            if buffers or len(data) > SMALL:
                connection.load.add(slot.rid, len(data) + sum(map(len, buffers)))
            if slot.origin:
                self.desk.asked(connection.pid, slot.origin, slot.rid)
            (connection.ask if connection.held else connection.send)(data, buffers)
            is_out = True
        except EOFError:
            connection.pending.pop(slot.rid, None)
        finally:
            try:
                shield.lower()
            except KeyboardInterrupt:
                self._take_back(slot, flags)
                raise
        if not is_out:
            raise self.gone(connection)
        if connection.end is not None and connection.pending.pop(slot.rid, None) is not None:
            # Written, and the peer has ended in this very moment: it may have begun, so this is no matter of sending.
            slot.settle(None, another(connection.end))

    def _take_back(self, slot: Slot, flags: int) -> None:
        """Stop a request that is out: nobody will ask for its answer, or have a handle to what is kept of it."""
        self.cancel(slot)
        if flags & KEEP and slot.connection is not None:
            self.handles.drop(slot.connection.pid, (self.pid, slot.rid), 1)

    def ask_all(self, connection: Connection, slots: list[Slot], data: bytes) -> None:
        """Write several requests at once; see `ask`."""
        *others, last = slots
        connection.pending.update({slot.rid: slot for slot in others})
        try:
            self.ask(connection, last, data)
        except ProcessExitedException:
            for slot in others:
                connection.pending.pop(slot.rid, None)
            raise
        if connection.end is not None:
            for slot in others:
                if connection.pending.pop(slot.rid, None) is not None:
                    slot.settle(None, another(connection.end))

    def send_value(
        self, connection: Connection, kind: int, rid: int, value: Any, *, origin: int = 0, flags: int = 0
    ) -> None:
        """Write a reply with a value of any kind."""
        knowledge = connection.knowledge
        with knowledge.lock:
            job = Outgoing(self.definitions, knowledge)
            data, buffers = job.encode(value)
            prelude = job.prelude(rid)
            self.send_ahead(job, connection)
            self._write(connection, prelude, kind, rid, data, buffers, 0, origin, flags | job.flags)
            job.commit()

    def send_ahead(self, job: Outgoing, connection: Connection) -> None:
        """Write what must be out before a message: who will hold the references in it, and large globals.

        Raises:
            ProcessExitedException: the peer is gone.
        """
        self._note_holders(job, connection)
        if job.ahead is not None:
            prelude, rid, data, buffers = job.ahead
            try:
                self._write(connection, prelude, NAMES, rid, data, buffers, 0, 0, 0)
            except EOFError:
                raise self.gone(connection) from None

    @staticmethod
    def _write(
        connection: Connection,
        prelude: bytes,
        kind: int,
        rid: int,
        data: Any,
        buffers: Sequence[Buffer],
        aux: int,
        origin: int,
        flags: int,
    ) -> None:
        shield = shield_of_this_thread()
        # What is lent must be told, or it never comes back.
        shield.raise_()
        try:
            first, rest = pieces(kind, rid, data, buffers, aux, origin, flags, connection)
            connection.send(prelude + first, rest)
        finally:
            shield.lower()

    def _note_holders(self, job: Outgoing, connection: Connection) -> None:
        """Tell the owners of the references in a message who will hold them, before the message goes."""
        for owner, ref in job.refs:
            if owner == self.pid:
                self.store.hold(ref, connection.pid)
            else:
                told = connection if owner == connection.pid else self.peers.connection(owner)
                self._tell_holder(told, ref, connection.pid, 1)


def another(why: ProcessExitedException) -> ProcessExitedException:
    """Return an exception of its own with the same news: they are raised, and get tracebacks, in different threads."""
    return ProcessExitedException(
        why.pid, why.exitcode, why.signal, why.host, why.last_output, why.running, why.removed
    )
