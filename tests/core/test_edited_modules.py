"""A module beside the notebook that is edited while the workers live."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.sessions import Session

pytestmark = pytest.mark.processes


def write(folder: Path, value: int) -> None:
    """Write the module; it is younger than anything that was imported before."""
    file = folder / "beside.py"
    file.write_text(f"VALUE = {value}\ndef value(): return VALUE\n")
    # Python takes compiled code for current if the time in seconds and the size are those of the source.
    later = time.time() + 10 * value
    os.utime(file, (later, later))


@pytest.fixture
def edited(own_session: Callable[..., Session], tmp_path: Path) -> Session:
    """Return a session with two workers that has imported the module and called it by name on each."""
    file = tmp_path / "beside.py"
    file.write_text("VALUE = 0\ndef value(): return VALUE\n")
    os.utime(file, (1e9, 1e9))
    session = own_session()
    session.run("import sys, importlib; sys.path.insert(0, '')")
    session.run("import beside\nfrom beside import value\ndef work(i): return beside.value() + 0 * i")
    session.run("pydist.everywhere(\"import sys; sys.path.insert(0, '')\")")
    return session


ON_EACH = "[pydist.remotecall_fetch(work, pid, 0) for pid in pydist.workers()]"


def test_what_is_imported_anew_here_is_imported_anew_there(edited: Session, tmp_path: Path) -> None:
    assert edited.run(ON_EACH) == [0, 0]
    for n in (1, 2):
        write(tmp_path, n)
        # As if time had passed since: the file lies in the future.
        edited.run(f"import time; _now = time.time; time.time = lambda: _now() + {10 * n + 5}")
        edited.run("importlib.reload(beside)\ntime.time = _now")
        assert edited.run(ON_EACH) == [n, n]
        assert edited.err == ""


def test_a_worker_that_has_imported_it_by_itself_does_so_too(edited: Session, tmp_path: Path) -> None:
    edited.run('pydist.everywhere("import beside")')
    write(tmp_path, 1)
    edited.run("import time; _now = time.time; time.time = lambda: _now() + 15")
    edited.run("importlib.reload(beside)\ntime.time = _now")
    assert edited.run(ON_EACH) == [1, 1]


@pytest.mark.parametrize("call", ["pydist.pmap(work, range(4))", "[pydist.fetchfrom(2, value)] * 4"])
def test_what_is_not_imported_anew_is_named_once_and_runs_as_it_was(call: str, edited: Session, tmp_path: Path) -> None:
    assert edited.run(call) == [0] * 4
    assert edited.err == ""
    write(tmp_path, 1)
    edited.run("import pydist._runtime.sources; pydist._runtime.sources._due.clear()")
    assert edited.run(call) == [0] * 4
    assert "beside.py has been changed since process 1 imported it" in edited.err
    assert "importlib.reload(beside)" in edited.err
    edited.run("pydist._runtime.sources._due.clear()")
    assert edited.run(call) == [0] * 4
    assert edited.err == ""


def test_a_module_that_stays_as_it_is_is_not_loaded_again(edited: Session) -> None:
    assert edited.run(ON_EACH) == [0, 0]
    edited.run("pydist.everywhere('beside.VALUE = 7', pydist.workers())")
    edited.run("def other(): return beside.value()")
    assert edited.run("pydist.fetchfrom(2, other)") == 7
