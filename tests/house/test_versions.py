"""The environments of other versions, and the tests in them. None is really made here: run.py test does that."""

from __future__ import annotations

import os
import threading
import tomllib
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tools import versions
from tools.processes import BIN, SetupError
from tools.versions import MATRIX, OLDEST_OF_JUPYTER, Versions, environments, run_tests

SETTINGS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
ONE, TWO = Versions("3.11", OLDEST_OF_JUPYTER), Versions("3.12")


@pytest.fixture(autouse=True)
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every Python there."""
    monkeypatch.setattr(versions, "find_python", lambda version: f"/usr/bin/python{version}")


def test_the_oldest_are_those_that_are_asked_for() -> None:
    for pin in OLDEST_OF_JUPYTER:
        name, _, version = pin.removesuffix(".*").partition("==")
        asked = next(line for line in SETTINGS["project"]["dependencies"] if line.startswith(f"{name}>="))
        least = asked.partition(">=")[2].partition(",")[0]
        assert f"{version}.0".startswith(f"{least}.")


def test_every_python_that_is_supported_is_tested() -> None:
    said = [line.rpartition(" ")[2] for line in SETTINGS["project"]["classifiers"] if "Python :: 3." in line]
    assert sorted({pair.python for pair in MATRIX}) == said


def test_they_are_made_while_the_caller_does_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def make(folder: Path, python: str, pins: tuple[str, ...]) -> Path:
        folder.mkdir()
        begun.set()
        assert may_end.wait(10)
        return folder

    monkeypatch.setattr(versions, "make", make)
    with environments((ONE, TWO)) as made:
        assert begun.wait(10)
        assert not made[ONE].done()
        may_end.set()
        folders = [future.result() for future in made.values()]
        assert len(set(folders)) == 2
        assert all(folder.is_dir() for folder in folders)
    assert not any(folder.parent.exists() for folder in folders)


def test_nothing_more_is_made_once_the_caller_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end, made = threading.Event(), threading.Event(), []

    def make(folder: Path, python: str, pins: tuple[str, ...]) -> Path:
        made.append(python)
        begun.set()
        assert may_end.wait(10)
        return folder

    def fail() -> None:
        assert begun.wait(10)
        may_end.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(versions, "make", make)
    with pytest.raises(KeyboardInterrupt), environments((ONE, TWO, *MATRIX[2:])):
        fail()
    assert made == ["/usr/bin/python3.11"]


def test_a_python_that_is_not_there_is_left_out_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "find_python", lambda version: None)
    with environments((TWO,)) as made:
        assert run_tests(made, ()) == {}
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "no Python 3.12" in out
    assert "skipped" in out


def test_tests_run_in_their_own_environment_and_not_in_the_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], str]] = []

    def note(words: list[str], env: dict[str, str], **_: object) -> CompletedProcess[str]:
        calls.append((words, env["PATH"]))
        return CompletedProcess(words, 0, "", "")

    monkeypatch.setattr("subprocess.run", note)
    with environments((ONE,)) as made:
        assert run_tests(made, ("-m", "quick"), ("tests",)) == {str(ONE): 0}
    installed = next(words for words, _ in calls if "install" in words)
    assert installed[-2:] == [*OLDEST_OF_JUPYTER]
    first, second = calls[-2:]
    assert first[0][-2:] == ["-m", "quick"]
    assert second[0][-1] == "tests"
    for words, path in (first, second):
        assert path.split(os.pathsep)[0] == str(Path(words[0]).parent) != str(BIN)


def test_one_that_could_not_be_made_has_failed_and_the_others_are_tested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(folder: Path, python: str, pins: tuple[str, ...]) -> Path:
        if pins:
            raise SetupError("no network")
        return folder

    monkeypatch.setattr(versions, "make", make)
    monkeypatch.setattr(versions, "run_module", lambda *words, scripts: 0)
    with environments((ONE, TWO)) as made:
        assert run_tests(made, ()) == {str(ONE): 1, str(TWO): 0}
    assert f"{ONE}: no network" in capsys.readouterr().out


def test_one_failure_of_several_runs_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "make", lambda folder, python, pins: folder)
    monkeypatch.setattr(versions, "run_module", lambda name, quiet, word, scripts: int(word == "bad"))
    with environments((TWO,)) as made:
        assert run_tests(made, ("bad",), ("good",)) == {str(TWO): 1}
