"""Ctrl-C in a script's pmap: it ends soon, and the cluster is as good as before."""

from __future__ import annotations

import time

import pytest

from tests.core.bells import Bell
from tests.core.sessions import CellError, Session

pytestmark = pytest.mark.processes

#: Within a second, says the contract; a loaded machine is given more.
SOON = 5.0

WORK = {
    "sleeps": "time.sleep(60)",
    "computes": "x = 0\n    while True:\n        x += 1",
    "waits for another": "pydist.remotecall_fetch(time.sleep, 5 - pydist.myid(), 60)",
    "prints": "while True:\n        print('line')",
}


def check_that_it_is_usable(session: Session) -> None:
    assert session.run("pydist.frontend.running()") == {}
    assert session.run("pydist.pmap(abs, [-1, -2, -3])") == [1, 2, 3]
    assert session.run("pydist.workers()") == session.pids


def interrupted(session: Session, source: str, bell: Bell, rings: int = 2) -> None:
    session.start(source)
    bell.wait(rings)
    before = time.monotonic()
    session.interrupt()
    with pytest.raises(CellError) as caught:
        session.finish()
    assert caught.value.kind == "KeyboardInterrupt"
    assert time.monotonic() - before < SOON


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_it_ends_whatever_the_workers_do(work: str, session: Session, bell: Bell) -> None:
    source = f"""
def work(i):
    with open({str(bell)!r}, "a") as bell: bell.write("x")
    {work}
pydist.pmap(work, range(100))
"""
    interrupted(session, source, bell)
    check_that_it_is_usable(session)


def test_only_its_own_calls_are_interrupted(session: Session, bell: Bell) -> None:
    session.run(
        """
import threading
def stand():
    vars(threading)["gate_of_other"] = gate = threading.Event()
    with open(BELL, "a") as bell: bell.write("o")
    return gate.wait(20)
other = pydist.remotecall(stand, pydist.workers()[0])
""".replace("BELL", repr(str(bell)))
    )
    assert bell.wait() == "o"
    source = f"""
def work(i):
    with open({str(bell)!r}, "a") as bell: bell.write("x")
    time.sleep(60)
pydist.pmap(work, range(100))
"""
    interrupted(session, source, bell)
    session.run("pydist.remotecall_fetch(lambda: vars(threading)['gate_of_other'].set(), pydist.workers()[0])")
    assert session.run("other.fetch(20)") is True


def test_an_endless_input_ends_too(session: Session, bell: Bell) -> None:
    source = f"""
import itertools
def work(i):
    if i < 2:
        with open({str(bell)!r}, "a") as bell: bell.write("x")
    return i
pydist.pmap(work, itertools.count(), batch_size="auto")
"""
    interrupted(session, source, bell)
    check_that_it_is_usable(session)


def test_every_worker_is_interrupted_each_time(session: Session) -> None:
    session.run(
        """
import signal
started, told = (pydist.RemoteChannel(lambda: pydist.Channel(float("inf"))) for _ in range(2))
def work(i):
    try:
        started.put(i)
        time.sleep(60)
    except KeyboardInterrupt:
        told.put(pydist.myid())
        raise
def press():
    for pid in pydist.workers(): started.take()
    os.kill(os.getpid(), signal.SIGINT)
"""
    )
    for _ in range(20):
        source = "import os, threading; threading.Thread(target=press).start(); pydist.pmap(work, range(4))"
        with pytest.raises(CellError) as caught:
            session.run(source)
        assert caught.value.kind == "KeyboardInterrupt"
        assert session.run("sorted(told.take(timeout=10) for pid in pydist.workers())") == session.pids
    check_that_it_is_usable(session)


@pytest.mark.parametrize("verb", ["remotecall_eval('__main__', pydist.workers(), {0})", "everywhere({0})"])
def test_code_for_many_is_interrupted_on_all_of_them(verb: str, session: Session, bell: Bell) -> None:
    code = (
        "import time, pydist\n"
        "if pydist.myid() != 1:\n"
        f"    with open({str(bell)!r}, 'a') as bell: bell.write('x')\n"
        "    time.sleep(60)"
    )
    interrupted(session, "pydist." + verb.format(repr(code)), bell)
    assert session.run("pydist.frontend.wait_idle(10)")
    check_that_it_is_usable(session)
