"""The files that tell which clusters run, and what is cleaned when one has died badly."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydist import runfiles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is told to end."""
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def started(process: subprocess.Popen[bytes]) -> int:
    time = runfiles.start_time(process.pid)
    assert time is not None
    return time


def rewrite(**changes: Any) -> None:
    """Change what the run file of this process says."""
    (run,) = runfiles.list_runs()
    run.path.write_text(json.dumps({**json.loads(run.path.read_text()), **changes}))


def test_a_run_is_listed_until_it_is_removed(process: subprocess.Popen[bytes]) -> None:
    assert runfiles.list_runs() == []
    runfiles.write([(2, process.pid, started(process))])
    (run,) = runfiles.list_runs()
    assert (run.master.pid, run.master.ospid, run.alive, run.here) == (1, os.getpid(), True, True)
    assert run.workers == (runfiles.Process(2, process.pid, started(process)),)
    assert run.living_workers() == list(run.workers)
    runfiles.remove()
    assert runfiles.list_runs() == []
    runfiles.remove()


def test_only_the_user_may_read_it() -> None:
    runfiles.write([])
    (run,) = runfiles.list_runs()
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700


def test_a_second_write_replaces_the_workers_and_keeps_the_start(process: subprocess.Popen[bytes]) -> None:
    runfiles.write([])
    (before,) = runfiles.list_runs()
    runfiles.write([(2, process.pid, None)])
    (after,) = runfiles.list_runs()
    assert after.started == before.started
    assert after.workers == (runfiles.Process(2, process.pid, started(process)),)


def test_a_cluster_whose_master_lives_is_not_touched(process: subprocess.Popen[bytes]) -> None:
    runfiles.write([(2, process.pid, started(process))])
    assert runfiles.clean() == []
    assert process.poll() is None
    assert len(runfiles.list_runs()) == 1


def test_what_a_dead_master_left_is_ended(process: subprocess.Popen[bytes]) -> None:
    runfiles.write([(2, process.pid, started(process))])
    rewrite(master=[1, *dead()])
    (done,) = runfiles.clean()
    assert [worker.ospid for worker in done.killed] == [process.pid]
    assert process.wait() == -9
    assert runfiles.list_runs() == []


def test_a_process_id_that_was_given_to_another_since_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    runfiles.write([(2, process.pid, started(process) - 1)])
    rewrite(master=[1, os.getpid(), 1])  # an earlier process of our own id
    (done,) = runfiles.clean()
    assert done.killed == ()
    assert process.poll() is None
    assert runfiles.list_runs() == []


def test_a_cluster_on_another_host_is_not_touched(process: subprocess.Popen[bytes]) -> None:
    runfiles.write([(2, process.pid, started(process))])
    rewrite(master=[1, *dead()], system={"host": "elsewhere", "boot": "b", "container": "c"})
    assert runfiles.clean() == []
    (run,) = runfiles.list_runs()
    assert (run.alive, run.here, run.living_workers()) == (True, False, [])


def test_a_file_from_before_the_last_boot_is_forgotten_and_nothing_killed(process: subprocess.Popen[bytes]) -> None:
    runfiles.write([(2, process.pid, started(process))])
    (run,) = runfiles.list_runs()
    system = json.loads(run.path.read_text())["system"]
    rewrite(system={**system, "boot": "the last"})
    (done,) = runfiles.clean()
    assert done.killed == ()
    assert process.poll() is None
    assert runfiles.list_runs() == []


def test_a_zombie_is_dead(process: subprocess.Popen[bytes]) -> None:
    started(process)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    assert runfiles.start_time(process.pid) is None


def test_a_file_that_cannot_be_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    runfiles.write([])
    assert "cannot note its workers" in caplog.text
    assert runfiles.list_runs() == []
    runfiles.remove()


def test_a_full_disk_leaves_no_half_file(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    runfiles.write([])
    assert "No space left on device" in caplog.text
    assert list(runfiles.folder().iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"master": [1], "workers": [], "system": {}}'])
def test_a_file_that_is_no_run_file_is_left_out_and_left_alone(text: str) -> None:
    runfiles.folder().mkdir()
    path = runfiles.folder() / "1-1.json"
    path.write_text(text)
    assert runfiles.list_runs() == []
    assert runfiles.clean() == []
    assert path.exists()


def dead() -> tuple[int, int]:
    """The id and start of a process that has ended."""
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        return process.pid, started(process)
