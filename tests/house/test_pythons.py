"""Which Pythons run.py finds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools.pythons import find_newer, find_python, is_new_enough

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose only Pythons are those that a test puts there."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_a_python_that_does_not_start_is_not_new_enough(tmp_path: Path) -> None:
    """Version managers leave such names on PATH."""
    assert not is_new_enough(program(tmp_path / "python3.12", "exit 127"))
    assert not is_new_enough(tmp_path / "missing")
    assert is_new_enough(sys.executable)


def test_its_own_version_is_found_by_its_number() -> None:
    found = find_python(HERE)
    assert found is not None
    assert is_new_enough(found)


def test_a_number_finds_that_version_alone(elsewhere: Path) -> None:
    program(elsewhere / "bin" / "python3.99", f'exec "{os.path.realpath(sys.base_prefix)}/bin/python3" "$@"')
    assert find_python("3.99") is None  # it says so, and is another
    assert find_python(str(elsewhere / "bin" / "python3.99")) == str(elsewhere / "bin" / "python3.99")


def test_what_does_not_start_is_passed_over_for_one_of_pyenv_the_newest_first(elsewhere: Path) -> None:
    program(elsewhere / "bin" / f"python{HERE}", "exit 127")
    start = f'exec "{os.path.realpath(sys.base_prefix)}/bin/python3" "$@"'
    program(elsewhere / "pyenv" / "versions" / f"{HERE}.9" / "bin" / "python", start)
    newest = program(elsewhere / "pyenv" / "versions" / f"{HERE}.10" / "bin" / "python", start)
    assert find_python(HERE) == str(newest)


@pytest.mark.parametrize("wanted", ["3.999", "2.7", "3.12.1", "no-such-python", ""])
def test_what_is_not_there_is_not_found(wanted: str) -> None:
    assert find_python(wanted) is None


def test_the_first_name_on_the_path_that_starts_is_the_newer_one(elsewhere: Path) -> None:
    program(elsewhere / "bin" / "python3.14", "exit 127")
    good = program(elsewhere / "bin" / "python3.12", "exit 0")
    assert find_newer() == str(good)
