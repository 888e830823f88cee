"""What must stay true over many calls, many threads and fresh processes: no leaks, no mix-ups, ids that last."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import pydist
from pydist import Channel, RemoteChannel
from tests.core.bells import Bell
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import CellError, Session

pytestmark = pytest.mark.processes


def references_left(pids: list[int], most: int = 0) -> list[int]:
    """Return how many references each process knows, once the last releases have arrived and no more than so many."""

    def count() -> int:
        gc.collect()
        return len(pydist.refs())

    deadline = time.monotonic() + LIMIT
    while sum(left := [count(), *(pydist.remotecall_fetch(count, pid) for pid in pids)]) > most:
        if time.monotonic() > deadline:
            break
    return left


def hand_on(future: pydist.Future, pids: list[int], hops: int) -> Any:
    """Let a Future travel from worker to worker before it is fetched."""
    if not hops:
        return future.fetch(LIMIT)
    after = pids[(pids.index(pydist.myid()) + 1) % len(pids)]
    return pydist.remotecall_fetch(hand_on, after, future, pids, hops - 1)


def test_values_are_freed_when_the_last_holder_has_let_go(pids: list[int]) -> None:
    futures = [pydist.remotecall(list, pids[i % 3], range(i)) for i in range(60)]
    for i, future in enumerate(futures[:20]):
        assert pydist.remotecall_fetch(hand_on, pids[i % 3], future, pids, 3) == list(range(i))
    for future in futures[20:40]:
        future.fetch(LIMIT)
    channel = RemoteChannel(lambda: Channel(4), pids[1])
    channel.put(channel)  # a handle in its own channel, too
    channel.take(timeout=LIMIT)
    del futures, future, channel
    assert references_left(pids) == [0, 0, 0, 0]


def test_a_holder_that_dies_holds_nothing(pids: list[int], spare: Any) -> None:
    victim = spare()
    future = pydist.remotecall(list, pids[0], range(10))
    keep = pydist.remotecall_wait(lambda f: [f], victim, future)
    held = pydist.remotecall_fetch(lambda: [info.held_by for info in pydist.refs()], pids[0])
    assert any(victim in holders for holders in held)
    pydist.rmprocs(victim, waitfor=LIMIT)
    held = pydist.remotecall_fetch(lambda: [info.held_by for info in pydist.refs()], pids[0])
    assert not any(victim in holders for holders in held)
    del future, keep
    assert references_left(pids) == [0, 0, 0, 0]


def test_the_news_that_a_worker_has_ended_keeps_nothing(pids: list[int], spare: Callable[[], int]) -> None:
    doomed = spare()

    def body(i: int) -> None:
        if pydist.myid() == doomed:
            os._exit(3)

    loop = pydist.distributed(body, range(4))
    with pytest.raises(pydist.ProcessExitedException):
        loop.wait(LIMIT)
    with pytest.raises(pydist.ProcessExitedException):
        loop.fetch(LIMIT)
    del loop
    assert references_left(pids) == [0, 0, 0, 0]


def test_an_answer_that_nobody_reads_holds_nothing(own_session: Callable[..., Session], bell: Bell) -> None:
    session = own_session()
    session.run(
        f"""
def stubborn():
    try:
        with open({str(bell)!r}, "a") as bell: bell.write("x")
        time.sleep(60)
    except KeyboardInterrupt:
        pass
    return [pydist.RemoteChannel() for _ in range(3)]
"""
    )
    session.start("pydist.remotecall_fetch(stubborn, pydist.workers()[0])")
    bell.wait()
    session.interrupt()
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        session.finish()
    counted = session.run(
        """
def count():
    import gc
    gc.collect()
    return [(tuple(info.ref), info.kind, info.held_by) for info in pydist.refs()]
left, deadline = True, time.monotonic() + 10
while left and time.monotonic() < deadline:
    left = pydist.remotecall_fetch(count, pydist.workers()[0])
left
"""
    )
    assert counted == []


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_results_that_a_map_leaves_unread_hold_nothing(spare: Callable[[], int], batch_size: Any) -> None:
    def work(i: int) -> pydist.Future:
        if i == 20:
            raise ValueError(i)
        return pydist.remotecall(abs, pydist.myid(), i)

    # Workers of its own: what runs there is interrupted, and one that strikes at the first instruction of a finalizer
    # costs a reference (one map in thousands). Unread results would be hundreds.
    pool = [spare(), spare()]
    for _ in range(10):
        with pytest.raises(ValueError, match="20"):
            pydist.pmap(work, [0] * 20 + [20] + [0] * 40, batch_size=batch_size, pool=pool)
        results = pydist.pimap(work, [0] * 100, batch_size=batch_size, pool=pool)
        next(results)
        results.close()  # type: ignore[attr-defined]
    del results
    assert sum(references_left(pool, 1)) <= 1


def test_release_frees_at_once_and_with_does_too(pids: list[int]) -> None:
    with pydist.remotecall_wait(list, pids[0], range(10)) as future:
        assert len(pydist.remotecall_fetch(pydist.refs, pids[0])) == 1
    with pytest.raises(ValueError, match="no process with id 0"):
        future.fetch(LIMIT)
    assert references_left(pids) == [0, 0, 0, 0]


def test_a_thousand_blocked_calls_do_not_keep_out_another(pids: list[int]) -> None:
    gate = Gate(pids[0], "a thousand")
    blocked = [pydist.remotecall(gate.stand, pids[0], gate.name, i) for i in range(1000)]
    assert pydist.remotecall(pow, pids[0], 2, 10).fetch(LIMIT) == 1024
    gate.open()
    assert [future.fetch(LIMIT) for future in blocked] == list(range(1000))


def test_a_cancelled_sleep_is_back_at_once(pids: list[int]) -> None:
    gate = Gate(pids[0], "about to sleep")

    def sleep() -> None:
        gate.stand(gate.name)
        time.sleep(60)

    future = pydist.remotecall(sleep, pids[0])
    gate.wait_for_arrival()
    gate.open()
    began = time.monotonic()
    future.cancel()
    with pytest.raises(KeyboardInterrupt):
        future.fetch(LIMIT)
    assert time.monotonic() - began < 1.0  # 0.2 s on an idle machine


def test_restart_keeps_the_id_and_runs_the_log_again(pids: list[int], spare: Any) -> None:
    pid = spare()
    before = pydist.remotecall_fetch(os.getpid, pid)
    pydist.everywhere("import math\nanswer_of_test = math.floor(42.5)")
    waiting = pydist.remotecall(time.sleep, pid, LIMIT)
    pydist.restart(pid)
    with pytest.raises(pydist.ProcessExitedException):
        waiting.fetch(LIMIT)
    assert pydist.remotecall_fetch(os.getpid, pid) != before
    assert pydist.everywhere("answer_of_test", pid) == 42
    # Other workers find the new one under the old id.
    assert pydist.remotecall_fetch(lambda: pydist.remotecall_fetch(pydist.myid, pid), pids[0]) == pid
    with pytest.raises(ValueError, match="process 1 cannot restart itself"):
        pydist.restart(1)
    with pytest.raises(ValueError, match="no process with id 99 exists"):
        pydist.restart(99)


@pytest.mark.slow
def test_threads_of_all_processes_call_each_other_without_mixing_anything_up(pids: list[int]) -> None:
    """Two threads in each process call the others by calls, Futures and a channel."""
    seconds = 20.0
    counts = RemoteChannel(lambda: Channel(1000))

    def storm(me: int, until: float) -> int:
        others = [pid for pid in [1, *pids] if pid != me]
        failures: list[BaseException] = []
        done = [0, 0]

        def run(number: int) -> None:
            i = 0
            try:
                while time.time() < until:
                    i += 1
                    pid = others[i % len(others)]
                    assert pydist.remotecall_fetch(divmod, pid, i, 7) == divmod(i, 7)
                    future = pydist.remotecall(pow, pid, i, 2)
                    assert future.fetch(LIMIT) == i * i
                    if i % 50 == 0:
                        counts.put((me, number), timeout=LIMIT)
                    done[number] = i
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + LIMIT)
        if failures:
            raise failures[0]
        return sum(done)

    until = time.time() + seconds
    storms = [pydist.remotecall(storm, pid, pid, until) for pid in pids]
    drained = 0
    here = pydist.remotecall(storm, 1, 1, until)
    while not (here.done() and all(future.done() for future in storms)):
        try:
            counts.take(timeout=0.2)
            drained += 1
        except TimeoutError:
            continue
    assert all(future.fetch(LIMIT) > 50 for future in [*storms, here])
    assert drained


def test_ctrl_c_that_a_finalizer_swallows_comes_again(own_session: Callable[..., Session], bell: Bell) -> None:
    session = own_session()
    session.start(
        f"""
class Deaf:
    def __del__(self):
        with open({str(bell)!r}, "a") as bell: bell.write("x")
        time.sleep(60)
Deaf()
pydist.remotecall_fetch(time.sleep, pydist.workers()[0], 60)
"""
    )
    bell.wait()
    session.interrupt()  # ends the first sleep, and Python goes on
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        session.finish()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_threads_that_have_waited_leave_no_descriptors(pids: list[int]) -> None:
    def work() -> None:
        assert pydist.remotecall_fetch(abs, pids[0], -1) == 1
        assert pydist.pmap(abs, [-1, -2, -3]) == [1, 2, 3]

    def in_threads(n: int) -> int:
        for _ in range(n):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(LIMIT)
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = in_threads(3)
    assert in_threads(20) < before + 10


@pytest.mark.parametrize("how", ["import numpy; data = numpy.ones(300_000)", "class Held(list): pass\ndata = Held()"])
def test_what_everywhere_has_defined_is_freed_when_the_name_is_deleted(how: str, own_session: Any) -> None:
    session = own_session()
    session.run(f"pydist.everywhere({how!r})")
    session.run("pydist.everywhere('import weakref, gc; seen = weakref.ref(data)')")
    session.run("pydist.everywhere('del data')")
    freed = "[pydist.remotecall_eval('__main__', pid, 'gc.collect(); seen() is None') for pid in pydist.procs()]"
    assert session.run(freed) == [True] * 3


def test_a_list_that_was_inserted_is_freed_when_its_name_is_deleted(own_session: Any) -> None:
    session = own_session()
    session.run("class Part: pass\nimport weakref, gc\npart = Part(); seen = weakref.ref(part)")
    session.run("table = [part]; pydist.everywhere('data = $table')")
    session.run("pydist.everywhere_log().clear()\ndel part, table")
    session.run("pydist.everywhere('del data')")
    assert session.run("gc.collect(); seen() is None") is True
