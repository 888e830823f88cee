"""``pydist run`` of notebooks: what is written, what is said, and the exit codes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.commands import pydist, read, save

kernel = pytest.mark.kernel
slow = pytest.mark.slow


@kernel
@slow
def test_a_notebook_of_another_python_kernel_runs_on_ours(tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    save(
        tmp_path / "beside" / "a.ipynb",
        "# Title",
        "get_ipython().kernel.implementation",
        "",
        "import os; print(os.path.basename(os.getcwd()))",
    )
    done = pydist("run", "beside/a.ipynb", "-o", "new/folders/out.ipynb", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"cell 1/2 \.\.\. \d+\.\d s\ncell 2/2 \.\.\. \d+\.\d s\n", done.stderr)
    assert read(tmp_path / "new" / "folders" / "out.ipynb") == ["'pydist'", "", "beside\n"]


@kernel
@slow
def test_without_an_output_file_the_cells_speak_to_the_terminal(tmp_path: Path) -> None:
    save(tmp_path / "a.ipynb", "import sys; print('out'); print('err', file=sys.stderr)", "6 * 7")
    done = pydist("run", "a.ipynb", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "out\n42\n")
    assert "err\n" in done.stderr


@kernel
@slow
@pytest.mark.parametrize("suffix", [".ipynb", ".html"])
def test_a_failing_cell_is_exit_code_1_and_what_was_done_is_written(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / "a.ipynb", "print('before' + ' it')", "1/0", "print('after' + ' it')")
    done = pydist("run", "a.ipynb", "-o", f"out{suffix}", folder=tmp_path)
    assert done.returncode == 1
    assert "----> 1 1/0\n" in done.stderr
    assert done.stderr.endswith("\npydist: a.ipynb: cell 2/3 failed: ZeroDivisionError: division by zero\n")
    written = (tmp_path / f"out{suffix}").read_text()
    assert "before it" in written
    assert "ZeroDivisionError" in written
    assert "after it" not in written


@kernel
@slow
def test_a_cell_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    save(tmp_path / "a.ipynb", "print('before')", "import time; time.sleep(600)")
    done = pydist("run", "a.ipynb", "--timeout", "0.5", "-o", "out.ipynb", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("pydist: a.ipynb: cell 2/2 took longer than 0.5 s\n")
    assert read(tmp_path / "out.ipynb")[0] == "before\n"


@kernel
@slow
@pytest.mark.parametrize(
    ("code", "how"), [("os._exit(3)", "exit code 3"), ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL")]
)
def test_a_kernel_that_dies_is_told_and_its_workers_are_gone(tmp_path: Path, code: str, how: str) -> None:
    told = "import os, signal, pydist\nprint(*[pydist.remotecall_fetch(os.getpid, pid) for pid in pydist.workers()])"
    save(tmp_path / "a.ipynb", told, f"pydist.remote_do(eval, 2, 'pow(3, 10**9)'); {code}")
    done = pydist("run", "a.ipynb", "-p", "2", "-o", "out.ipynb", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith(f"pydist: a.ipynb: the kernel died in cell 2/2 ({how})\n")
    workers = [Path("/proc", ospid) for ospid in read(tmp_path / "out.ipynb")[0].split()]
    assert len(workers) == 2
    assert not any(worker.exists() for worker in workers)


@kernel
@slow
def test_ctrl_c_interrupts_the_cell_and_writes_what_was_done(tmp_path: Path) -> None:
    save(tmp_path / "a.ipynb", "print('before')", "import time; open('here', 'w').close(); time.sleep(600)", "print(3)")
    (tmp_path / "here").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pydist_kernel.cli", "run", "a.ipynb", "-o", "out.ipynb"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, bufsize=0) as running:
        assert running.stderr is not None
        said = ""
        while "cell 2/3" not in said:
            said += running.stderr.read(1)
        running.send_signal(signal.SIGINT)
        said += running.stderr.read()
    assert running.returncode == 130
    assert said.endswith("pydist: a.ipynb: interrupted in cell 2/3\n")
    assert read(tmp_path / "out.ipynb") == ["before\n", "KeyboardInterrupt: ", ""]


@kernel
@slow
def test_an_old_output_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    save(tmp_path / "a.ipynb", "1")
    old = tmp_path / "old.html"
    old.write_text("old")
    old.chmod(0o640)
    (tmp_path / "link.html").symlink_to(old)
    assert pydist("run", "a.ipynb", "-o", "link.html", folder=tmp_path).returncode == 0
    assert (tmp_path / "link.html").is_symlink()
    assert old.stat().st_mode & 0o777 == 0o640
    assert "<html" in old.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ipynb", "link.html", "old.html"]


@kernel
@slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    save(tmp_path / "a.ipynb", "1")
    (tmp_path / "out.html").symlink_to("/dev/full")
    done = pydist("run", "a.ipynb", "-o", "out.html", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith("\npydist: cannot write out.html: No space left on device\n")


@slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.ipynb"], "nowhere.ipynb: no such file"),
        (["folder.ipynb"], "folder.ipynb: that is a folder"),
        (["a.txt"], "a.txt: only notebooks (.ipynb) and scripts (.py) can be run"),
        (["broken.ipynb"], "broken.ipynb is not a notebook: Notebook does not appear to be JSON: '{'"),
        (["a.ipynb", "-o", "out.pdf"], "-o out.pdf: the name must end in .ipynb or .html"),
        (["a.ipynb", "-o", "folder.ipynb"], "-o folder.ipynb: that is a folder"),
        (["a.ipynb", "-o", "a.ipynb/out.html"], "cannot write a.ipynb/out.html: File exists"),
        (["a.ipynb", "-p", "many"], "-p takes a number of workers or auto, not 'many'"),
        (["a.ipynb", "--machine-file", "nowhere"], "nowhere: No such file or directory"),
        (["a.ipynb", "--timeout", "soon"], "--timeout takes a number of seconds, not 'soon'"),
        (["a.ipynb", "--timeout", "-1"], "--timeout takes a number of seconds, not '-1'"),
        (["a.ipynb", "--", "x"], "a notebook takes no arguments, and there is 'x'"),
        (["a.ipynb", "b.ipynb"], "unrecognized arguments: b.ipynb (see: pydist --help)"),
        ([], "the following arguments are required: notebook.ipynb|script.py (see: pydist run --help)"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    save(tmp_path / "a.ipynb", "1")
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "a.txt").touch()
    (tmp_path / "broken.ipynb").write_text("{")
    done = pydist("run", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"pydist: {sentence}\n")


@slow
def test_a_worker_by_hand_is_refused_with_the_reason(tmp_path: Path) -> None:
    done = pydist("worker", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pydist: worker: this version has workers of its own host only")
    assert done.stderr.count("\n") == 1


@kernel
@slow
def test_the_notebook_asks_for_workers_in_its_metadata(tmp_path: Path) -> None:
    save(tmp_path / "a.ipynb", "__import__('pydist').workers()", pydist={"workers": 2})
    assert pydist("run", "a.ipynb", "-o", "out.ipynb", folder=tmp_path).returncode == 0
    assert read(tmp_path / "out.ipynb") == ["[2, 3]"]
    # The command line decides if it says something.
    assert pydist("run", "a.ipynb", "-p", "1", "-o", "out.ipynb", folder=tmp_path).returncode == 0
    assert read(tmp_path / "out.ipynb") == ["[2]"]


@kernel
@slow
def test_what_a_cell_has_left_out_can_be_read_in_an_executed_notebook(tmp_path: Path) -> None:
    flood = "%config PyDist.output_limit = 10\n%fetchfrom 2 print('\\n'.join(map(str, range(50))))"
    save(tmp_path / "a.ipynb", flood, "%pydist output")
    assert pydist("run", "a.ipynb", "-p", "1", "-o", "out.ipynb", folder=tmp_path).returncode == 0
    cut, whole = read(tmp_path / "out.ipynb")
    assert "left out; %pydist output" in cut
    assert whole.splitlines() == [f" From worker 2:\t{i}" for i in range(50)]


@kernel
@slow
def test_what_comes_for_an_earlier_cell_is_said_when_it_comes(tmp_path: Path) -> None:
    save(
        tmp_path / "a.ipynb",
        "%everywhere import threading; gate = threading.Event()",
        "f = %spawnat 2 [gate.wait(60), print('late'), 5][2]\nprint('own')",
        "print('next')\n%everywhere --workers gate.set()\n%fetch f",
        "print('last')",
    )
    done = pydist("run", "a.ipynb", "-p", "1", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "own\n From worker 2:\tlate\nnext\n5\nlast\n")
