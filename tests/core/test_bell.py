"""The watch thread of a worker is woken when it is needed, and not for calls that end in time."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import pydist
from pydist._runtime.bell import Bell, _LockBell, make_bell
from pydist._runtime.poller import READ, make_poller
from tests.core.gates import LIMIT, Gate

#: The watch thread used to look 50 times more after each call.
SWITCHES = 12


@pytest.fixture
def rung() -> Any:
    """Return a poller, what makes it ready, its bell, and what is set when that has rung."""
    poller, (read, write) = make_poller(), os.pipe()
    poller.register(read, READ)
    bell, heard = make_bell(poller), threading.Event()

    def listen() -> None:
        bell.wait()
        heard.set()

    listening = threading.Thread(target=listen, daemon=True)
    yield lambda: os.write(write, b"x"), bell, heard, listening
    bell.ring()
    listening.join(LIMIT)
    os.close(read)
    os.close(write)


def test_an_armed_bell_rings_when_something_comes_in(rung: Any) -> None:
    come_in, bell, heard, listening = rung
    bell.arm()
    listening.start()
    come_in()
    assert heard.wait(LIMIT)


def test_it_rings_at_once_if_something_is_there_already(rung: Any) -> None:
    come_in, bell, heard, listening = rung
    come_in()
    listening.start()
    bell.arm()
    assert heard.wait(LIMIT)


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="elsewhere it rings for every call")
def test_a_disarmed_bell_is_silent(rung: Any) -> None:
    come_in, bell, heard, listening = rung
    bell.arm()
    bell.disarm()
    listening.start()
    come_in()
    assert not heard.wait(0.05)


@pytest.mark.parametrize("make", [lambda: make_bell(make_poller()), _LockBell])
def test_whoever_rings_before_anybody_waits_is_heard(make: Any) -> None:
    bell: Bell = make()
    bell.ring()
    bell.ring()
    bell.wait()


def switches(pid: int) -> int:
    """Return how often the threads of a process were switched to."""
    return sum(int((task / "schedstat").read_text().split()[2]) for task in Path(f"/proc/{pid}/task").iterdir())


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not tell")
def test_a_worker_is_woken_once_or_twice_for_a_call_out_of_the_blue(pids: list[int]) -> None:
    pid = pids[0]
    ospid = pydist.remotecall_fetch(os.getpid, pid)
    calls = 10

    never = threading.Event()

    def call_after_a_pause() -> None:
        never.wait(0.06)  # what a worker does in this time is what is measured
        pydist.remotecall_fetch(abs, pid, -1)

    for _ in range(6):  # until nobody tries any more whether the next one follows at once
        call_after_a_pause()
    before = switches(ospid)
    for _ in range(calls):
        call_after_a_pause()
    assert switches(ospid) - before < SWITCHES * calls


@pytest.mark.processes
def test_what_comes_in_while_a_first_call_lasts_is_run_beside_it(pids: list[int]) -> None:
    gate = Gate(pids[0], "bell")
    threading.Event().wait(0.06)  # it rests
    lasting = gate.start(7)
    assert pydist.remotecall(abs, pids[0], -1).fetch(LIMIT) == 1
    gate.open()
    assert lasting.fetch(LIMIT) == 7
