"""What the buttons of the dashboard do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pydist

__all__ = ["Orders"]

Say = Callable[[str], None]


class Orders:
    """Carries out orders, each in a thread of its own, and tells what became of them.

    In threads, because a button must work while a cell is running and while another order takes its time: an interrupt
    is of no use after the workers that are being added have come up.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._deeds: dict[str, Callable[[list[int]], str]] = {
            "add": _add,
            "interrupt": _interrupt,
            "restart": _restart,
            "remove": _remove,
        }
        if not hasattr(pydist, "restart"):
            del self._deeds["restart"]  # a button that does nothing is worse than none

    @property
    def names(self) -> tuple[str, ...]:
        """The orders that are understood."""
        return tuple(self._deeds)

    def give(self, message: Mapping[str, Any]) -> threading.Thread | None:
        """Carry out ``{"order": "remove", "pids": [2]}``; anything else is ignored."""
        deed = self._deeds.get(str(message.get("order")))
        pids = message.get("pids", [])
        if deed is None or not isinstance(pids, list) or not all(type(pid) is int for pid in pids):
            return None
        thread = threading.Thread(target=self._do, args=(deed, pids), name="pydist-order", daemon=True)
        thread.start()
        return thread

    def _do(self, deed: Callable[[list[int]], str], pids: list[int]) -> None:
        try:
            note = deed(pids)
        except Exception as error:
            note = f"{type(error).__name__}: {error}"
        self._say(note)


def _add(_: list[int]) -> str:
    return f"added {_named(pydist.addprocs(1))}"


def _interrupt(pids: list[int]) -> str:
    pydist.interrupt(*pids)
    return f"interrupted {_named(pids)}"


def _restart(pids: list[int]) -> str:
    pydist.restart(*pids)  # type: ignore[attr-defined, unused-ignore]
    return f"restarted {_named(pids)}"


def _remove(pids: list[int]) -> str:
    pydist.rmprocs(*pids)
    return f"removed {_named(pids)}"


def _named(pids: Iterable[int]) -> str:
    words = [str(pid) for pid in pids]
    if not words:
        return "all workers"
    return ("worker " if len(words) == 1 else "workers ") + ", ".join(words)
