"""The examples in docstrings and in docs/many-workers.md, run as they stand there on a cluster."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pydist

#: Called by IPython, not by users.
WITHOUT = {"load_ipython_extension", "unload_ipython_extension"}

#: In a ``__main__`` of its own, as in a notebook. `procs` and `addprocs` begin with no worker.
_SCRIPT = """
import doctest, sys, time
import pydist

names = vars(sys.modules["__main__"])
names.update({name: getattr(pydist, name) for name in dir(pydist) if not name.startswith("_")})
finder = doctest.DocTestFinder()
runner = doctest.DocTestRunner()


def run(name):
    for test in finder.find(getattr(pydist, name), name, module=False, globs={}):
        test.globs = names
        runner.run(test, clear_globs=False)


first = ["procs", "addprocs"]
for name in first:
    run(name)
for name in sorted(set(pydist.__dir__()) - {*first}):
    if callable(getattr(pydist, name)) and not name.startswith("_"):
        run(name)
print(runner.summarize(verbose=False).attempted, "examples")
sys.exit(runner.failures > 0)
"""


def functions() -> list[str]:
    return [name for name in dir(pydist) if name[0] != "_" and inspect.isfunction(getattr(pydist, name))]


@pytest.mark.parametrize("name", sorted({*functions()} - WITHOUT))
def test_every_function_shows_how_it_is_used(name: str) -> None:
    assert ">>>" in (getattr(pydist, name).__doc__ or "")


@pytest.mark.processes
@pytest.mark.slow
def test_the_examples_do_what_they_show() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-2]) >= 80


PAGE = Path(__file__).parents[2] / "docs" / "many-workers.md"

_RUN_PAGE = """
import doctest, sys

names = vars(sys.modules["__main__"])
test = doctest.DocTestParser().get_doctest(sys.stdin.read(), names, "page", "page", 0)
test.globs = names
result = doctest.DocTestRunner().run(test, clear_globs=False)
print(result.attempted, "examples")
sys.exit(result.failed > 0)
"""


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return found


@pytest.mark.processes
@pytest.mark.slow
def test_the_page_about_many_workers_does_what_it_shows() -> None:
    pytest.importorskip("joblib")
    page = "\n".join(blocks("pycon"))
    done = subprocess.run(
        [sys.executable, "-c", _RUN_PAGE], input=page, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert int(done.stdout.split()[-2]) == page.count(">>> ")


@pytest.mark.processes
@pytest.mark.slow
def test_its_bar_fills() -> None:
    pytest.importorskip("tqdm")
    (block,) = blocks("python")
    script = f"import pydist\npydist.addprocs(2)\n{block}\nprint(total)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "500500\n"), done.stderr
    assert "100%" in done.stderr
    assert "1000/1000" in done.stderr
