"""How workers come and go: ids, reasons, last words; and that none outlives its master, whatever it is doing."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pydist
from pydist import frontend
from tests.core.bells import Bell
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import CellError, Session, stopped

pytestmark = pytest.mark.processes

ROOT = Path(pydist.__file__).parents[1]

MASTER = """
import sys, os
sys.path.insert(0, sys.argv[1])
import pydist
pids = pydist.addprocs(2)
print(*[pydist.remotecall_fetch(os.getpid, pid) for pid in pids], flush=True)
told = sys.argv[2]
{work}
def spin():
    with open(told, "a") as file:
        file.write("begun ")
    busy()
for pid in pids:
    pydist.remotecall(spin, pid)
sys.stdin.read()
"""
WORK = {
    "sleeping": "import time\ndef busy(): time.sleep(600)",
    "in a tight loop": "def busy():\n    while True: pass",
    "in C code that keeps the interpreter": "import re\ndef busy(): re.match(r'(a*)*b', 'a' * 40)",
}


def is_alive(ospid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{ospid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second one if it goes while it is read
        return False


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_workers_end_with_a_master_that_is_killed(work: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "master.py"
    script.write_text(MASTER.replace("{work}", work))
    master = subprocess.Popen(
        [sys.executable, script, ROOT, told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert master.stdout is not None
    assert master.stdin is not None
    ospids = [int(word) for word in master.stdout.readline().split()]
    try:
        deadline = time.monotonic() + LIMIT
        while not told.exists() or told.read_text().count("begun") < 2:
            assert time.monotonic() < deadline
            os.sched_yield()
        handles = [os.pidfd_open(ospid) for ospid in ospids]
        os.kill(master.pid, signal.SIGKILL)
        master.wait(LIMIT)
        deadline = time.monotonic() + 5
        for handle in handles:
            assert select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0], "a worker is left"
            os.close(handle)
    finally:
        for ospid in ospids:
            if is_alive(ospid):
                os.kill(ospid, signal.SIGKILL)
        master.stdin.close()
        master.stdout.close()


def start_a_family(own_session: bool = False) -> tuple[int, list[int]]:
    """Start a shell that starts others, as a careless cell does; return the worker's process id, and theirs."""
    import subprocess

    shell = "sleep 600 & echo $!; sh -c 'sleep 600 & echo $!; wait' & echo $!; wait"
    family = subprocess.Popen(
        ["sh", "-c", shell], stdout=subprocess.PIPE, text=True, start_new_session=own_session, bufsize=1
    )
    assert family.stdout is not None
    return os.getpid(), [family.pid, *(int(family.stdout.readline()) for _ in range(3))]


@pytest.mark.parametrize("how", ["removed", "killed", "restarted", "exited"])
def test_what_a_worker_has_started_ends_with_it(pids: list[int], how: str) -> None:
    (worker,) = pydist.addprocs(1)
    ospid, family = pydist.remotecall_fetch(start_a_family, worker)
    handles = [os.pidfd_open(member) for member in family]
    if how == "removed":
        pydist.rmprocs(worker, waitfor=LIMIT)
    elif how == "killed":
        os.kill(ospid, signal.SIGKILL)
    elif how == "restarted":
        pydist.restart(worker)
    else:
        pydist.remote_do(os._exit, worker, 3)
    for handle in handles:
        assert select.select([handle], [], [], LIMIT)[0], "a process of the worker is left"
        os.close(handle)
    pydist.rmprocs(worker, waitfor=LIMIT)


def test_what_has_a_session_of_its_own_stays(pids: list[int]) -> None:
    (worker,) = pydist.addprocs(1)
    _, family = pydist.remotecall_fetch(start_a_family, worker, own_session=True)
    pydist.rmprocs(worker, waitfor=LIMIT)
    assert all(map(is_alive, family))
    os.killpg(family[0], signal.SIGKILL)


LAST = """
import sys
sys.path.insert(0, sys.argv[1])
import pydist
if __name__ == "__main__":
    pydist.addprocs(2)
    print(pydist.pmap(abs, range(-2, 0)))
"""


def test_a_script_with_workers_ends_without_a_word_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(LAST)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(ROOT)], capture_output=True, text=True, timeout=LIMIT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2, 1]\n", "")


def test_ids_are_never_used_again(pids: list[int]) -> None:
    first = pydist.addprocs(1)
    pydist.rmprocs(first, waitfor=LIMIT)
    second = pydist.addprocs(1)
    pydist.rmprocs(second, waitfor=LIMIT)
    assert second > first


def test_a_killed_worker_fails_its_calls_with_signal_and_last_words(pids: list[int]) -> None:
    (victim,) = pydist.addprocs(1)
    pydist.remotecall_fetch(print, victim, "my last words")
    gate = Gate(victim, "killed here")
    waiting = [gate.start(), pydist.remotecall(gate.stand, victim, gate.name)]
    os.kill(pydist.remotecall_fetch(os.getpid, victim), signal.SIGKILL)
    for future in waiting:
        with pytest.raises(pydist.ProcessExitedException, match="SIGKILL") as caught:
            future.fetch(LIMIT)
        assert caught.value.pid == victim
        assert caught.value.signal == signal.SIGKILL
        assert "my last words" in caught.value.last_output
    assert victim not in pydist.workers()
    with pytest.raises(pydist.ProcessExitedException):
        pydist.remotecall_fetch(abs, victim, -1)


def test_a_worker_that_does_not_leave_in_time_is_named_and_killed(pids: list[int]) -> None:
    (pid,) = pydist.addprocs(1)
    ospid = pydist.remotecall_fetch(os.getpid, pid)
    handle = os.pidfd_open(ospid)
    with (
        stopped(ospid),
        pytest.raises(TimeoutError, match=rf"rmprocs: pids \[{pid}\] not terminated after 0.1 seconds."),
    ):
        pydist.rmprocs(pid, waitfor=0.1)
    assert select.select([handle], [], [], LIMIT)[0]
    os.close(handle)
    with pytest.raises(pydist.ProcessExitedException):
        pydist.remotecall_fetch(abs, pid, -1)


def test_workers_that_may_not_talk_to_each_other_say_so(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    session = Session(tmp_path, workers=0)
    request.addfinalizer(session.kill)
    session.run("first, second = pydist.addprocs(2, topology='master_worker')")
    with pytest.raises(CellError, match=r"peer \d+ is not connected to \d+. Topology : master_worker"):
        session.run("pydist.remotecall_fetch(lambda pid: pydist.remotecall_fetch(abs, pid, -1), first, second)")
    assert session.run("pydist.remotecall_fetch(abs, first, -1)") == 1


def test_a_worker_that_leaves_by_itself_tells_its_exit_code(pids: list[int]) -> None:
    (victim,) = pydist.addprocs(1)
    with pytest.raises(pydist.ProcessExitedException, match="exited with code 7") as caught:
        pydist.remotecall(os._exit, victim, 7).fetch(LIMIT)
    assert caught.value.exitcode == 7


def test_interrupt_strikes_what_runs_and_nothing_else(pids: list[int]) -> None:
    gate = Gate(pids[0], "struck")
    running = gate.start()
    other = Gate(pids[1], "not struck")
    elsewhere = other.start("unharmed")
    pydist.interrupt(pids[0])
    with pytest.raises(KeyboardInterrupt):
        running.fetch(LIMIT)
    pydist.interrupt(pids[2])  # idle: nothing
    other.open()
    assert elsewhere.fetch(LIMIT) == "unharmed"
    assert pydist.remotecall_fetch(abs, pids[2], -1) == 1


def test_process_one_is_not_removed_but_warned_about(pids: list[int]) -> None:
    with pytest.warns(UserWarning, match="process 1 not removed"):
        pydist.rmprocs(1)
    pydist.rmprocs(9999)
    assert pydist.procs() == [1, *pids]


def test_frontend_cancels_what_an_origin_has_started(pids: list[int]) -> None:
    gate = Gate(pids[0], "of an origin")
    running = gate.start()
    assert frontend.running() == {pids[0]: 1}
    assert frontend.cancel(0) == {pids[0]: 1}
    with pytest.raises(KeyboardInterrupt):
        running.fetch(LIMIT)


def test_the_helper_that_was_started_ahead_forks_the_workers(own_session: Callable[..., Session]) -> None:
    session = own_session(0)
    session.run("from pydist import frontend; from pydist.managers import helper; frontend.prepare()")
    session.run("ahead = [*helper._helpers.values()]; pids = pydist.addprocs(2)")
    assert session.run("[*helper._helpers.values()] == ahead and [one.forked for one in ahead]") == [2]


@pytest.mark.parametrize("call", ["addprocs(3)", "restart(pydist.workers()[1:])"])
def test_an_interrupt_while_workers_join_leaves_none_that_lacks_what_everywhere_defines(
    own_session: Callable[..., Session], bell: Bell, call: str
) -> None:
    session = own_session(workers=4)
    stays = session.run("pydist.workers()[:1]" if "restart" in call else "pydist.workers()")
    session.run(
        f"""
pydist.everywhere('''
import pathlib, time
if pathlib.Path({str(bell)!r} + ".on").exists():
    with open({str(bell)!r}, "a") as bell: bell.write("x")
    time.sleep(60)
''')
pydist.everywhere("late = 1")
import pathlib; pathlib.Path({str(bell)!r} + ".on").touch()
"""
    )
    session.start(f"pydist.{call}")
    bell.wait(3)
    session.interrupt()
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        session.finish()
    assert session.run("pydist.workers()") == stays
    session.run(f"pathlib.Path({str(bell)!r} + '.on').unlink()")
    assert session.run("[pydist.remotecall_eval('__main__', pid, 'late') for pid in pydist.addprocs(1)]") == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_of_the_master_that_ends_leaves_the_workers_alone(own_session: Callable[..., Session]) -> None:
    session = own_session(1)
    session.run("import atexit, os\nchild = os.fork()\nif not child:\n    atexit._run_exitfuncs()\n    os._exit(7)")
    assert session.run("os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])") == 7
    assert session.run("pydist.remotecall_fetch(abs, 2, -1)") == 1


def test_it_is_said_which_workers_an_interrupted_restart_has_cost(
    own_session: Callable[..., Session], bell: Bell
) -> None:
    session = own_session(workers=2)
    session.run("import warnings; caught = warnings.catch_warnings(record=True).__enter__()")
    session.run(
        f"""
pydist.everywhere('''
import pathlib, time
if pathlib.Path({str(bell)!r} + ".on").exists():
    with open({str(bell)!r}, "a") as bell: bell.write("x")
    time.sleep(60)
''')
import pathlib; pathlib.Path({str(bell)!r} + ".on").touch()
"""
    )
    session.start("pydist.restart(pydist.workers())")
    bell.wait(1)
    session.interrupt()
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        session.finish()
    assert session.run("[str(one.message) for one in caught]") == [
        "restart was interrupted: workers 2, 3 have ended; addprocs(2) starts others"
    ]
