"""``%futures``: which Futures there are here, what they are called, and how far they are."""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydist
from pydist_magics._command import Command, Mistake
from pydist_magics._magic import Call, Magic
from pydist_magics._tables import Table

__all__ = ["MAGICS", "FutureList", "names_of"]

# What is looked through for Futures; a list of more items is data.
_LONGEST = 1000
_STATE = re.compile(r"(\w+)\)\Z")

FUTURES = Command(
    "futures",
    ("%futures",),
    "List the Futures of this process: where the value is or will be, the state, the names they are bound to. The "
    "list can be used: futures = %futures; pydist.as_completed(futures).",
    examples=("%futures", "pending = [f for f in futures if not f.done()]"),
)


class FutureList(list[Any]):
    """Futures that show themselves as a table."""

    def __init__(self, futures: Sequence[Any], names: Mapping[int, list[str]]) -> None:
        super().__init__(futures)
        self._names = dict(names)

    def _table(self) -> Table:
        rows = [(_label(future), ", ".join(self._names.get(id(future), ())), *_state(future)) for future in self]
        return Table(("Future", "name", "process", "state"), rows, f"{len(self)} Future{'s' * (len(self) != 1)}")

    def __repr__(self) -> str:
        return self._table().text() if self else "no Futures"

    def _repr_html_(self) -> str | None:
        return self._table().html() if self else None


def _label(future: Any) -> str:
    return f"Future({future.where}, {future.whence}, {future.id})"


def _state(future: Any) -> tuple[str, str]:
    # What is known here; asking would wait for the owners.
    match = _STATE.search(repr(future))
    state = match[1] if match else ""
    if state == "failed":
        error = future.exception(0)
        captured = getattr(error, "captured", None)
        cause = error if captured is None else captured.ex
        state += f": {type(cause).__name__}: {cause}".partition("\n")[0]
    return str(future.where), state


def names_of(namespace: Mapping[str, Any]) -> dict[int, list[str]]:
    """Return the names under which Futures can be reached in a namespace, by the ids of the Futures."""
    found: dict[int, list[str]] = {}
    for name, value in list(namespace.items()):
        if name.startswith("_"):
            continue
        if isinstance(value, pydist.Future):
            found.setdefault(id(value), []).append(name)
        elif type(value) in (list, tuple, dict) and len(value) <= _LONGEST:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(item, pydist.Future):
                    found.setdefault(id(item), []).append(f"{name}[{key!r}]")
    return found


def futures(call: Call) -> FutureList:
    """Return all Futures."""
    if call.line.rest:
        raise Mistake(f"it takes nothing, not {call.line.rest!r}")
    # No call pays for this list: the garbage collector knows all objects. isinstance would ask those that pretend.
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), pydist.Future)]
    found.sort(key=lambda future: (future.whence, future.id))
    names = names_of({**call.session.shell.user_ns, **(call.scope or {})})
    return FutureList([future for future in found if future.id], names)


MAGICS = (Magic("line", FUTURES, futures),)
