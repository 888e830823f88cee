"""The values that a process owns: each entry is there as long as somebody holds it, or waits for what is to come."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

import pydist
from pydist._runtime.store import Store
from tests.core.gates import LIMIT, Gate

REF = (1, 7)


@pytest.fixture
def store() -> Store:
    """Return a store of which process 1 has asked for `REF`."""
    store = Store()
    store.is_to_come = lambda ref: ref == REF
    return store


def test_whoever_waits_gets_the_value_though_all_known_holders_have_let_go(store: Store) -> None:
    told: list[Any] = []
    entry = store.entry(REF)
    assert not store.when_settled(entry, lambda: told.append(entry.value))
    store.hold(REF, 2)
    store.release(REF, 2)
    store.hold(REF, 3)  # it was 3 that waits: this has been overtaken
    store.keep(REF, 1, "here")
    assert told == ["here"]
    store.release(REF, 3)
    store.release(REF, 1)
    assert not store.entries


@pytest.mark.parametrize("goes", [Store.release, Store.forget])
def test_what_was_kept_for_those_who_waited_goes_if_nobody_holds_it(goes: Any, store: Store) -> None:
    told: list[str] = []
    store.when_settled(store.entry(REF), lambda: told.append("there"))
    goes(store, REF, 1) if goes is Store.release else goes(store, 1)
    store.is_to_come = lambda ref: False  # it is being answered
    store.keep(REF, 1, "here")
    assert told == ["there"]
    assert not store.entries


def test_an_entry_made_for_one_who_waits_no_more_goes(store: Store) -> None:
    def told() -> None:
        raise AssertionError("it was taken back")

    store.when_settled(store.entry(REF), told)
    store.hold(REF, 2)
    store.call_no_more(REF, told)
    assert store.entries[REF].holders
    store.release(REF, 2)
    assert not store.entries
    store.when_settled(store.entry(REF), told)
    store.call_no_more(REF, told)
    assert not store.entries


def test_a_value_that_is_not_asked_for_goes_with_its_last_holder(store: Store) -> None:
    other = (2, 8)
    store.hold(other, 2)
    store.when_settled(store.entry(other), lambda: None)
    store.release(other, 2)
    assert not store.entries


@pytest.mark.processes
def test_a_worker_that_asks_before_it_is_known_to_hold_the_value_gets_it(pids: list[int]) -> None:
    holder, waiter, owner = pids
    gate = Gate(owner, "asked for early")

    def keep(future: pydist.Future) -> bool:
        vars(os)["_kept_by_test"] = future
        return future.isready()

    def let_go() -> int:
        del vars(os)["_kept_by_test"]
        pydist.refs()  # by now the owner has been told
        return pydist.myid()

    def get(future: pydist.Future) -> Any:
        return future.fetch(LIMIT)

    assert pydist.remotecall_fetch(pydist.remotecall_fetch, waiter, abs, owner, -1) == 1  # they know each other
    future = pydist.remotecall(gate.stand, owner, gate.name, "here")
    assert not pydist.remotecall_fetch(keep, holder, future)
    gate.wait_for_arrival()
    ospid = pydist.remotecall_fetch(os.getpid, owner)
    os.kill(ospid, signal.SIGSTOP)
    try:
        # The word that the waiter holds it stands behind all of this.
        much = [pydist.remotecall(len, owner, "x" * 4000) for _ in range(200)]
        got = pydist.remotecall(get, waiter, future)
        assert pydist.remotecall_fetch(let_go, holder) == holder
    finally:
        os.kill(ospid, signal.SIGCONT)
    assert {f.fetch(LIMIT) for f in much} == {4000}
    gate.open()
    assert got.fetch(LIMIT) == "here"
