"""Looking at what workers have, and completing their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from IPython.core.completer import provisionalcompleter

import pydist
from tests.core.gates import Gate

if TYPE_CHECKING:
    from tests.magics.teams import Team

pytestmark = pytest.mark.processes


@pytest.fixture
def pid(team: Team) -> int:
    pid = pydist.workers()[0]
    team.run(
        f"%%everywhere {pid}\n"
        "def far_off(x, y=2):\n"
        "    'Adds.'\n"
        "    return x + y\n"
        "class Deep:\n"
        "    inner = 'text'\n"
        "    @property\n"
        "    def trap(self): touched.append(1)\n"
        "touched = []\n"
        "deep_thing = Deep()\n"
        "far_list = list(range(1000))"
    )
    return pid


def completions(team: Team, line: str) -> list[str]:
    with provisionalcompleter():
        found = list(team.shell.Completer.completions(line, len(line)))
    return [line[: one.start] + one.text for one in found]


def test_a_function_is_shown_with_signature_and_documentation(team: Team, pid: int) -> None:
    shown = team.run(f"%inspect {pid} far_off").stdout
    assert shown.startswith("signature: far_off(x, y=2)\ntype: function\nvalue: <function far_off at ")
    assert shown.endswith("doc: Adds.\n")
    assert (
        "source:\ndef far_off(x, y=2):\n    'Adds.'\n    return x + y\n"
        in team.run(f"%inspect --source {pid} far_off").stdout
    )


def test_a_long_value_is_shown_short(team: Team, pid: int) -> None:
    shown = team.run(f"%inspect {pid} far_list").stdout
    assert "value: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]\n" in shown
    assert "size: 1000 items\n" in shown
    assert "value: 7\n" in team.run(f"%inspect {pid} far_list[7]").stdout


def test_names_of_the_worker_are_offered(team: Team, pid: int) -> None:
    assert f"%fetchfrom {pid} far_off" in completions(team, f"%fetchfrom {pid} far_o")
    assert f"f = %spawnat {pid} len(far_list" in completions(team, f"f = %spawnat {pid} len(far_l")
    assert f"%inspect {pid} deep_thing.inner" in completions(team, f"%inspect {pid} deep_thing.in")
    assert not any("far_off" in text for text in completions(team, f"%fetchfrom {pydist.workers()[1]} far_o"))


def test_completion_runs_nobodys_code(team: Team, pid: int) -> None:
    assert f"%inspect {pid} deep_thing.trap" in completions(team, f"%inspect {pid} deep_thing.tr")
    completions(team, f"%inspect {pid} deep_thing.trap.re")  # of the property itself, which nobody reads
    assert team.value(f"%fetchfrom {pid} touched") == []


def test_a_worker_that_computes_keeps_nobody_from_looking(team: Team, pid: int) -> None:
    gate = Gate(pid, "while we look")
    blocked = pydist.remotecall(gate.stand, pid, gate.name)
    gate.wait_for_arrival()
    assert f"%fetchfrom {pid} far_off" in completions(team, f"%fetchfrom {pid} far_o")
    assert "signature" in team.run(f"%inspect {pid} far_off").stdout
    gate.open()
    blocked.wait()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%inspect", "it needs a process and a name"),
        ("%inspect {0}", "it needs a process and a name"),
        ("%inspect all x", "it needs the id of one process, not all"),
        ("%inspect {0} nowhere", "on process {0}, name 'nowhere' is not defined"),
        ("%inspect {0} 1 +", "'1 +' is not a Python expression"),
        ("%inspect 9999 x", "no process with id 9999 exists"),
    ],
)
def test_a_slip_is_one_sentence(team: Team, pid: int, line: str, sentence: str) -> None:
    assert sentence.format(pid) in team.mistake(line.format(pid))
