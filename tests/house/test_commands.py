"""run.py, the two commands of the README."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import run

TOP = Path(__file__).parents[2]
SETTINGS = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_readme_shows_both_commands() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    assert "python3 run.py job" in readme
    assert "python3 run.py test" in readme


def test_every_mark_belongs_to_the_slow_part() -> None:
    marks = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"][
        "markers"
    ]
    assert [mark.partition(":")[0] for mark in marks] == run.REST.split(" or ")
    assert f"not ({run.REST})" == run.QUICK


def test_the_extras_that_it_installs_exist() -> None:
    assert set(run.FOR_JOB) | set(run.FOR_TEST) <= set(SETTINGS["project"]["optional-dependencies"])


def test_the_oldest_versions_that_it_tests_are_those_that_are_asked_for() -> None:
    for pin in run.OLDEST_OF_JUPYTER:
        name, _, version = pin.removesuffix(".*").partition("==")
        asked = next(line for line in SETTINGS["project"]["dependencies"] if line.startswith(f"{name}>="))
        least = asked.partition(">=")[2].partition(",")[0]
        assert f"{version}.0".startswith(f"{least}.")


@pytest.mark.parametrize("arguments", [["jobb"], ["job", "surplus"], ["lint", "surplus"], ["versions", "a", "b"], []])
def test_what_it_does_not_understand_it_answers_with_its_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(arguments) == 2
    assert "python3 run.py test" in capsys.readouterr().out


def test_it_says_which_check_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.report({"mypy": 0, "quick tests": 1}) == 1
    assert "failed: quick tests" in capsys.readouterr().out
    assert run.report({"mypy": 0}) == 0


def test_a_python_that_does_not_start_is_not_new_enough(tmp_path: Path) -> None:
    """Version managers leave such names on PATH."""
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert not run.is_new_enough(shim)
    assert not run.is_new_enough(tmp_path / "missing")


def test_an_old_python_without_a_newer_one_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed"):
        run.go_on_with_a_newer_python()


def test_a_missing_notebook_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "TOP", tmp_path)
    with pytest.raises(run.SetupError, match=r"01-first-workers\.ipynb is not there"):
        run.job()


def test_versions_run_in_their_own_environment_and_not_in_the_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[tuple[str, str]] = []

    def note(words: list[str], env: dict[str, str], **_: object) -> CompletedProcess[str]:
        paths.append((words[0], env["PATH"]))
        return CompletedProcess(words, 0, "", "")

    monkeypatch.setattr("subprocess.run", note)
    assert run.versions("a-python") == 0
    python, path = paths[-1]
    assert path.split(os.pathsep)[0] == str(Path(python).parent) != str(run.BIN)
