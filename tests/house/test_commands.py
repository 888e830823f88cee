"""run.py, the two commands of the README."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import run
from tools.processes import SetupError
from tools.versions import EXTRAS

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
    assert {*run.FOR_JOB, *run.FOR_TEST, *EXTRAS} <= set(SETTINGS["project"]["optional-dependencies"])


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


def test_an_old_python_without_a_newer_one_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed"):
        run.go_on_with_a_newer_python()


def test_a_missing_notebook_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "TOP", tmp_path)
    with pytest.raises(SetupError, match=r"01-first-workers\.ipynb is not there"):
        run.job()


def test_a_python_that_is_asked_for_and_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["versions", "3.999"]) == 1
    assert "no Python '3.999'" in capsys.readouterr().err


def test_the_part_for_other_versions_is_there() -> None:
    paths = [word for words in run.SOME_ON_VERSIONS for word in words if word.startswith("tests/")]
    assert paths
    assert [path for path in paths if not (TOP / path).exists()] == []
