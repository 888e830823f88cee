"""The list of the other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pydist import ProcessExitedException
from pydist._runtime.peers import CONNECTED, TERMINATING, Peer, Peers

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection

KILLED = ProcessExitedException(2, None, 9)


def no_dialling(peer: Peer) -> Connection:
    raise AssertionError(f"{peer.pid} was dialled")


class Dying(dict[int, Peer]):
    """The living. Whoever is looked for is buried in the moment before."""

    peers: Peers

    def get(self, pid: int, default: object = None) -> Peer | None:  # type: ignore[override]
        self.peers.bury(pid, KILLED)
        return super().get(pid)


def test_who_is_buried_while_it_is_looked_for_is_dead_and_not_unknown() -> None:
    peers = Peers(no_dialling)
    peers._peers = Dying({2: Peer(2, TERMINATING)})
    peers._peers.peers = peers
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        peers.connection(2)


def test_the_master_is_asked_about_a_process_that_nobody_knows() -> None:
    peers = Peers(no_dialling)
    asked: list[str] = []
    peers.ask_master = lambda: asked.append("asked")
    with pytest.raises(ValueError, match="no process with id 2 exists"):
        peers.connection(2)
    assert asked == ["asked"]


def test_what_the_master_says_counts_also_when_it_is_a_death() -> None:
    peers = Peers(no_dialling)
    peers.ask_master = lambda: (peers.bury(2, KILLED), None)[1]
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        peers.connection(2)


def test_nobody_is_asked_about_the_dead() -> None:
    peers = Peers(no_dialling)
    peers.add(Peer(2, CONNECTED))
    peers.bury(2, KILLED)
    peers.ask_master = lambda: pytest.fail("asked")
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        peers.connection(2)
