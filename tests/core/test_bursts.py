"""Many calls sent in a row: they go out in groups, and so do their answers; nobody notices but by the speed."""

from __future__ import annotations

import operator
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import pydist
from pydist import remotecall, remotecall_fetch
from pydist._runtime.current import current_node
from tests.core.bells import Bell
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import CellError, Session

pytestmark = pytest.mark.processes

MANY = 3_000


def _say(path: str, i: int) -> int:
    with open(path, "a") as bell:
        bell.write("x")
    return i


def _stand_if(gate: str | None, i: int) -> int:
    if gate is not None:
        Gate.stand(gate)
    return i


def _note(i: int) -> None:
    vars(threading).setdefault("_noted_by_tests", []).append(i)


def _noted() -> list[int]:
    return vars(threading).pop("_noted_by_tests", [])  # type: ignore[no-any-return]


def test_each_call_has_its_own_answer(pids: list[int]) -> None:
    futures = [remotecall(operator.neg, pids[i % len(pids)], i) for i in range(MANY)]
    assert [f.fetch() for f in futures] == [-i for i in range(MANY)]


def test_no_call_is_lost_among_those_of_other_kinds(pids: list[int]) -> None:
    first = pids[0]
    for i in range(600):
        [remotecall, pydist.remote_do, remotecall, remotecall_fetch][i % 97 % 4](_note, first, i)
        if i % 50 == 0:
            pydist.everywhere("pass", [first])
    remotecall_fetch(abs, first, 0)
    pydist.refs()
    assert sorted(remotecall_fetch(_noted, first)) == list(range(600))


def test_what_is_held_back_goes_out_though_nobody_waits(pids: list[int], bell: Bell) -> None:
    futures = [remotecall(_say, pids[0], str(bell), i) for i in range(201)]
    bell.wait(201)  # this thread reads nothing and waits for nothing
    assert [f.fetch() for f in futures] == list(range(201))


@pytest.mark.parametrize("last", [0, 1], ids=["another function", "the same function"])
def test_an_answer_is_not_held_back_by_a_call_that_lasts(last: int, pids: list[int]) -> None:
    gate = Gate(pids[0], f"burst-{last}")
    before = [remotecall(_stand_if, pids[0], None, i) for i in range(100)]
    standing = remotecall(_stand_if, pids[0], gate.name, 100) if last else gate.start(100)
    after = [remotecall(_stand_if, pids[0], None, i) for i in range(101, 200)]
    try:
        assert [f.fetch(timeout=LIMIT) for f in (*before, *after)] == [*range(100), *range(101, 200)]
        assert not standing.isready()
    finally:
        gate.wait_for_arrival()
        gate.open()
    assert standing.fetch(timeout=LIMIT) == 100


def test_callbacks_come_though_nobody_waits(pids: list[int]) -> None:
    left, done = threading.Semaphore(0), []

    def note(future: Any) -> None:
        done.append(future.fetch())
        left.release()

    for i in range(500):
        remotecall(operator.neg, pids[i % 2], i).add_done_callback(note)
    for _ in range(500):
        assert left.acquire(timeout=LIMIT)
    assert sorted(done) == sorted(-i for i in range(500))


def test_several_threads_send_at_once(pids: list[int]) -> None:
    results: dict[int, list[Any]] = {}

    def send(k: int) -> None:
        futures = [remotecall(operator.add, pids[i % 2], 1000 * k, i) for i in range(1000)]
        results[k] = [f.fetch() for f in futures]

    threads = [threading.Thread(target=send, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert results == {k: [1000 * k + i for i in range(1000)] for k in range(4)}


def test_what_was_done_before_another_function_ended_the_process_has_its_answer(spare: Callable[[], int]) -> None:
    pid = spare()
    done = [remotecall(operator.neg, pid, i) for i in range(200)]
    end = remotecall(os.kill, pid, remotecall_fetch(os.getpid, pid), signal.SIGKILL)
    with pytest.raises(pydist.ProcessExitedException):
        end.fetch(timeout=LIMIT)
    assert [f.fetch(timeout=LIMIT) for f in done] == [-i for i in range(200)]


def test_all_fail_that_were_under_way_when_the_process_ended(spare: Callable[[], int]) -> None:
    pid = spare()
    process = remotecall_fetch(os.getpid, pid)
    gate = Gate(pid, "end of a burst")
    futures = [gate.start(), *[remotecall(_stand_if, pid, gate.name, i) for i in range(50)]]
    gate.wait_for_arrival()
    os.kill(process, signal.SIGKILL)
    for future in futures:
        assert isinstance(future.exception(timeout=LIMIT), pydist.ProcessExitedException)
    with pytest.raises(pydist.ProcessExitedException):
        remotecall(abs, pid, 1)


def test_a_stream_that_nobody_reads_for_long_goes_back(pids: list[int], bell: Bell) -> None:
    futures = [remotecall(_say, pids[0], str(bell), i) for i in range(100)]
    bell.wait(100)
    connection = current_node().peers.connection(pids[0])
    ready = threading.Semaphore(0)
    for future in futures:
        future.when_ready(ready.release)
    for _ in futures:
        assert ready.acquire(timeout=LIMIT)
    assert not connection.parked


def test_workers_send_bursts_to_each_other(session: Session) -> None:
    session.run(
        "def relay(target, n):\n"
        "    futures = [pydist.remotecall(abs, target, -i) for i in range(n)]\n"
        "    return [f.fetch() for f in futures]\n"
    )
    ask = "pydist.remotecall_fetch(relay, pydist.workers()[0], pydist.workers()[1], 2000)"
    assert session.run(ask) == list(range(2000))


def test_an_interrupted_burst_leaves_a_stream_that_works(session: Session, bell: Bell) -> None:
    session.run("import operator\nfirst = pydist.workers()[0]")
    session.start(
        f"bell = open({str(bell)!r}, 'w')\n"
        "i = 0\n"
        "while True:\n"
        "    last = pydist.remotecall(operator.neg, first, i)\n"
        "    i += 1\n"
        "    if i == 2000: print('x', file=bell, end='', flush=True)\n"
    )
    bell.wait()
    session.interrupt()
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        session.finish()
    assert session.run("pydist.remotecall_fetch(operator.neg, first, 7)") == -7
    assert session.run("[pydist.remotecall(operator.neg, first, i) for i in range(500)][-1].fetch()") == -499


def test_no_call_stays_under_way_wherever_an_interrupt_strikes(session: Session) -> None:
    session.run(
        "import operator, os, signal\n"
        "def call_until_interrupted(seconds):\n"
        "    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))\n"
        "    signal.setitimer(signal.ITIMER_REAL, seconds)\n"
        "    try:\n"
        "        while True:\n"
        "            pydist.remotecall(operator.neg, pydist.workers()[0], 1)\n"
        "    except KeyboardInterrupt:\n"
        "        return pydist.frontend.wait_idle(5)\n"
    )
    assert session.run("all(call_until_interrupted(0.002 + 0.00013 * i) for i in range(100))")
