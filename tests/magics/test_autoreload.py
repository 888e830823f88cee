"""A module beside the notebook is edited between two cells, with ``%autoreload`` and without."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.magics.fronts import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

WAYS = [
    "%fetchfrom all beside.value()",
    "%fetchfrom all value()",
    "%fetchfrom all Model().predict()",
    "%fetchfrom all old.predict()",
    "%fetchfrom all theirs()",
    "pydist.pmap(work, range(2))",
]


class Edits:
    """Writes the module; each version is younger than the one before."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "beside.py"
        self._time = time.time() - 1000

    def write(self, value: int, constant: int = 0) -> None:
        text = (
            f"CONSTANT = {constant}\ndef value(): return {value}\nclass Model:\n    def predict(self): return {value}\n"
        )
        self._file.write_text(text)
        os.utime(self._file, (self._time, self._time))
        # Later than any import so far, and than the version before.
        self._time = time.time() + 10 * (value + 1)


@pytest.fixture
def edits(tmp_path: Path) -> Edits:
    edits = Edits(tmp_path)
    edits.write(0)
    return edits


@pytest.fixture(params=["plain", "ours"])
def kernel(
    request: pytest.FixtureRequest, tmp_path: Path, edits: Edits, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FrontEnd]:
    monkeypatch.chdir(tmp_path)
    with FrontEnd(plain=request.param == "plain") as kernel:
        yield kernel


@pytest.fixture
def begin(kernel: FrontEnd) -> Callable[[str], None]:
    def begin(first: str) -> None:
        kernel.run(first)
        kernel.run(
            "import beside, pydist\nfrom beside import Model, value\nold = Model()\ndef work(i): return beside.value()"
        )
        kernel.run("%%everywhere\nfrom beside import value as theirs")
        assert answers(kernel) == [[0, 0]] * len(WAYS)

    return begin


def answers(kernel: FrontEnd) -> list[object]:
    return [kernel.evaluate(way) for way in WAYS]


def test_workers_get_what_autoreload_has_brought_in(
    kernel: FrontEnd, edits: Edits, begin: Callable[[str], None]
) -> None:
    begin("%load_ext autoreload\n%autoreload 2")
    edits.write(1)  # functions and classes alone: nothing is imported for that
    assert answers(kernel) == [[1, 1]] * len(WAYS)
    edits.write(2, constant=5)
    assert answers(kernel) == [[2, 2]] * len(WAYS)
    assert kernel.evaluate("%fetchfrom all beside.CONSTANT") == [5, 5]


def test_without_it_the_old_code_runs_and_one_warning_says_so(
    kernel: FrontEnd, edits: Edits, begin: Callable[[str], None]
) -> None:
    begin("pass")
    edits.write(1)
    kernel.run("import pydist._runtime.sources; pydist._runtime.sources._due.clear()")
    cell = kernel.run("%fetchfrom all beside.value()")
    assert cell.result == "[0, 0]"
    assert "beside.py has been changed since process 1 imported it" in cell.stderr
    assert answers(kernel) == [[0, 0]] * len(WAYS)
