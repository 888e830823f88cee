"""Events inside workers: a test lets a call stand at a gate, sees that it has come there, and opens the gate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pydist

__all__ = ["LIMIT", "Gate"]

#: Seconds that any wait of a test may last. Nothing comes near it unless something is wrong.
LIMIT = 20.0


def _events(name: str) -> tuple[threading.Event, threading.Event]:
    """Return the two events of a gate in this process: somebody has come, the gate is open."""
    # An attribute of a module that every process has: this code may live there under any name.
    gates: dict[str, Any] = vars(threading).setdefault("_gates_of_tests", {})
    return gates.setdefault(name, (threading.Event(), threading.Event()))  # type: ignore[no-any-return]


def _stand(name: str, value: Any = None) -> Any:
    came, opened = _events(name)
    came.set()
    if not opened.wait(LIMIT):
        raise TimeoutError(f"nobody has opened the gate {name!r}")
    return value


def _spin(name: str) -> int:
    came, opened = _events(name)
    came.set()
    rounds = 0
    while not opened.is_set():
        rounds += 1
    return rounds


def _has_come(name: str) -> bool:
    return _events(name)[0].wait(LIMIT)


def _open(name: str) -> None:
    _events(name)[1].set()


class Gate:
    """One gate in one process.

    ``gate.stand(name, value)`` is the function to call there, and ``gate.spin(name)`` the one that computes without
    end instead of sleeping; the rest is for the test.
    """

    stand: Callable[..., Any] = staticmethod(_stand)
    spin: Callable[[str], int] = staticmethod(_spin)

    def __init__(self, pid: int, name: str) -> None:
        self.pid = pid
        self.name = name

    def start(self, value: Any = None) -> pydist.Future:
        """Start a call that stands at the gate and then returns ``value``; return when it stands there."""
        future = pydist.remotecall(_stand, self.pid, self.name, value)
        self.wait_for_arrival()
        return future

    def wait_for_arrival(self) -> None:
        """Wait until a call has come to the gate."""
        assert pydist.remotecall(_has_come, self.pid, self.name).fetch(LIMIT)

    def open(self) -> None:
        """Let through whoever stands there and whoever comes."""
        pydist.remotecall(_open, self.pid, self.name).fetch(LIMIT)
