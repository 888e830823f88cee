"""The shield of a lane."""

from __future__ import annotations

import select
import threading

from pydist._runtime.shield import Shield, strike


def state(shield: Shield) -> tuple[bool, bool]:
    """Return whether an interrupt is noted, and whether a wait would be woken."""
    return shield.pending, bool(select.select([shield.wake_fd()], [], [], 0)[0])


def test_an_interrupt_that_comes_as_its_call_ends_wakes_no_later_wait() -> None:
    shield, call = Shield(threading.get_ident()), object()
    assert state(shield) == (False, False)
    shield.open(call)
    shield.up = True  # as while the answer of another process is waited for
    strike(shield, call)
    assert state(shield) == (True, True)
    shield.close()
    assert state(shield) == (False, False)
