"""The Pythons of this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.processes import succeeds

OLDEST = (3, 11)
_NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")


def is_new_enough(python: str | Path) -> bool:
    """Tell whether ``python`` starts and is one that the project supports."""
    return succeeds(python, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})")


def find_newer() -> str | None:
    """Return the first Python on PATH that is new enough."""
    found = [shutil.which(name) for name in _NEWER_NAMES]
    return next((python for python in found if python and is_new_enough(python)), None)


def find_python(wanted: str) -> str | None:
    """Return the path of a Python that can make virtual environments.

    Args:
        wanted: its version, such as "3.12", or its name or path.
    """
    number = tuple(map(int, wanted.split("."))) if re.fullmatch(r"3\.\d+", wanted) else ()
    candidates = _candidates(wanted) if number else [shutil.which(wanted)]
    right = f"sys.version_info >= {OLDEST} and sys.version_info[:{len(number)}] == {number}"
    # Debian and Ubuntu cut ensurepip out of their Python; version managers leave names on PATH that start nothing.
    code = f"import ensurepip, sys, venv; sys.exit(not ({right}))"
    return next((python for python in candidates if python and succeeds(python, "-c", code)), None)


def _candidates(version: str) -> Iterator[str | None]:
    yield sys.executable
    yield shutil.which(f"python{version}")
    yield shutil.which("python3")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    # The newest first: 3.12.10 comes before 3.12.9.
    for folder in sorted(pyenv.glob(f"{version}.*"), key=_numbers, reverse=True):
        yield str(folder / "bin" / "python")


def _numbers(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.name)]
