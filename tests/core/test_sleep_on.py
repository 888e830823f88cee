"""Sleeping on a lock in any thread, so that an interrupt ends the sleep."""

from __future__ import annotations

import threading
from _thread import allocate_lock

import pytest

from pydist._runtime.shield import Shield, shield_of_this_thread, sleep_on, strike
from tests.core.gates import LIMIT


def struck_in_a_lane() -> str:
    """Sleep in a thread and be interrupted when the shield is up and the sleep has not begun; return what comes."""
    said: list[str] = []
    raise_ = Shield.raise_

    def raise_and_be_struck(shield: Shield) -> None:
        raise_(shield)
        if shield.owner is said:
            striker = threading.Thread(target=strike, args=(shield, said))
            striker.start()
            striker.join()

    def work() -> None:
        shield = shield_of_this_thread()
        lock = allocate_lock()
        lock.acquire()
        try:
            shield.open(said)
            sleep_on(lock, LIMIT)
            said.append("slept")
        except KeyboardInterrupt:
            said.append("interrupted")
        finally:
            shield.owner = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shield, "raise_", raise_and_be_struck)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(LIMIT / 2)
    return said[0] if said else "asleep"


def test_an_interrupt_that_comes_just_before_the_sleep_ends_it() -> None:
    assert struck_in_a_lane() == "interrupted"
