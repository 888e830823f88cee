"""Bad input ends in one clear sentence; nothing is started, nothing is lost."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pydist

pytestmark = pytest.mark.processes

LOCK = threading.Lock()


def unimportable() -> None:
    import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401


SENTENCES: dict[str, tuple[Callable[[list[int]], Any], type[BaseException], str]] = {
    "no such worker": (lambda pids: pydist.remotecall(abs, 999, -1), ValueError, "no process with id 999 exists"),
    "an id that is none": (lambda pids: pydist.remotecall(abs, "x"), TypeError, "by its id"),  # type: ignore[arg-type]
    "process first": (lambda pids: pydist.remotecall(pids[0], abs), TypeError, "first argument must be callable"),  # type: ignore[arg-type]
    "no function": (lambda pids: pydist.fetchfrom(pids[0], "1+1"), TypeError, "takes a process and a function"),  # type: ignore[arg-type]
    "environment": (lambda pids: pydist.addprocs(1, env="X=1"), TypeError, "env must be a dict of variables"),
    "unknown keyword": (lambda pids: pydist.addprocs(1, foo=1), TypeError, "Invalid keyword argument foo"),
    "negative number": (lambda pids: pydist.addprocs(-1), ValueError, "must not be negative"),
    "no number": (lambda pids: pydist.addprocs(1.5), TypeError, "must be an integer"),
    "other topology": (lambda pids: pydist.addprocs(1, topology="master_worker"), ValueError, "already exist"),
    "other laziness": (lambda pids: pydist.addprocs(1, lazy=False), ValueError, "Cannot set lazy=False"),
    "no topology": (lambda pids: pydist.addprocs(1, topology="ring"), ValueError, "topology must be one of"),
    "time-out": (lambda pids: pydist.addprocs(1, timeout=-1), ValueError, "timeout must be positive"),
    "interpreter": (lambda pids: pydist.addprocs(1, exename="/no/python"), pydist.CompositeException, "/no/python"),
    "wrong program": (lambda pids: pydist.addprocs(1, exename="/bin/false"), pydist.CompositeException, "/bin/false"),
    "no folder": (lambda pids: pydist.addprocs(1, dir="/no/where"), pydist.CompositeException, "there is no folder"),
    "argument": (lambda pids: pydist.remotecall(print, pids[0], LOCK), TypeError, "cannot pickle"),
    "result": (lambda pids: pydist.remotecall_fetch(threading.Lock, pids[0]), TypeError, "cannot pickle"),
    "module": (lambda pids: pydist.remotecall_fetch(unimportable, pids[0]), ImportError, "no_such_module_anywhere"),
    "interrupt nobody": (lambda pids: pydist.interrupt(999), ValueError, "no process with id 999 exists"),
    "procs of nobody": (lambda pids: pydist.procs(999), ValueError, "no process with id 999 exists"),
    "pmap of nothing": (lambda pids: pydist.pmap(abs), TypeError, "at least one iterable"),
    "pmap of a number": (lambda pids: pydist.pmap(abs, 3), TypeError, "3 is not iterable"),
    "batch size": (lambda pids: pydist.pmap(abs, [1], batch_size=0), ValueError, "positive integer"),
    "empty pool": (lambda pids: pydist.pmap(abs, [1], pool=[]), ValueError, "No active worker available in pool"),
    "code": (lambda pids: pydist.everywhere("1 +"), SyntaxError, "invalid syntax"),
    "cookie": (lambda pids: pydist.cluster_cookie("x" * 17), ValueError, "at most 16 ASCII characters"),
    "no such channel": (
        lambda pids: pydist.channel_from_id(pydist.RRID(1, 10**9)),
        LookupError,
        "Local instance of remote reference not found",
    ),
    "a caching pool in a call": (
        lambda pids: pydist.remotecall(print, pids[0], pydist.CachingPool(pids)),
        TypeError,
        "CachingPool objects are not serializable.",
    ),
    "a Future set twice": (
        lambda pids: pydist.Future().put(1).put(2),
        pydist.InvalidStateException,
        "Future can be set only once",
    ),
    "a program that never speaks": (
        lambda pids: pydist.addprocs(
            1, exename=sys.executable, exeflags=("-c", "import time; time.sleep(60)"), timeout=1
        ),
        pydist.CompositeException,
        "did not ",
    ),
    "add on a worker": (
        lambda pids: pydist.remotecall_fetch(pydist.addprocs, pids[0], 1),
        RuntimeError,
        "Only process 1 can add and remove workers",
    ),
}


@pytest.mark.parametrize("case", SENTENCES.values(), ids=SENTENCES)
def test_bad_input_gets_one_sentence_and_leaves_the_cluster_as_it_was(
    case: tuple[Callable[[list[int]], Any], type[BaseException], str], pids: list[int]
) -> None:
    do, kind, sentence = case
    with pytest.raises(kind) as caught:
        do(pids)
    assert sentence in str(caught.value)
    assert pydist.workers() == pids
    assert [pydist.remotecall_fetch(pydist.myid, pid) for pid in pids] == pids


def notes_of(do: Callable[[], Any]) -> str:
    """Return the notes of what a call raises, and of its cause."""
    with pytest.raises((TypeError, ImportError)) as caught:
        do()
    errors: list[BaseException | None] = [caught.value, caught.value.__cause__]
    return "\n".join(note for error in errors for note in getattr(error, "__notes__", ()))


def test_it_is_said_what_could_not_be_sent(pids: list[int]) -> None:
    assert "sending acquire and its arguments" in notes_of(lambda: pydist.remotecall(LOCK.acquire, pids[0]))
    assert "the value that the call has returned" in notes_of(lambda: pydist.remotecall_fetch(threading.Lock, pids[0]))


def test_a_module_that_can_be_imported_here_alone_is_said_to_be(
    pids: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "known_here_alone.py").write_text("def f(): pass")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("known_here_alone").f
    assert f"can be imported here, from {tmp_path}" in notes_of(lambda: pydist.remotecall_fetch(function, pids[0]))
