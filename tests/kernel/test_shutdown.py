"""The end of the kernel is the end of its workers, whatever they do and however it comes."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pydist import runfiles
from tests.kernel.driver import LiveKernel

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

# Within a second, on a machine that does nothing else.
SOON = 3.0
# All of them never end by themselves, and the second and third do not listen to anything.
WORK = [
    "lambda: __import__('time').sleep(600)",
    "spin",
    # In C, with the global lock held: no Python code of the worker runs any more.
    "lambda: pow(3, 10**9)",
]
PREPARE = """
import pydist
def spin():
    while True:
        pass
def start(work):
    pydist.remote_do(work, 2)
    pydist.remote_do(work, 3)
"""
OSPIDS = "[pydist.remotecall_fetch(__import__('os').getpid, pid) for pid in pydist.workers()]"


@contextmanager
def watching(ospids: list[int]) -> Iterator[list[int]]:
    """Give descriptors that become readable when these processes have ended."""
    with ExitStack() as stack:
        handles = [os.pidfd_open(ospid) for ospid in ospids]
        for handle in handles:
            stack.callback(os.close, handle)
        yield handles


def all_end_within(handles: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    return all(select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0] for handle in handles)


@pytest.mark.parametrize("work", WORK)
def test_a_shutdown_ends_busy_workers_soon(work: str) -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE)
        with watching(kernel.evaluate(OSPIDS)) as workers:
            assert kernel.run(f"start({work})").status == "ok"
            began = time.monotonic()
            kernel.shut_down()
            # jupyter_client ends the kernel by signals after 2.5 s, which would skip its own tidying up.
            assert time.monotonic() - began < 2.4
            assert all_end_within(workers, 0.0)


def test_a_shutdown_ends_a_cell_that_waits_for_its_workers() -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE)
        with watching(kernel.evaluate(OSPIDS)) as workers:
            kernel.begin(f"pydist.pmap(lambda _: ({WORK[0]})(), range(4))").wait_until_running()
            kernel.shut_down()
            assert all_end_within(workers, 0.0)


def test_a_restart_ends_the_old_workers_and_brings_those_asked_for() -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE)
        old = kernel.evaluate(OSPIDS)
        with watching(old) as workers:
            kernel.run(f"start({WORK[1]})")
            kernel.shut_down(restart=True)
            assert all_end_within(workers, 0.0)
        assert kernel.evaluate("'spin' in globals()") is False
        kernel.run("import pydist")
        new = kernel.evaluate(OSPIDS)
        assert len(new) == 2
        assert not set(old) & set(new)


@pytest.mark.parametrize("work", WORK)
def test_workers_do_not_outlive_a_kernel_that_is_killed(work: str) -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE)
        with watching(kernel.evaluate(OSPIDS)) as workers:
            assert kernel.run(f"start({work})").status == "ok"
            os.kill(kernel.ospid, signal.SIGKILL)
            assert all_end_within(workers, SOON)


FAMILY = """
def family():
    import os, subprocess
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    return os.getpid(), shell.pid, int(shell.stdout.readline())
"""


def test_a_kernel_that_is_killed_in_a_cell_takes_workers_along_and_what_they_have_started() -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE + FAMILY)
        family = kernel.evaluate("pydist.remotecall_fetch(family, 2)")
        with watching([*family, *kernel.evaluate(OSPIDS)]) as processes:
            kernel.begin(f"pydist.pmap(lambda _: ({WORK[0]})(), range(4))").wait_until_running()
            os.kill(kernel.ospid, signal.SIGKILL)
            assert all_end_within(processes, SOON)


def test_workers_do_not_outlive_a_kernel_that_dies_by_itself() -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE)
        with watching(kernel.evaluate(OSPIDS)) as workers:
            kernel.begin("import os; os._exit(1)")
            assert all_end_within(workers, SOON)


def test_a_run_file_lives_as_long_as_the_kernel() -> None:
    with LiveKernel(workers=2) as kernel:
        kernel.run(PREPARE)
        (run,) = [run for run in runfiles.list_runs() if run.master.ospid == kernel.ospid]
        assert [worker.ospid for worker in run.living_workers()] == kernel.evaluate(OSPIDS)
        kernel.shut_down()
        assert not run.path.exists()
