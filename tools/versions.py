"""The tests on the oldest and on the newest versions that are supported.

Each pair of versions has an environment of its own. A thread makes one after another while the caller does something
else; at the end they are removed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tools.processes import BIN, TOP, SetupError, run_module, run_quietly, say
from tools.pythons import find_python

EXTRAS = ("widgets", "examples", "test")

# The least that pyproject.toml asks for.
OLDEST_OF_JUPYTER = ("ipykernel==7.1.*", "ipython==9.0.*")


class Versions(NamedTuple):
    """A Python, by its number or its path, and what is pinned there; the rest is the newest that fits."""

    python: str
    pins: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Python {self.python}, {' '.join(self.pins) or 'the newest of everything'}"


if TYPE_CHECKING:
    #: Where the programs of each are, as soon as it is made.
    Environments = dict[Versions, concurrent.futures.Future[Path]]

MATRIX = (Versions("3.11", OLDEST_OF_JUPYTER), Versions("3.12"), Versions("3.13"))


def both_of(python: str) -> tuple[Versions, ...]:
    """Return the oldest and the newest versions for one Python."""
    return Versions(python, OLDEST_OF_JUPYTER), Versions(python)


@contextlib.contextmanager
def environments(wanted: tuple[Versions, ...]) -> Iterator[Environments]:
    """Make the environments for some versions, one after another in a thread; at the end remove them.

    A Python that this machine does not have is left out, and that is said.
    """
    folder = Path(tempfile.mkdtemp(prefix="pydist-versions-"))
    maker = concurrent.futures.ThreadPoolExecutor(1)
    made: Environments = {}
    try:
        for number, versions in enumerate(wanted):
            python = find_python(versions.python)
            if python is None:
                say(f"there is no Python {versions.python} that can make virtual environments: its tests are skipped")
            else:
                made[versions] = maker.submit(make, folder / str(number), python, versions.pins)
        yield made
    finally:
        maker.shutdown(cancel_futures=True)
        shutil.rmtree(folder, ignore_errors=True)


def make(folder: Path, python: str, pins: tuple[str, ...]) -> Path:
    """Make an environment with the project in it; return where its programs are."""
    run_quietly(f"{python} could not make a virtual environment", python, "-m", "venv", folder)
    scripts = folder / BIN.name
    run_quietly(
        f"pip could not install the project for {python}",
        # To compile all that is installed takes longer than to compile what the tests import.
        *(scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-compile", f"{TOP}[{','.join(EXTRAS)}]", *pins),
    )
    return scripts


def run_tests(made: Environments, *runs: tuple[str, ...]) -> dict[str, int]:
    """Run pytest in each environment, once with each of these arguments; return an exit code for each."""
    return {str(versions): _run_tests(versions, scripts, runs) for versions, scripts in made.items()}


def _run_tests(versions: Versions, made: concurrent.futures.Future[Path], runs: tuple[tuple[str, ...], ...]) -> int:
    try:
        scripts = made.result()
    except SetupError as error:
        say(f"{versions}: {error}")
        return 1
    say(f"testing on {versions}")
    # Tests that start `pydist` or `jupyter` by name are to find those of this environment, not those of .venv.
    return max([run_module("pytest", "-q", *arguments, scripts=scripts) for arguments in runs])
