"""Fixtures for every folder of tests."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tools.leftovers import SharedMemory, command_line, descendants, parents
from tools.system import find_chromium

# Whatever a test starts inherits this variable, so that it is recognised after its parent has died, too.
_MARK = "PYDIST_TEST_SESSION"
os.environ[_MARK] = uuid.uuid4().hex

# How long the processes of a test may take to end.  Nothing waits this long unless something is wrong.
_GRACE = 10.0

_STARTS_PROCESSES = ("processes", "kernel", "browser")
_SHARED_MEMORY = SharedMemory(at_work=True)

# These live as long as the process that made them: Python's helper of multiprocessing.shared_memory, and ours, which
# forks workers. What was there before a test may keep the one that it has made during the test.
_TRACKER = "multiprocessing.resource_tracker"
_HELPER = "pydist._runtime.prefork"


# A loaded machine must not fail a property, and two runs of one commit must try the same examples.
# `--hypothesis-profile=default` goes looking for new ones.
hypothesis.settings.register_profile("pydist", deadline=None, derandomize=True)
hypothesis.settings.load_profile("pydist")


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's settings out of the tests, and the tests out of the user's files."""
    home = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        for name in [
            name for name in os.environ if name.startswith("PYDIST_") and name not in (_MARK, "PYDIST_CHROMIUM")
        ]:
            patch.delenv(name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            (home / name).mkdir()
            patch.setenv(name, str(home / name))
        yield


@pytest.fixture(autouse=True)
def no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that starts processes: they have ended, and no shared memory has stayed.

    What fixtures of a wider scope hold (a cluster for a whole folder, say) was there before the test and may stay.
    """
    if not Path("/proc/self/stat").exists() or not any(map(request.node.get_closest_marker, _STARTS_PROCESSES)):
        yield
        return
    processes_before = _our_processes()
    memory = _SHARED_MEMORY.watch()
    yield
    left = _wait_for_end(_new_since(processes_before))
    said = [f"process {pid}: {command_line(pid)}" for pid in sorted(left)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    _wait_for_end(left)
    said += [f"shared memory: {name}" for name in sorted(memory.left())]
    if said:
        pytest.fail("the test left behind\n  " + "\n  ".join(said), pytrace=False)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium or Chrome; skip the test where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium or Chrome found (PYDIST_CHROMIUM may name one)")
    return path


def _our_processes() -> set[int]:
    """Return the living processes below this one, and those that carry our mark."""
    mark = f"{_MARK}={os.environ[_MARK]}".encode()
    ours = set(descendants(os.getpid()))
    for pid in parents().keys() - ours:
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to look into
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                ours.add(pid)
    return ours - {os.getpid()}


def _new_since(before: set[int]) -> set[int]:
    """Return our processes that were not there before, without the helpers of those that were."""
    parent_of = parents()
    return {
        pid
        for pid in _our_processes() - before
        if not (parent_of.get(pid) in before | {os.getpid()} and _is_helper(pid, parent_of[pid]))
    }


def _is_helper(pid: int, parent: int) -> bool:
    line = command_line(pid)
    # A worker is a fork of our helper, and has its command line.
    return _TRACKER in line or (_HELPER in line and _HELPER not in command_line(parent))


def _wait_for_end(pids: set[int]) -> set[int]:
    """Wait until ``pids`` have ended; return those that have not when the time is over."""
    deadline = time.monotonic() + _GRACE
    return {pid for pid in pids if not _ends_before(pid, deadline)}


def _ends_before(pid: int, deadline: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)  # readable once the process has ended
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(handle)
