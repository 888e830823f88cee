"""A worker that does not keep up with what it is sent: its sender waits, and nothing hangs for it."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable

import pytest

import pydist
from pydist._runtime import load
from pydist._runtime.current import current_node
from pydist._runtime.load import Load
from tests.core.gates import LIMIT, Gate

pytestmark = pytest.mark.processes

MB = 1 << 20


def test_what_is_answered_makes_room() -> None:
    pending: list[None] = []
    work = Load(pending)
    full = []
    for rid in range(65):
        full.append(work.is_full)
        work.add(rid, MB)
    full.append(work.is_full)
    work.take_off(7)
    work.take_off(7)
    full.append(work.is_full)
    pending += [None] * 10_000
    full.append(work.is_full)
    assert full == [*[False] * 65, True, False, True]


def peak() -> int:
    """Return the most memory that this process has ever used, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def first_byte(name: str, data: bytes) -> int:
    return int(Gate.stand(name, data[0]))


def test_of_200_mb_for_a_slow_worker_no_more_than_a_part_lies_there(
    spare: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "PATIENCE", LIMIT)
    pid = spare()
    gate = Gate(pid, "slow")
    before = pydist.remotecall_fetch(peak, pid)
    connection = current_node().peers.connection(pid)
    futures: list[pydist.Future] = []

    def send() -> None:
        futures.extend(pydist.remotecall(first_byte, pid, "slow", bytes([i]) * MB) for i in range(200))

    sender = threading.Thread(target=send)
    sender.start()
    beat = threading.Event()
    while not connection.load.is_full:
        assert not beat.wait(0.001)
    # What is small goes through meanwhile, so the worker can be asked, and helped.
    assert pydist.remotecall_fetch(abs, pid, -1) == 1
    assert len(connection.pending) < 70
    assert sender.is_alive()
    gate.open()
    sender.join(LIMIT)
    assert [future.fetch(LIMIT) for future in futures] == list(range(200))
    assert pydist.remotecall_fetch(peak, pid) - before < 150


def test_what_waits_for_something_that_the_sender_does_next_is_not_waited_for_for_ever(
    spare: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.01)
    pid = spare()
    gate = Gate(pid, "next")
    futures = [pydist.remotecall(gate.stand, pid, "next", bytes(MB)) for _ in range(90)]
    gate.open()
    assert [len(future.fetch(LIMIT)) for future in futures] == [MB] * 90


def both(pid: int, data: bytes, depth: int) -> int:
    """Call each other to and fro, with much to carry."""
    if not depth:
        return len(data)
    futures = [pydist.remotecall(both, pid, pydist.myid(), data, depth - 1) for _ in range(3)]
    return sum(future.fetch(LIMIT) for future in futures)


def test_two_workers_that_call_each_other_with_much_do_not_hang(
    pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.01)
    a, b, _ = pids
    data = bytes(4 * MB)
    futures = [pydist.remotecall(both, a, b, data, 2), pydist.remotecall(both, b, a, data, 2)]
    assert [future.fetch(LIMIT) for future in futures] == [9 * len(data)] * 2
