"""What a cell has shown is let go of, unless somebody holds it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

import pydist
from pydist_magics._results import LetGo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.magics.teams import Team

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _three_cells(team: Team) -> Iterator[None]:
    team.run("%config PyDist.keep_results = 3")
    yield
    team.run("quiet = None")


def held(team: Team) -> int:
    """Return how many values the first worker keeps for this process."""
    gc.collect()
    pydist.refs()  # which tells the owners what has been dropped
    return pydist.remotecall_fetch(_held_by_master, pydist.workers()[0])


def _held_by_master() -> int:
    return sum(1 in info.held_by for info in pydist.refs())


def pass_cells(team: Team, n: int) -> None:
    for i in range(n):
        team.run(f"quiet = {i}")


def show(team: Team, code: str) -> int:
    """Run a cell that shows a result, and return the number of that."""
    number = team.shell.execution_count
    team.run(code)
    return number


def first(team: Team) -> int:
    return pydist.workers()[0]


def test_a_future_that_was_only_shown_is_let_go_of_some_cells_later(team: Team) -> None:
    before = held(team)
    number = show(team, f"%spawnat {first(team)} [0] * 1000")
    pass_cells(team, 2)
    assert held(team) == before + 1
    assert isinstance(team.value("_"), pydist.Future)
    pass_cells(team, 3)
    assert held(team) == before
    for name in (f"Out[{number}]", f"_{number}"):
        outcome = team.run(f"gone = {name}")
        assert outcome.error is None
        assert isinstance(team.shell.user_ns["gone"], LetGo)
    assert "was let go of, 3 cells after it was shown: bind it to a name" in repr(team.shell.user_ns["gone"])
    assert isinstance(team.run(f"Out[{number}].fetch()").error, ReferenceError)


def test_the_underscores_let_go_as_well(team: Team) -> None:
    before = held(team)
    show(team, f"%spawnat {first(team)} [0]")
    show(team, f"%spawnat {first(team)} [1]")
    show(team, f"%spawnat {first(team)} [2]")
    assert held(team) == before + 3
    pass_cells(team, 4)
    assert held(team) == before
    assert team.value("'still works'") == "still works"
    assert team.value("_") == "still works"


def test_what_has_a_name_stays_in_out(team: Team) -> None:
    number = show(team, f"mine = %spawnat {first(team)} [3]\nmine")
    pass_cells(team, 5)
    assert team.value(f"Out[{number}] is mine")
    assert team.value("mine.fetch()") == [3]


def test_after_del_it_goes(team: Team) -> None:
    before = held(team)
    show(team, f"mine = %spawnat {first(team)} [3]\nmine")
    pass_cells(team, 5)
    team.run("del mine")
    pass_cells(team, 1)
    assert held(team) == before


def test_a_result_shown_twice_goes_when_both_are_old(team: Team) -> None:
    before = held(team)
    show(team, f"%spawnat {first(team)} [4]")
    team.run("quiet = 1")
    show(team, "_")
    pass_cells(team, 2)
    assert held(team) == before + 1
    pass_cells(team, 3)
    assert held(team) == before


def test_lists_of_futures_go_too(team: Team) -> None:
    before = held(team)
    show(team, "%spawnat all [5]")
    pass_cells(team, 4)
    assert held(team) == before


def test_a_list_whose_futures_are_held_stays_what_it_is(team: Team) -> None:
    number = show(team, "fs = %spawnat all [5]\nfs")
    pass_cells(team, 5)
    assert team.value(f"[f.fetch() for f in Out[{number}]]") == [[5]] * 3
    team.run("del fs")


def test_a_fetched_future_keeps_nothing_and_stays(team: Team) -> None:
    number = show(team, f"%spawnat {first(team)} 6")
    team.run("_.fetch()")
    pass_cells(team, 5)
    assert team.value(f"Out[{number}].fetch()") == 6


def test_other_results_are_left_alone(team: Team) -> None:
    number = show(team, "[object(), 7]")
    pass_cells(team, 5)
    assert team.value(f"Out[{number}][1]") == 7


def test_with_zero_everything_stays(team: Team) -> None:
    team.run("%config PyDist.keep_results = 0")
    number = show(team, f"%spawnat {first(team)} [8]")
    pass_cells(team, 6)
    assert team.value(f"Out[{number}].fetch()") == [8]


@pytest.mark.parametrize(
    "code",
    [
        "def fails(f):\n    raise ValueError\nfails(pydist.spawnat({0}, list, 'ab'))",
        "def fails():\n    f = pydist.spawnat({0}, list, 'ab')\n    return f.wait() + f\nfails()",
        "fs = [pydist.spawnat({0}, list, 'ab')]\ndef fails(fs):\n    f = fs.pop()\n    1 / 0\nfails(fs)",
    ],
)
def test_the_frames_of_an_error_let_go_some_cells_later(team: Team, code: str) -> None:
    before = held(team)
    assert team.run("import pydist\n" + code.format(first(team))).error is not None
    team.run("1 + 1")
    pass_cells(team, 4)
    assert held(team) == before


@pytest.mark.parametrize(
    "code", ["%fetchfrom {0} 1 / 0", "%fetchfrom all [1][2]", "%distributed (+) 1/0 for i in [1, 2, 3]"]
)
def test_an_error_of_a_magic_holds_nothing_from_the_beginning(team: Team, code: str) -> None:
    before = held(team)
    outcome: Any = team.run(code.format(first(team)))
    assert outcome.error is not None
    del outcome
    team.run("quiet = 1")
    assert held(team) == before
