"""A process of the cluster: wires its parts together and knows what to do with each frame. It decides nothing else."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from pydist._errors import ProcessExitedException
from pydist._protocol.frames import (
    ALSO,
    ASK,
    BACK,
    CALL,
    CANCEL,
    COMM,
    DEFINE,
    DONE,
    ENDED,
    ERROR,
    EXIT,
    FUNCTION,
    HOLD,
    KEEP,
    MEMBERS,
    NAMES,
    OPENS,
    OUTPUT,
    PART,
    QUIET,
    REFS,
    RELEASE,
    RESULT,
    RETURNED,
    Frame,
    pack,
)
from pydist._runtime.answers import DRAIN, LOST, STRAY
from pydist._runtime.asking import Asking
from pydist._runtime.call import Call
from pydist._runtime.calls import Executor
from pydist._runtime.connection import Connection
from pydist._runtime.definitions import Definitions
from pydist._runtime.failures import decode_failure
from pydist._runtime.handles import Handles
from pydist._runtime.lanes import Lanes
from pydist._runtime.mappings import Returns
from pydist._runtime.output import Desk
from pydist._runtime.peers import Peer, Peers
from pydist._runtime.pickling import decode
from pydist._runtime.reader import Reader
from pydist._runtime.segments import Lender, Pool
from pydist._runtime.sending import another
from pydist._runtime.shield import press_again_if_swallowed
from pydist._runtime.slots import Slot
from pydist._runtime.store import Store

if TYPE_CHECKING:
    from pydist._comm_messages import Update

__all__ = ["Node"]


class Node(Asking):
    """One process of the cluster.

    Args:
        pid: its id; the master is 1.
        cookie: the cluster's secret.
    """

    def __init__(self, pid: int, cookie: str = "") -> None:
        super().__init__()
        self.pid = pid
        self.cookie = cookie or os.urandom(8).hex()
        self.topology = "all_to_all"
        self.definitions = Definitions()
        self.store = Store()
        self.store.is_to_come = self._is_asked_for
        self.desk = Desk()
        self.executor = Executor(self)
        self.lanes = Lanes(self.executor)
        self.reader = Reader(self._handle, self.lose, self._after_batch, self._tidy)
        self.peers = Peers(self._no_dialling)
        self.handles = Handles(lambda: self.pid, self.store, self.peers, self.reader.wake_soon)
        #: Memory for large buffers: what others may open, and what we have opened and use no more.
        self.pool = Pool()
        self.returns = Returns(self.reader.kick)
        #: On a worker: the streams that replace sys.stdout and sys.stderr.
        self.output: Any = None
        #: What ASK frames can ask for: verb -> function(call, arguments).
        self.verbs: dict[int, Callable[[Call, Any], Any]] = {}
        #: Called with (peer, connection) in a thread of its own when a peer's stream has ended.
        self.on_lost: Callable[[Node, Connection], None] | None = None
        #: Called with the content of a MEMBERS frame.
        self.on_members: Callable[[Any], None] | None = None
        self.on_exit: Callable[[], None] | None = None
        #: On a worker: its comms, once its code has imported the package of that name.
        self.comms: Any = None
        #: Called with the ids of workers that have joined, before addprocs returns.
        self.joined: list[Callable[[list[int]], None]] = []
        #: Called with the id of a worker that has ended.
        self.departed: list[Callable[[int], None]] = []
        #: Objects of this process that others have handles to, by number.
        self.shared: dict[int, Any] = {}
        self._background: threading.Thread | None = None

    def start_background(self) -> None:
        """Have a thread that reads when nobody else does; on the master."""
        if self._background is None:
            press_again_if_swallowed()
            self._background = threading.Thread(
                target=self.reader.serve_in_background, name="pydist-reader", daemon=True
            )
            self._background.start()

    @staticmethod
    def _no_dialling(peer: Peer) -> Connection:
        raise ValueError(f"no process with id {peer.pid} exists")

    # ---- what comes in; in the reader's thread

    def _handle(self, connection: Connection, frame: Frame) -> None:
        kind = frame.kind
        if kind in _REPLIES:
            self._settle(connection, frame)
        elif kind in _REQUESTS:
            call = Call(connection, frame, frame.rid, frame.origin)
            self.executor.accept(call)
            self.lanes.inbox.append(call)
        elif kind == OUTPUT:
            self._output(connection, frame)
        elif kind == FUNCTION:
            received = connection.knowledge.received
            if frame.flags & ALSO:
                received[frame.aux] = frame.rid
            elif len(frame.body):
                received[frame.aux] = frame
            elif type(unread := received.pop(frame.aux, None)) is Frame:
                self.discard(unread)
        elif kind == DEFINE:
            connection.knowledge.digests.add(self.definitions.unpack(bytes(frame.body)))
        elif kind == NAMES:
            connection.knowledge.names.append(frame)
        elif kind == BACK:
            self._given_back(connection, frame)
        elif kind == CANCEL:
            self.executor.cancel(connection, frame.rid)
        elif kind in (HOLD, RELEASE):
            for ref, pid, n in pickle.loads(frame.body) if kind == RELEASE else (pickle.loads(frame.body),):
                self.store.hold(tuple(ref), pid, n)
        elif kind == ENDED:
            if (peer := self.peers.get(connection.pid)) is not None:
                peer.strays -= 1
        elif kind == RETURNED:
            if connection.lender is not None:
                connection.lender.returned(frame.body)
        elif kind == OPENS:
            connection.lender = Lender(self.pool)
        elif kind == MEMBERS:
            if self.on_members is not None:
                self.on_members(pickle.loads(frame.body))
        elif kind == COMM:
            if self.comms is not None:
                self.comms.inbox.put(pickle.loads(frame.body))
        elif kind == EXIT and self.on_exit is not None:
            self.on_exit()

    def _settle(self, connection: Connection, frame: Frame) -> None:
        flags = frame.flags
        if flags & PART:
            slot = connection.pending.get(frame.rid)
        else:
            slot = connection.pending.pop(frame.rid, None)
            if connection.load.sizes:
                connection.load.take_off(frame.rid)
        peer = self.peers.get(connection.pid)
        if peer is not None:
            peer.done += 1
            if peer.output is not None:
                peer.output.settle(flags & DRAIN)
            if flags & STRAY:
                peer.strays += 1
        if flags & LOST:
            connection.knowledge.forget_names()
        if self.desk.dirty:
            self.desk.flush()
        if slot is None:
            self.discard(frame)
        elif flags & PART:
            slot.part(frame)
        else:
            slot.settle(frame)

    def _given_back(self, connection: Connection, frame: Frame) -> None:
        if frame.aux:
            slot = connection.pending.get(frame.rid)
            if slot is not None:
                slot.cut(frame.aux)
        elif (slot := connection.pending.pop(frame.rid, None)) is not None:
            connection.load.take_off(frame.rid)
            slot.settle(frame)

    def discard(self, frame: Frame | None) -> None:
        """Drop a frame that nobody will read; references in it are let go of, by reading it all the same."""
        if frame is None or not frame.flags & REFS:
            return

        def read() -> None:
            with contextlib.suppress(Exception):
                if frame.kind == ERROR:
                    decode_failure(0, frame)
                else:
                    decode(frame.body, frame.buffers)

        self.executor.aside(read)

    def _output(self, connection: Connection, frame: Frame) -> None:
        if self.pid == 1:
            self.desk.frame(frame, connection.pid)
            return
        # A worker that this one has called: its output goes on to the master, in front of our own answer.
        master = self.peers.get(1)
        if master is not None and master.connection is not None:
            master.connection.post(pack(OUTPUT, frame.rid, bytes(frame.body), frame.aux, frame.origin, frame.flags))

    def _tidy(self) -> None:
        if self.handles.dropped:
            self.handles.tidy()
        self.returns.tidy()

    def _after_batch(self) -> None:
        if self.lanes.inbox:
            self.lanes.hand_out()

    def _is_asked_for(self, ref: tuple[int, int]) -> bool:
        """Say whether a process has asked for this value, and it is to be kept here."""
        pid, rid = ref
        calls = [call for call in list(self.executor.calls.values()) if call.rid == rid and call.asked & KEEP]
        return any(call.connection is not None and call.connection.pid == pid for call in calls)

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """Wait for every call of this process, here and elsewhere; return whether all have ended within ``timeout``."""
        deadline = None if timeout is None else monotonic() + timeout
        while (slot := self._one_in_flight()) is not None:
            left = None if deadline is None else deadline - monotonic()
            if (left is not None and left <= 0) or not self.wait(slot, left):
                return False
        return True

    def _one_in_flight(self) -> Slot | None:
        for peer in self.peers.all():
            if peer.connection is not None:
                for slot in list(peer.connection.pending.values()):
                    return slot
        for call in list(self.executor.calls.values()):
            if call.connection is None and not call.asked & QUIET:
                slot, entry = Slot(0, None), self.store.entries.get((self.pid, call.rid))
                if entry is not None and not self.store.when_settled(entry, functools.partial(slot.settle, None)):
                    return slot
        return None

    # ---- widgets of workers

    def tell_comm(self, pid: int, message: Update) -> None:
        """Give a process what was said to one of its comms; never waits."""
        peer = self.peers.get(pid)
        if peer is not None and peer.connection is not None:
            peer.connection.post(pack(COMM, 0, pickle.dumps(message, 5), origin=message.origin))

    def call_each(self, pids: Iterable[int], f: Callable[[], Any], timeout: float) -> list[Any]:
        """Call ``f`` in several processes; return what those say that answer within ``timeout`` seconds."""
        deadline = monotonic() + timeout
        slots, answers = [], []
        for pid in pids:
            with contextlib.suppress(ValueError, ProcessExitedException):
                slots.append(self.call(pid, f, (), {}))
        for slot in slots:
            with contextlib.suppress(Exception):
                answers.append(self.fetch(slot, max(0.0, deadline - monotonic())))
        return answers

    # ---- losing a peer

    def lose(self, connection: Connection) -> None:
        """A stream has ended. What waits for it fails, once it is known why the process ended."""
        if connection.closed:
            return
        self.reader.remove(connection)
        if self.on_lost is None:
            self.fail_pending(connection, ProcessExitedException(connection.pid))
            return
        try:
            threading.Thread(target=self.on_lost, args=(self, connection), name="pydist-lost", daemon=True).start()
        except RuntimeError:
            # Python 3.12 starts no thread any more once the interpreter is about to end, and that is when workers do.
            self.on_lost(self, connection)

    def fail_pending(self, connection: Connection, why: ProcessExitedException) -> None:
        """Fail every request that waits for an answer from this stream."""
        self.executor.forget(connection)
        # First the mark: whoever adds a request from now on sees it (`Sending.ask`), everybody before is in the list.
        connection.end = why
        pending = list(connection.pending.values())
        connection.pending.clear()
        why.running = len(pending)
        for slot in pending:
            slot.settle(None, another(why))


_REPLIES = (RESULT, DONE, ERROR)
_REQUESTS = (CALL, ASK)
