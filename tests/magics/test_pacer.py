"""At once, then not before the period is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pydist_magics._pacer import Pacer

PATIENCE = 30.0


class Work:
    """Counts its calls, and lets a test wait for one."""

    def __init__(self) -> None:
        self.calls = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.calls += 1
            self._changed.notify_all()

    def wait_for(self, calls: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.calls >= calls, PATIENCE)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def patient(work: Work) -> Iterator[Pacer]:
    """A pacer whose period never ends within a test."""
    pacer = Pacer(work, period=1000.0)
    yield pacer
    pacer.stop()


def test_the_first_poke_is_answered_at_once(work: Work, patient: Pacer) -> None:
    patient.poke()
    work.wait_for(1)


def test_further_pokes_wait_for_the_period(work: Work, patient: Pacer) -> None:
    patient.poke()
    work.wait_for(1)
    for _ in range(100):
        patient.poke()
    assert work.calls == 1


def test_pokes_within_a_period_are_answered_together() -> None:
    work = Work()
    pacer = Pacer(work, period=0.001)
    try:
        pacer.poke()
        work.wait_for(1)
        pacer.poke()
        work.wait_for(2)
    finally:
        pacer.stop()


def test_work_may_say_that_it_can_be_done_again_sooner() -> None:
    work = Work()

    def quick() -> float:
        work()
        return 0.001

    pacer = Pacer(quick, period=1000.0)
    try:
        pacer.poke()
        work.wait_for(1)
        pacer.poke()
        work.wait_for(2)
    finally:
        pacer.stop()


def test_without_a_poke_there_is_no_thread(work: Work) -> None:
    before = threading.active_count()
    Pacer(work).stop()
    assert threading.active_count() == before


def test_after_the_end_a_poke_does_nothing(work: Work) -> None:
    pacer = Pacer(work)
    pacer.stop()
    pacer.poke()
    assert work.calls == 0
