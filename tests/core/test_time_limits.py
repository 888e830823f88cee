"""everywhere within a time, and code that asks a worker for what it does not have."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

import pydist
from pydist._runtime.alarm import TimeUp, time_limit

pytestmark = pytest.mark.processes


def test_what_is_late_here_is_stopped_and_the_others_are_told(pids: list[int]) -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        pydist.everywhere("import time\ntime.sleep(60)", timeout=0.3)
    assert time.monotonic() - begun < 10
    names = ", ".join(map(str, [1, *pids]))
    assert str(caught.value) == (
        f"everywhere: processes {names} have not finished within 0.3 seconds; what goes on is interrupted"
    )
    pydist.frontend.wait_idle(20)
    assert not pydist.frontend.running()


def test_the_time_counts_for_all_together(pids: list[int]) -> None:
    late = pids[-1]
    with pytest.raises(TimeoutError, match=f"process {late} has not finished"):
        pydist.everywhere(f"import pydist, time\nif pydist.myid() == {late}: time.sleep(60)", timeout=0.5)


def test_a_time_out_of_the_codes_own_is_an_error_of_that_process(pids: list[int]) -> None:
    with pytest.raises(pydist.RemoteException) as caught:
        pydist.everywhere("raise TimeoutError('mine')", pids[0], timeout=30)
    assert isinstance(caught.value, TimeoutError)
    assert "mine" in str(caught.value)


def test_a_limit_ends_with_its_block_and_restores_what_was_there() -> None:
    before, left = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0]
    with time_limit(left + 100):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > left + 50
    assert signal.getitimer(signal.ITIMER_REAL)[0] <= left
    assert signal.getsignal(signal.SIGALRM) is before
    with pytest.raises(TimeUp), time_limit(0):
        threading.Event().wait(60)
    with time_limit(None):
        assert signal.getitimer(signal.ITIMER_REAL)[0] <= left


def test_other_threads_have_no_limit() -> None:
    seen: list[float] = []

    def run() -> None:
        with time_limit(1000):
            seen.append(signal.getitimer(signal.ITIMER_REAL)[0])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen[0] < 500


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("input('name? ')", "worker {} has no keyboard: call input() in process 1"),
        ("import getpass; getpass.getpass('password? ')", "worker {} has no keyboard: call input() in process 1"),
        ("breakpoint()", "worker {} has no console for breakpoint()"),
    ],
)
def test_a_worker_without_a_user_says_so(pids: list[int], code: str, sentence: str) -> None:
    with pytest.raises(pydist.RemoteException) as caught:
        pydist.everywhere(code, pids[0])
    text = str(caught.value.captured.ex)
    assert text.startswith(sentence.format(pids[0]))
    assert "\n" not in text


@pytest.mark.parametrize(
    ("code", "called"),
    [("import sys; sys.exit(3)", "3"), ("exit()", ""), ("quit('enough')", "'enough'"), ("raise SystemExit", "")],
)
def test_a_call_that_exits_ends_and_the_worker_stays(pids: list[int], code: str, called: str) -> None:
    with pytest.raises(SystemExit) as caught:
        pydist.everywhere(code, pids[0])
    assert str(caught.value) == (
        f"On worker {pids[0]}: sys.exit({called}) ended the call, not the worker; rmprocs({pids[0]}) would"
    )
    assert pydist.remotecall_fetch(lambda: sys.stdin.read(), pids[0]) == ""
