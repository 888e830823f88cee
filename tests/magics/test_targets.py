"""What P may be: ids, any, all, slices of ids, lists, words, expressions."""

from __future__ import annotations

from typing import Any

import pytest

from pydist_magics._command import Mistake
from pydist_magics.targets import ANY, Target, collect, resolve

PROCS = (1, 2, 3, 5, 6, 9)


class Pool:
    def workers(self) -> list[int]:
        return [5, 6]


class Index:
    """An integer of another library."""

    def __index__(self) -> int:
        return 3


NAMES: dict[str, Any] = {"n": 2, "ids": [3, 5], "pool": Pool(), "text": "2", "index": Index(), "empty": [], "yes": True}


def evaluate(text: str) -> Any:
    return eval(text, dict(NAMES))


@pytest.mark.parametrize(
    ("text", "pids", "several"),
    [
        ("2", (2,), False),
        ("1", (1,), False),
        ("n", (2,), False),
        ("n+1", (3,), False),
        ("index", (3,), False),
        ("all", (2, 3, 5, 6, 9), True),
        (":", PROCS, True),
        ("2:5", (2, 3), True),
        ("2:6", (2, 3, 5), True),
        (":5", (1, 2, 3), True),
        ("5:", (5, 6, 9), True),
        ("1:3", (1, 2), True),
        ("::2", (2, 5, 9), True),
        ("3::2", (3, 6), True),
        (":6:2", (2, 5), True),
        ("::", PROCS, True),
        ("[2,3]", (2, 3), True),
        ("[2]", (2,), True),
        ("[3,2,3]", (3, 2), True),
        ("(2, 3)", (2, 3), True),
        ("{2}", (2,), True),
        ("ids", (3, 5), True),
        ("ids[0]", (3,), False),
        ("range(2, 4)", (2, 3), True),
        ("slice(2, 4)", (2, 3), True),
        ("slice(2, None)", (2, 3, 5, 6, 9), True),
        ("pool", (5, 6), True),
    ],
)
def test_a_target_is_ids(text: str, pids: tuple[int, ...], several: bool) -> None:
    assert resolve(text, PROCS, evaluate) == Target(pids, several)


def test_any_leaves_the_choice_open() -> None:
    assert resolve("any", PROCS, evaluate) is ANY
    assert ANY.any


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("99", "no process with id 99 exists; there are 1, 2, 3, 5, 6, 9"),
        ("[2, 99]", "no process with id 99 exists"),
        ("4", "no process with id 4 exists"),
        ("0", "no process with id 0 exists"),
        ("-1", "no process with id -1 exists"),
        ("20:30", "no process has an id in 20:30"),
        ("-2:", "nothing in it is negative"),
        ("::-1", "nothing in it is negative"),
        ("::0", "nothing in it is negative"),
        ("x", "'x' does not name a process: name 'x' is not defined"),
        ("2 +", "'2 +' does not name a process: it is an id, any, all"),
        ("1/0", "'1/0' does not name a process: ZeroDivisionError: division by zero"),
        ("text", "text is a str, not the id of a process"),
        ("2.0", "2.0 is a float, not the id of a process"),
        ("[2, 'a']", "[2, 'a'] is a list, not the id of a process"),
        ("empty", "empty names no process: it is empty"),
        ("yes", "yes is a bool, not the id of a process"),
    ],
)
def test_what_names_no_process_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Mistake) as info:
        resolve(text, PROCS, evaluate)
    assert sentence in str(info.value)
    assert "\n" not in str(info.value)


def test_without_workers_all_is_a_mistake() -> None:
    with pytest.raises(Mistake, match="there are no workers; %addprocs 2 starts two"):
        resolve("all", (1,), evaluate)


def test_an_unknown_id_without_workers_says_so() -> None:
    with pytest.raises(Mistake, match="there is only process 1"):
        resolve("2", (1,), evaluate)


@pytest.mark.parametrize(
    ("line", "pids"),
    [
        ("", None),
        ("  # nothing", None),
        ("2 3", (2, 3)),
        ("2, 3", (2, 3)),
        ("3 2 3", (3, 2)),
        ("2:4 9", (2, 3, 9)),
        ("[2, 3] n", (2, 3)),
        ("all", (2, 3, 5, 6, 9)),
    ],
)
def test_several_targets_may_stand_as_words(line: str, pids: tuple[int, ...] | None) -> None:
    assert collect(line, PROCS, evaluate) == pids


def test_any_is_not_a_set_of_processes() -> None:
    with pytest.raises(Mistake, match="any is one process for one call"):
        collect("2 any", PROCS, evaluate)
