"""Fixtures for every folder of tests."""

from __future__ import annotations

import os
import select
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from run import find_chromium

# Whatever a test starts inherits this variable, so that it is recognised after its parent has died, too.
_MARK = "PYDIST_TEST_SESSION"
os.environ[_MARK] = uuid.uuid4().hex

# How long the processes of a test may take to end.  Nothing waits this long unless something is wrong.
_GRACE = 10.0

_STARTS_PROCESSES = ("processes", "kernel", "browser")
_SHARED_MEMORY = Path("/dev/shm")

# Python's own helper of multiprocessing.shared_memory lives as long as the process that made it.
_LIVES_ON = (b"multiprocessing.resource_tracker",)


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
    segments_before = _segments()
    yield
    left = _wait_for_end(_our_processes() - processes_before)
    said = [f"process {pid}: {_command_line(pid).decode(errors='replace')}" for pid in sorted(left)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    _wait_for_end(left)
    said += [f"shared memory: {name}" for name in sorted(_abandoned(_segments() - segments_before))]
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
    parents: dict[int, int] = {}
    ours: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        pid = int(stat.parent.name)
        try:
            # The name, in brackets, may hold anything; the state and the parent follow it.
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            if state in b"ZX":  # ended; whether somebody has asked how is not a matter of this fixture
                continue
            parents[pid] = int(parent)
            if mark in (stat.parent / "environ").read_bytes():
                ours.add(pid)
        except OSError:  # it ended meanwhile, or is not ours to look into
            continue
    family = {os.getpid()}
    while born := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= born
    ours = (ours | family) - {os.getpid()}
    return {pid for pid in ours if not any(word in _command_line(pid) for word in _LIVES_ON)}


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


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


def _segments() -> set[str]:
    return {path.name for path in _SHARED_MEMORY.iterdir()} if _SHARED_MEMORY.is_dir() else set()


def _abandoned(names: set[str]) -> set[str]:
    """Return those of ``names`` that no living process has mapped: other programs may be at work on this machine."""
    used: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps") if names else ():
        try:
            text = maps.read_text(errors="replace")
        except OSError:
            continue
        used.update(name for name in names if f"{_SHARED_MEMORY / name}\n" in text)
    return names - used
