"""What workers write: with their number in front, whole lines, before the result of the call that wrote it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

import pydist

pytestmark = pytest.mark.processes


def test_a_print_has_arrived_when_the_result_has(pids: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    pydist.remotecall_fetch(print, pids[0], "one\ntwo")
    assert capsys.readouterr().out == f" From worker {pids[0]}:\tone\n From worker {pids[0]}:\ttwo\n"


def test_a_last_line_without_an_end_is_not_kept_back(pids: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    pydist.remotecall_fetch(functools.partial(print, "no newline", end=""), pids[0])
    assert capsys.readouterr().out == f" From worker {pids[0]}:\tno newline\n"


def test_subprocesses_and_c_code_are_heard_too(pids: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        subprocess.run(["echo", "from a subprocess"], check=True)
        os.write(1, b"from below Python\n")

    pydist.remotecall_fetch(work, pids[0])
    out = capfd.readouterr().out
    assert f" From worker {pids[0]}:\tfrom a subprocess\n" in out
    assert f" From worker {pids[0]}:\tfrom below Python\n" in out


def _complain() -> None:
    sys.stderr.write("bad news\n")


def test_errors_go_to_stderr(pids: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    pydist.remotecall_fetch(_complain, pids[0])
    assert capsys.readouterr().err == f" From worker {pids[0]}:\tbad news\n"


def test_output_of_nested_calls_names_the_worker_that_wrote_it(
    pids: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    inner = pids[1]
    pydist.remotecall_fetch(lambda: pydist.remotecall_fetch(print, inner, "from within"), pids[0])
    assert capsys.readouterr().out == f" From worker {inner}:\tfrom within\n"


def test_an_error_of_remote_do_is_printed(pids: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("nobody waits for me")

    pydist.remote_do(fail, pids[0])
    pydist.remotecall_fetch(abs, pids[0], -1)
    err = ""
    for _ in range(1000):
        err += capsys.readouterr().err
        if "ValueError: nobody waits for me" in err:
            break
        pydist.remotecall_fetch(abs, pids[0], -1)
    assert f" From worker {pids[0]}:\tValueError: nobody waits for me\n" in err


def _bar() -> None:
    for percent in (0, 50, 100):
        sys.stderr.write(f"\r{percent}%")
    sys.stderr.write("\n")
    sys.stderr.write("\rgone soon\r         \r")


def test_a_line_that_overwrites_itself_is_one_line(pids: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    pydist.remotecall_fetch(_bar, pids[0])
    assert capsys.readouterr().err == f" From worker {pids[0]}:\t100%\n"


def test_other_separators_than_a_newline_stay_in_their_line(
    pids: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    pydist.remotecall_fetch(print, pids[0], "a\x0cb\u2028c\r\nd")
    assert capsys.readouterr().out == f" From worker {pids[0]}:\ta\x0cb\u2028c\n From worker {pids[0]}:\td\n"


def _show() -> None:
    from IPython.display import clear_output, display

    print("before", end="")  # noqa: T201
    handle = display({"x": 1}, display_id=True)
    handle.update({"x": 2})
    clear_output()


def test_without_a_front_end_a_display_is_its_text(pids: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    pydist.remotecall_fetch(_show, pids[0])
    prefix = f" From worker {pids[0]}:\t"
    assert capsys.readouterr().out == f"{prefix}before\n{prefix}{{'x': 1}}\n"


def test_a_hook_rewrites_lines_and_one_that_fails_loses_nothing(
    pids: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    pydist.set_output_hook(lambda pid, line: None if line == "plain" else f"<{pid}> {line}" if line != "bad" else 1 / 0)  # type: ignore[arg-type, return-value]
    try:
        pydist.remotecall_fetch(print, pids[0], "x\nplain\nbad")
    finally:
        pydist.set_output_hook(None)
    prefix = f" From worker {pids[0]}:\t"
    assert capsys.readouterr().out == f"<{pids[0]}> x\n{prefix}plain\n{prefix}bad\n"
    with pytest.raises(TypeError, match="must be a function or None"):
        pydist.set_output_hook(3)  # type: ignore[arg-type]
