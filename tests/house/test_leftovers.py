"""The fixture that looks for what a test leaves behind does find it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc"),
]

WAITS = "import sys; sys.stdin.read()"


def test_a_child_is_ours_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE) as child:
        assert child.pid in conftest._our_processes()
        assert child.stdin is not None
        child.stdin.close()
        assert conftest._wait_for_end({child.pid}) == set()
        # Nobody has asked for its exit code yet, and still it has ended.
        assert child.pid not in conftest._our_processes()


def test_an_orphan_in_a_session_of_its_own_is_ours(tmp_path: Path) -> None:
    started = tmp_path / "fifo"
    os.mkfifo(started)
    grandchild = f"import os, signal; open({str(started)!r}, 'w').write(str(os.getpid())); signal.pause()"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {grandchild!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", parent], check=True)
    pid = int(started.read_text())
    assert pid in conftest._our_processes()
    os.kill(pid, signal.SIGKILL)
    assert conftest._wait_for_end({pid}) == set()


def test_a_segment_counts_as_left_once_nobody_maps_it() -> None:
    # Not by multiprocessing: its resource tracker would tidy up, and warn.
    path = Path("/dev/shm", f"pydist-test-{os.getpid()}")
    path.write_bytes(b"x")
    try:
        assert path.name in conftest._abandoned(conftest._segments())
    finally:
        path.unlink()
    assert path.name not in conftest._segments()
