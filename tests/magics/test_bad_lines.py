"""Every magic with lines that mean nothing: one sentence, or a SyntaxError at its line, and the cluster goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pydist
from pydist_magics._session import _TABLES

if TYPE_CHECKING:
    from tests.magics.shells import Outcome
    from tests.magics.teams import Team

pytestmark = pytest.mark.processes

ALL = [(magic.kind, name) for table in _TABLES for magic in table for name in magic.all_names]
#: What these get is code or a number of workers, so 99 is no worker.
NO_WORKER = {("line", name) for name in ("spawn", "fetch", "everywhere", "addprocs")}
#: Those that mean something without a word.
ALONE = {("line", name) for name in ("workers", "procs", "interrupt", "futures", "dashboard", "addprocs")}
#: What the line of a cell magic must be for its cell to be read.
LINES = {"spawnat": "{pid}", "everywhere": "", "pmap": "x in [1]", "distributed": "(+) for i in range(3)"}


every_magic = pytest.mark.parametrize(("kind", "name"), ALL, ids=lambda text: text)


def written(kind: str, name: str, line: str, body: str = "1") -> str:
    return f"%{name} {line}" if kind == "line" else f"%%{name} {line}\n{body}"


def check_usable(team: Team, processes: list[int]) -> None:
    assert pydist.procs() == processes
    assert team.value("%fetchfrom : pydist.myid()") == processes


def check_sentence(outcome: Outcome, kind: str, name: str) -> str:
    assert type(outcome.error).__name__ == "UsageError", outcome
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    marks = "%" if kind == "line" else "%%"
    assert outcome.stderr.startswith(f"UsageError: {marks}{name}: ")
    return outcome.stderr


def test_these_are_the_magics(team: Team) -> None:
    assert sorted(ALL) == sorted(team.shell._pydist_session._bound)  # type: ignore[attr-defined]


@every_magic
def test_an_unknown_option_is_named(team: Team, kind: str, name: str) -> None:
    processes = pydist.procs()
    outcome = team.run(written(kind, name, "--nonsense 1"))
    assert "there is no option --nonsense; it has --" in check_sentence(outcome, kind, name)
    check_usable(team, processes)


@every_magic
@pytest.mark.parametrize("line", ["99", "99 1"])
def test_an_unknown_worker_is_refused(team: Team, kind: str, name: str, line: str) -> None:
    if (kind, name) in NO_WORKER:
        return
    processes = pydist.procs()
    sentence = check_sentence(team.run(written(kind, name, line)), kind, name)
    assert "99" in sentence or ": it needs " in sentence
    check_usable(team, processes)


@every_magic
def test_nothing_is_told_what_is_needed(team: Team, kind: str, name: str) -> None:
    if (kind, name) in ALONE or (kind, name) == ("cell", "everywhere"):
        return
    processes = pydist.procs()
    assert " it " in check_sentence(team.run(written(kind, name, "")), kind, name)
    check_usable(team, processes)


@every_magic
@pytest.mark.parametrize("line", ["nonsense", "all nonsense", "((", "'open", "2 +", "[] 1", "-o", "\x00"])
def test_nonsense_is_a_sentence_or_an_error_of_the_code(team: Team, kind: str, name: str, line: str) -> None:
    processes = pydist.procs()
    outcome = team.run(written(kind, name, line))
    if type(outcome.error).__name__ == "UsageError":
        check_sentence(outcome, kind, name)
    elif isinstance(outcome.error, SyntaxError):
        if outcome.error.lineno is not None:  # a null byte has no place: an error of this kind since Python 3.12
            assert "line 1\n" in outcome.stdout
            assert f"%{name}" in outcome.stdout
    else:  # it was code, and ran
        errors = [outcome.error]
        if outcome.error is None:
            futures: Any = outcome.result if isinstance(outcome.result, list) else [outcome.result]
            errors = [future.exception() for future in futures]
        assert all(isinstance(one, (pydist.RemoteException, pydist.CompositeException)) for one in errors), outcome
        assert "pydist_magics/" not in outcome.stdout
        assert "_runtime/" not in outcome.stdout
    check_usable(team, processes)


@every_magic
def test_code_that_cannot_be_read_is_shown_at_its_line(team: Team, kind: str, name: str) -> None:
    processes = pydist.procs()
    pid = processes[1]
    if kind == "cell":
        outcome = team.run(written(kind, name, LINES[name].format(pid=pid), "y = 1\ny = = 2"))
        shown = "y = = 2"
    else:
        shown = f"f = %{name} {pid if ('line', name) not in NO_WORKER else ''} 1 +"
        outcome = team.run(f"x = 1\n\n{shown}\ny = 2")
        if type(outcome.error).__name__ == "UsageError":
            check_sentence(outcome, kind, name)
            return
    first, line, mark, last = outcome.stdout.rstrip().splitlines()
    assert first.startswith("  Cell In[")
    assert first.endswith("line 3")
    assert line.strip() == shown
    assert mark.strip() == "^"
    assert last == "SyntaxError: invalid syntax"
    check_usable(team, processes)


def test_a_line_in_a_function_is_shown_at_its_line_too(team: Team) -> None:
    team.value("\ndef spawn_something():\n    f = %spawn z z\n    return f\n")
    number = team.shell.execution_count - 1
    text = team.run("spawn_something()").stdout
    assert f"Cell In[{number}], line 3\n    f = %spawn z z\n" in text
    assert text.splitlines()[2].index("^") == text.splitlines()[1].index("z z") + 2
