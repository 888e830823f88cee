"""The fixture that looks for what a test leaves behind does find it."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest
from tools.leftovers import SharedMemory

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc"),
]

TOP = Path(__file__).parents[2]
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


def test_a_segment_counts_as_left_once_nobody_maps_it(tmp_path: Path) -> None:
    memory = SharedMemory(at_work=True, folder=tmp_path).watch()
    path = tmp_path / "segment"
    path.write_bytes(b"x")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_READ):
        file.close()
        assert memory.left() == set()
    assert memory.left() == {path.name}
    path.unlink()
    assert memory.left() == set()


def test_a_folder_counts_as_left_once_nobody_has_a_file_of_it_open(tmp_path: Path) -> None:
    memory = SharedMemory(at_work=True, folder=tmp_path).watch()
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    with path.open("wb"):
        assert memory.left() == set()
    assert memory.left() == {"folder"}


def test_a_segment_that_another_session_may_have_made_is_not_ours(tmp_path: Path) -> None:
    (memory := tmp_path / "memory").mkdir()
    ours = SharedMemory(at_work=True, folder=memory)
    assert ours.is_alone()
    code = (
        "import sys; from pathlib import Path; from tools.leftovers import SharedMemory; "
        "session = SharedMemory(at_work=True, folder=Path(sys.argv[1])); print(session.is_alone(), flush=True); "
        + WAITS
    )
    from_its_start = ours.watch()
    with subprocess.Popen(
        [sys.executable, "-c", code, memory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TOP
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"False\n"
        (memory / "segment").touch()
        assert from_its_start.left() == set()
        meanwhile = ours.watch()
        other.stdin.close()
    after_its_end = ours.watch()
    (memory / "later").touch()
    assert meanwhile.left() == set()
    assert after_its_end.left() == {"later"}


def test_who_only_looks_on_is_no_session(tmp_path: Path) -> None:
    ours = SharedMemory(at_work=True, folder=tmp_path)
    looks_on = SharedMemory(at_work=False, folder=tmp_path)
    assert not looks_on.is_alone()
    assert ours.is_alone()


def test_a_helper_may_stay_with_its_master_but_no_worker_may() -> None:
    code = "import pydist\nfor line in iter(input, ''): print(eval(line), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as master:

        def run(line: str) -> str:
            assert master.stdin is not None
            assert master.stdout is not None
            print(line, file=master.stdin, flush=True)
            return master.stdout.readline().rstrip()

        assert run("pydist.nprocs()") == "1"
        before = conftest._our_processes()
        assert run("pydist.frontend.prepare()") == "None"
        (helper,) = conftest._our_processes() - before
        assert conftest._new_since(before) == set()
        assert run("pydist.addprocs(1)") == "[2]"
        worker = int(run("pydist.remotecall_fetch(__import__('os').getpid, 2)"))
        assert conftest._our_processes() - before == {helper, worker}
        assert conftest._new_since(before) == {worker}
        # Of a master that the test has started itself nothing may stay.
        assert conftest._new_since(before - {master.pid}) == {master.pid, helper, worker}
        print(file=master.stdin, flush=True)
    assert conftest._wait_for_end({helper, worker}) == set()
