"""What would grow with the square of the number of workers, or with the length of the log, does not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

import pydist
from pydist import _removal
from pydist._runtime import joining
from pydist._runtime.current import current_node
from pydist._runtime.node import Node
from tests.core.gates import LIMIT
from tests.core.sessions import Session

pytestmark = pytest.mark.processes

MANY = 6


@pytest.fixture
def many(pids: list[int]) -> Iterator[list[int]]:
    """Return workers that the test may kill."""
    added = pydist.addprocs(MANY)
    yield added
    pydist.rmprocs(added, waitfor=10)


def test_of_many_that_end_at_once_the_others_are_told_together(
    many: list[int], pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, tell = current_node(), joining.tell_members
    rounds: list[None] = []
    everybody_is_buried = threading.Event()
    departed: list[int] = []

    def note(pid: int) -> None:
        departed.append(pid)
        if set(many) <= set(departed):
            everybody_is_buried.set()

    def slowly(node: Node) -> None:
        rounds.append(None)
        assert everybody_is_buried.wait(LIMIT)
        tell(node)

    monkeypatch.setattr(_removal, "tell_members", slowly)
    node.departed.append(note)
    ends = [peer.gone for pid in many if (peer := node.peers.get(pid)) is not None]
    try:
        for ospid in [pydist.worker_info(pid).ospid for pid in many]:
            os.kill(ospid or 0, signal.SIGKILL)
        assert all(gone.wait(LIMIT) for gone in ends)
    finally:
        node.departed.remove(note)
    assert len(rounds) <= 2
    for pid in pids:
        assert set(many).isdisjoint(pydist.remotecall_fetch(pydist.workers, pid))


def test_a_worker_that_joins_later_gets_the_whole_log_at_once(own_session: Callable[..., Session]) -> None:
    session = own_session(1)
    session.run("for i in range(20):\n    pydist.everywhere(f'n{i} = {i}')\npid, = pydist.addprocs(1)")
    assert session.run("pydist.worker_info(pid).done") < 5
    assert session.run("pydist.fetchfrom(pid, lambda: [n0, n19])") == [0, 19]


def test_what_the_log_defines_and_what_it_inserts_keep_their_order(own_session: Callable[..., Session]) -> None:
    session = own_session(1)
    session.run(
        "pydist.everywhere('import math\\nclass Point:\\n    pass')\n"
        "pydist.everywhere('p = $p; same = type(p) is Point', p=Point())\n"
        "pydist.everywhere('q = [same, type(p) is Point, math.pi > 3]')\n"
        "pid, = pydist.addprocs(1)"
    )
    assert session.run("pydist.fetchfrom(pid, lambda: q)") == [True, True, True]


def test_a_statement_of_the_log_that_fails_is_told(own_session: Callable[..., Session]) -> None:
    session = own_session(1)
    session.run("pydist.everywhere('import os; first = 1')\npydist.everywhere('os.first = first')")
    session.run("del pydist.everywhere_log()[0]")
    session.run(
        "try:\n    pydist.addprocs(1)\nexcept Exception as error:\n    said = repr(error)\nelse:\n    said = ''"
    )
    assert "NameError" in session.run("said")
