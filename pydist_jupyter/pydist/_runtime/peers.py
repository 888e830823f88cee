"""The other processes, as this one knows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydist._errors import ProcessExitedException
from pydist._runtime.shield import shield_of_this_thread

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection

__all__ = ["CONNECTED", "CREATED", "TERMINATED", "TERMINATING", "Peer", "Peers"]

CREATED = "created"
CONNECTED = "connected"
TERMINATING = "terminating"
TERMINATED = "terminated"


class Peer:
    """One other process."""

    __slots__ = (
        "address",
        "born",
        "config",
        "connection",
        "details",
        "done",
        "exit",
        "gone",
        "manager",
        "output",
        "params",
        "pid",
        "started",
        "state",
        "strays",
    )

    def __init__(self, pid: int, state: str = CREATED) -> None:
        self.pid = pid
        self.state = state
        self.connection: Connection | None = None
        #: Where it listens for other workers.
        self.address: Any = None
        #: On the master: how it was launched, by whom, what it said of itself, the pipe with its output.
        self.config: Any = None
        self.manager: Any = None
        self.details: dict[str, Any] = {}
        self.output: Any = None
        #: With which options it was launched.
        self.params: dict[str, Any] = {}
        self.started = 0.0
        #: What `runfiles.start_time` says of it.
        self.born: int | None = None
        self.done = 0
        #: How many of our calls it has answered after an interrupt that they did not listen to.
        self.strays = 0
        #: Set when the process has ended and everybody has been told.
        self.gone = threading.Event()
        #: Why it is gone.
        self.exit: ProcessExitedException | None = None


class Peers:
    """All other processes, living and dead.

    Args:
        dial: makes a connection to a peer that has none yet.
    """

    def __init__(self, dial: Callable[[Peer], Connection]) -> None:
        self.dial = dial
        #: On a worker: brings the list up to date.
        self.ask_master: Callable[[], None] | None = None
        self._peers: dict[int, Peer] = {}
        self._dead: dict[int, ProcessExitedException] = {}
        self._dialling = threading.Lock()
        #: pid -> connection: the way of every call.
        self._connections: dict[int, Connection] = {}

    def add(self, peer: Peer) -> None:
        """Take a process in."""
        self._peers[peer.pid] = peer

    def get(self, pid: int) -> Peer | None:
        """Return a living process."""
        return self._peers.get(pid)

    def all(self) -> list[Peer]:
        """Return all living ones, in the order in which they joined."""
        return list(self._peers.values())

    def connected(self) -> list[Peer]:
        """Return those that can be called, in the order in which they joined."""
        return [peer for peer in list(self._peers.values()) if peer.state == CONNECTED]

    def attach(self, peer: Peer, connection: Connection) -> None:
        """There is a stream to this process now."""
        peer.connection = connection
        self._connections[peer.pid] = connection

    def detach(self, connection: Connection) -> None:
        """This stream has ended; the process may live, and can be dialled again."""
        pid = connection.pid
        if self._connections.get(pid) is connection:
            del self._connections[pid]
        peer = self._peers.get(pid)
        if peer is not None and peer.connection is connection:
            peer.connection = None

    def bury(self, pid: int, why: ProcessExitedException) -> Peer | None:
        """A process is dead; return what is left of it, None if it was not among the living."""
        self._dead.setdefault(pid, why)
        self._connections.pop(pid, None)
        peer = self._peers.pop(pid, None)
        if peer is not None:
            peer.state = TERMINATED
            peer.exit = why
        return peer

    def dead(self) -> list[tuple[int, str, int | None, int | None]]:
        """Return the dead: id, host, exit code, signal."""
        return [(pid, why.host, why.exitcode, why.signal) for pid, why in list(self._dead.items())]

    def revive(self, pid: int) -> None:
        """A process with this id is started anew."""
        self._dead.pop(pid, None)

    def is_dead(self, pid: int) -> bool:
        """Say whether that process was here and is no more."""
        return pid in self._dead

    def connection(self, pid: int) -> Connection:
        """Return the stream to a process.

        Raises:
            ValueError: there has never been such a process.
            ProcessExitedException: it is dead, or on its way out.
        """
        connection = self._connections.get(pid)
        return connection if connection is not None else self._find(pid)

    def _find(self, pid: int) -> Connection:
        peer = self._peers.get(pid)
        if peer is None and pid not in self._dead and self.ask_master is not None and isinstance(pid, int):
            self.ask_master()  # it may have joined a moment ago
            peer = self._peers.get(pid)
        # After the living: who is buried meanwhile is among the dead before it leaves those.
        why = self._dead.get(pid)
        if why is not None:
            raise ProcessExitedException(why.pid, why.exitcode, why.signal, why.host, why.last_output)
        if peer is None or type(pid) is bool:
            raise ValueError(f"no process with id {pid} exists")
        if peer.state in (TERMINATING, TERMINATED):
            raise ProcessExitedException(pid, host=peer.details.get("host", ""))
        # An interrupt in the middle would leave the other side with a stream that nobody is at the end of.
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            with self._dialling:
                connection = self._connections.get(pid)
                if connection is None:
                    connection = self.dial(peer)
                    self.attach(peer, connection)
                return connection
        finally:
            shield.lower()

    def stop_calls(self, peer: Peer) -> None:
        """Let no new call go to this process."""
        peer.state = TERMINATING
        self._connections.pop(peer.pid, None)
