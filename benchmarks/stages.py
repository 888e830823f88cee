"""Where the microseconds of a no-op call go, stage by stage.

    python -m benchmarks.stages [--calls 2000] [--rounds 15] [--markdown]

Both ends live in this one process, and each stage is run by itself, many times: what the product does in it, without
the system's part (sending, waking, switching), which is measured apart by a bare ping-pong. The best round counts.
Three kinds of call: ``remotecall_fetch``, ``remotecall`` (its result stays there: references are counted), and one item
of a ``pmap``.
"""

from __future__ import annotations

import argparse
import os
import pickle
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks import work
from pydist._protocol.frames import CALL, EACH, KEEP, MAP, RESULT, Frame, FrameParser, pack
from pydist._runtime.connection import Connection
from pydist._runtime.current import set_default_node
from pydist._runtime.knowledge import Knowledge
from pydist._runtime.node import Node
from pydist._runtime.peers import Peer
from pydist._runtime.pickling import is_plain
from pydist._runtime.shield import MAIN
from pydist._runtime.slots import Slot
from pydist.worker import _Output

#: The number that the function has at the peer.
_NUMBER = 1
#: So many items of a map go into a message.
_TOGETHER = 50


class Silent(Connection):
    """A stream that swallows what is written: the system's part is measured apart."""

    def send(self, data: bytes, buffers: Any = ()) -> None:
        """Do nothing."""

    def hold(self, *data: bytes | memoryview) -> None:
        """Do nothing."""


def end(pid: int, peer: int) -> tuple[Node, Connection]:
    """Return a process of a cluster and its stream to another."""
    node = Node(pid)
    ours, _ = socket.socketpair()
    connection = Silent(ours, peer, node.reader.poller)
    connection.knowledge = Knowledge(peer)
    connection.knowledge.received[_NUMBER] = work.noop
    node.peers.attach(Peer(peer), connection)
    return node, connection


def handle_all(node: Node, connection: Connection, frames: list[Frame]) -> None:
    """Let a node take frames in."""
    for frame in frames:
        node._handle(connection, frame)


class Stages:
    """The best time of each stage, in microseconds for one call."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.best: dict[str, float] = {}

    def time(self, name: str, stage: Callable[[], Any]) -> Any:
        """Run a stage for all calls; return what it returns."""
        start = perf_counter()
        value = stage()
        took = 1e6 * (perf_counter() - start) / self.calls
        self.best[name] = min(took, self.best.get(name, took))
        return value

    def ping_pong(self) -> None:
        """Send a hundred bytes to another process and back, blocking."""
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            ours.close()
            while data := theirs.recv(100):
                theirs.send(data)
            os._exit(0)
        theirs.close()

        def play() -> None:
            for _ in range(self.calls):
                ours.send(b"x" * 100)
                ours.recv(100)

        self.time("system: there and back, blocking", play)
        ours.close()
        os.waitpid(child, 0)

    def caller(self, node: Node, connection: Connection) -> None:
        """Make requests, and take in their answers."""
        n = range(self.calls)
        plain = self.time("caller: look whether the arguments are plain", lambda: [is_plain(i) for i in n])
        assert all(plain)
        bodies = self.time("caller: pickle", lambda: [pickle.dumps(((i,), {}), 5) for i in n])
        self.time("caller: frame", lambda: [pack(CALL, i, bodies[i], _NUMBER, 0, 0) for i in n])
        slots = self.time("caller: place for the answer, origin", lambda: [self._slot(node, connection) for _ in n])
        for slot in slots:
            connection.pending[slot.rid] = slot
        answers = b"".join(pack(RESULT, slot.rid, pickle.dumps(0, 5)) for slot in slots)
        frames = self.time("caller: parse the answers", lambda: FrameParser().feed(answers))
        self.time("caller: settle", lambda: handle_all(node, connection, frames))
        self.time("caller: unpickle", lambda: [node.value_of(slot) for slot in slots])

    @staticmethod
    def _slot(node: Node, connection: Connection) -> Slot:
        return Slot(node.next_id(), connection, node.origin())

    def worker(self, node: Node, connection: Connection, kind: str, flags: int) -> None:
        """Take requests in, run and answer them."""
        n = range(self.calls)
        bodies: list[Any] = [((i,), {}) for i in n]
        if flags & MAP:
            bodies = [[*n[i : i + _TOGETHER]] for i in n[::_TOGETHER]]
        requests = b"".join(pack(CALL, node.next_id(), pickle.dumps(body, 5), _NUMBER, 0, flags) for body in bodies)
        frames: list[Frame] = self.time(f"worker, {kind}: parse", lambda: FrameParser().feed(requests))
        self.time(f"worker, {kind}: take in", lambda: handle_all(node, connection, frames))
        lanes = node.lanes

        def run() -> None:
            while lanes.inbox:
                call = lanes.inbox.popleft()
                assert lanes.turns.begin(call)
                node.executor.run(call)
                lanes.turns.end(call)

        self.time(f"worker, {kind}: run and answer", run)
        node.store.entries.clear()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=15, help="the best of them counts")
    parser.add_argument("--markdown", action="store_true", help="as a table for a document")
    options = parser.parse_args()
    stages = Stages(options.calls)
    master, to_worker = end(1, 2)
    worker, to_master = end(2, 1)
    read, _ = os.pipe()
    worker.output = _Output(worker, read)
    MAIN.up = True
    for _ in range(options.rounds):
        stages.ping_pong()
        set_default_node(master)
        stages.caller(master, to_worker)
        set_default_node(worker)
        for kind, flags in (("remotecall_fetch", 0), ("remotecall", KEEP), ("item of a pmap", MAP | EACH)):
            stages.worker(worker, to_master, kind, flags)
    for name, value in stages.best.items():
        print(f"| {name} | {value:.2f} |" if options.markdown else f"{value:7.2f}  {name}")


if __name__ == "__main__":
    main()
