"""Calls that do not listen to an interrupt: the caller is free at once, and it stays known that they go on."""

from __future__ import annotations

import threading
import time

import pytest

import pydist
from tests.core.gates import LIMIT, Gate

pytestmark = pytest.mark.processes


def stubborn(name: str, presses: int) -> str:
    """Stand at a gate, deaf to so many interrupts."""
    came, opened = (
        vars(threading).setdefault("_gates_of_tests", {}).setdefault(name, (threading.Event(), threading.Event()))
    )
    heard = 0
    came.set()
    while not opened.is_set():
        try:
            opened.wait(0.05)  # an interrupt is heard between two of them, in any thread
        except KeyboardInterrupt:
            heard += 1
            if heard > presses:
                raise
    return "went its way"


def start(pid: int, name: str, presses: int) -> pydist.Future:
    future = pydist.remotecall(stubborn, pid, name, presses)
    Gate(pid, name).wait_for_arrival()
    return future


def wait_for_strays(pid: int, wanted: int) -> None:
    deadline = time.monotonic() + LIMIT
    while (now := pydist.worker_info(pid)).strays != wanted or now.running != wanted:
        assert time.monotonic() < deadline
        pydist.remotecall_fetch(abs, pid, -1)


def test_its_caller_is_free_and_the_worker_is_known_to_be_busy(pids: list[int]) -> None:
    future = start(pids[0], "deaf", 5)
    future.cancel()
    with pytest.raises(KeyboardInterrupt, match="does not listen"):
        future.fetch(LIMIT)
    wait_for_strays(pids[0], 1)
    assert pydist.frontend.strays() == {pids[0]: 1}
    Gate(pids[0], "deaf").open()
    wait_for_strays(pids[0], 0)
    assert pydist.frontend.strays() == {}


def test_a_second_interrupt_strikes_it_again(pids: list[int]) -> None:
    future = start(pids[0], "hard of hearing", 1)
    future.cancel()
    with pytest.raises(KeyboardInterrupt):
        future.fetch(LIMIT)
    wait_for_strays(pids[0], 1)
    deadline = time.monotonic() + LIMIT
    while pydist.worker_info(pids[0]).strays:
        assert time.monotonic() < deadline
        pydist.interrupt(pids[0])
        pydist.remotecall_fetch(abs, pids[0], -1)
