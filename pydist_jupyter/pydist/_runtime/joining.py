"""How processes come to know each other.

master ──handshake──▶ worker: "you are 3"          (the way there is the cluster manager's business)
master ──MEMBERS────▶ every worker: who is here, where each listens, who is dead
worker ──handshake──▶ worker: at the first call between them
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import socket
import threading
from time import monotonic
from typing import Any

from pydist._errors import ProcessExitedException
from pydist._protocol.frames import MEMBERS, OPENS, pack
from pydist._protocol.handshake import HandshakeError
from pydist._runtime.connection import Connection, abstract_address
from pydist._runtime.habits import Habits
from pydist._runtime.handshaking import accept, initiate
from pydist._runtime.knowledge import Knowledge
from pydist._runtime.mappings import Borrower
from pydist._runtime.node import Node
from pydist._runtime.peers import CONNECTED, TERMINATING, Peer
from pydist._runtime.segments import Lender

__all__ = ["WHO", "attach", "greet_peer", "join", "shared_memory", "tell_members"]

#: The verb by which a worker asks the master for the list of members.
WHO = 100
#: How long a worker tries to reach another one.
_PATIENCE = 20.0


def attach(node: Node, peer: Peer, sock: socket.socket, said: dict[str, Any]) -> Connection:
    """Start to talk with a peer over a stream that has been shaken hands on; ``said``: what it said of itself there."""
    connection = Connection(sock, peer.pid, node.reader.poller)
    connection.knowledge = Knowledge(peer.pid)
    connection.last_heard = monotonic()
    connection.borrower = _borrower(node, sock, said)
    if connection.borrower is not None:
        connection.borrower.connection = connection
        connection.borrower.habits = Habits()
        if "opens" in said:  # it has told us, and waits to be told
            connection.post(pack(OPENS, 0, b""))
    if said.get("opens"):
        connection.lender = Lender(node.pool)
    node.peers.attach(peer, connection)
    node.reader.add(connection)
    return connection


def _borrower(node: Node, sock: socket.socket, said: dict[str, Any]) -> Borrower | None:
    """Return what is needed to open the memory of a peer, None if it cannot be opened from here."""
    if "memory" not in said or not node.pool.offer(sock):
        return None
    try:
        return Borrower(said["memory"], node.returns)
    except (OSError, ValueError, TypeError):
        return None


def shared_memory(node: Node, sock: socket.socket, said: dict[str, Any]) -> dict[str, Any]:
    """Return what whoever has been dialled says of shared memory, once it knows what the other end has said."""
    return {**node.pool.offer(sock), "opens": _borrower(node, sock, said) is not None}


def members_of(node: Node) -> dict[str, Any]:
    """Return what the master tells everybody."""
    return {
        "members": [(peer.pid, peer.address) for peer in node.peers.connected()],
        "dead": node.peers.dead(),
        "topology": node.topology,
    }


def tell_members(node: Node) -> None:
    """Tell every worker who is in the cluster now."""
    frame = pack(MEMBERS, 0, pickle.dumps(members_of(node), 5))
    for peer in node.peers.connected():
        if peer.connection is not None:
            peer.connection.post(frame)


# ---- on a worker


def greet_peer(node: Node) -> tuple[socket.socket, str]:
    """Start to listen for other workers of this host; return the listener and its address."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address = abstract_address(f"{os.getpid()}-{os.urandom(8).hex()}")
    listener.bind(address)
    listener.listen(128)
    listener.setblocking(False)
    return listener, address.replace("\0", "@", 1)


def join(node: Node, sock: socket.socket, welcome: dict[str, Any], listener: socket.socket) -> None:
    """Take up the place in the cluster that the master has assigned."""
    node.topology = str(welcome["topology"])
    master = Peer(1, CONNECTED)
    node.peers.add(master)
    node.peers.dial = lambda peer: _dial(node, peer)
    node.peers.ask_master = lambda: update_members(node, node.fetch(node.ask_verb(1, WHO, None)))
    node.on_members = lambda members: update_members(node, members)

    def ready() -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            stranger, _ = listener.accept()
            threading.Thread(target=_receive_peer, args=(node, stranger), daemon=True).start()

    node.reader.add_other(listener.fileno(), ready)
    attach(node, master, sock, welcome)


def update_members(node: Node, told: dict[str, Any]) -> None:
    """Bring the list of peers up to date."""
    node.topology = told["topology"]
    alive = set()
    for pid, address in told["members"]:
        alive.add(pid)
        if pid != node.pid and node.peers.get(pid) is None:
            node.peers.revive(pid)
            node.store.revive(pid)
            peer = Peer(pid, CONNECTED)
            peer.address = address
            node.peers.add(peer)
    for pid, host, exitcode, signal in told["dead"]:
        if pid not in alive:
            bury(node, pid, ProcessExitedException(pid, exitcode, signal, host))
    for peer in node.peers.all():
        if peer.pid not in alive and peer.pid != 1:
            peer.state = TERMINATING  # on its way out: not listed, not called


def bury(node: Node, pid: int, why: ProcessExitedException) -> None:
    """A process is dead: its calls fail, what it held is free."""
    peer = node.peers.bury(pid, why)
    node.store.forget(pid)
    if peer is not None and peer.connection is not None:
        connection = peer.connection
        if not connection.closed:
            node.reader.remove(connection)
        node.fail_pending(connection, why)


def _dial(node: Node, peer: Peer) -> Connection:
    """Connect to another worker.

    Raises:
        ConnectionError: it cannot be reached; this process and that one live on.
    """
    if node.topology != "all_to_all":
        raise ConnectionError(f"peer {peer.pid} is not connected to {node.pid}. Topology : {node.topology}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_PATIENCE)
        sock.connect(str(peer.address).replace("@", "\0", 1))
        said = initiate(sock, node.cookie, {"pid": node.pid, **node.pool.offer(sock)}, _PATIENCE)
    except (OSError, HandshakeError) as error:
        sock.close()
        if isinstance(error, TimeoutError):
            raise ConnectionError(
                f"peer {peer.pid} didn't connect to {node.pid} within {_PATIENCE:g} seconds"
            ) from None
        raise ConnectionError(f"peer {peer.pid} cannot be reached from {node.pid}: {error}") from None
    return attach(node, peer, sock, said)


def _receive_peer(node: Node, sock: socket.socket) -> None:
    """Shake hands with somebody who has dialled us; in a thread of its own."""
    try:
        said = accept(sock, node.cookie, {"pid": node.pid}, _PATIENCE, functools.partial(shared_memory, node, sock))
    except (OSError, HandshakeError, ValueError, KeyError):
        sock.close()
        return
    pid = int(said["pid"])
    peer = node.peers.get(pid)
    if peer is None:
        # It has heard of us before we have heard of it.
        peer = Peer(pid, CONNECTED)
        node.peers.add(peer)
    attach(node, peer, sock, said)
