"""What is offered at the cursor of a magic's line."""

from __future__ import annotations

import pytest

from pydist_magics import _call_magics, _cluster_magics, _pmap_magics
from pydist_magics._command import Command
from pydist_magics._completion import offers

MAGICS = (*_cluster_magics.MAGICS, *_call_magics.MAGICS, *_pmap_magics.MAGICS)


def find(kind: str, name: str) -> Command | None:
    return next((magic.command for magic in MAGICS if magic.kind == kind and name in magic.all_names), None)


def offered(before: str) -> list[str] | None:
    found = offers(before, find, lambda: [1, 2, 3, 12])
    return None if found is None else [offer.text for offer in found[0]]


@pytest.mark.parametrize(
    ("before", "texts"),
    [
        ("%spawnat ", ["1", "2", "3", "12", "any", "all"]),
        ("%spawnat 1", ["1", "12"]),
        ("f = %spawnat ", ["1", "2", "3", "12", "any", "all"]),
        ("  %fetchfrom 3", ["3"]),
        ("%rmprocs ", ["2", "3", "12", "all"]),
        ("%rmprocs 2 ", ["2", "3", "12", "all"]),
        ("%restart ", ["2", "3", "12", "all"]),
        ("%addprocs ", ["auto"]),
        ("%addprocs --topology m", ["master_worker"]),
        ("%pmap f xs --batch-size ", ["auto"]),
        ("%%everywhere 2 1", ["1", "12"]),
        ("%%everywhere --t", ["--timeout"]),
        ("%%everywhere --", ["--workers", "--timeout", "--help"]),
        ("%%everywhere --workers --", ["--timeout", "--help"]),
        ("%everywhere --w", ["--workers"]),
        ("%pmap f(x) for x in xs --b", ["--batch-size"]),
        ("%pmap f(x) for x in xs --pool ", ["1", "2", "3", "12"]),
        ("%pmap f(x) for x in xs --retry ", []),
        ("%addprocs 4 --env A=1 --en", ["--env", "--enable-threaded-blas"]),
        ("%%spawnat 2 -", ["--output", "--help"]),
        ("%procs ", ["1", "2", "3", "12", "all"]),
    ],
)
def test_options_and_processes_are_offered_where_they_may_stand(before: str, texts: list[str]) -> None:
    assert offered(before) == texts


@pytest.mark.parametrize(
    "before",
    [
        "%spawnat 2 f",
        "%spawnat 2 ",
        "%spawnat 2 -x",
        "%everywhere import n",
        "%everywhere ",
        "%spawn f",
        "%pmap f",
        "%spawnat n",
        "%timeit 2",
        "spawnat ",
        "%spawnat",
        "x = 2",
    ],
)
def test_where_code_stands_ipython_is_asked(before: str) -> None:
    assert offered(before) is None
