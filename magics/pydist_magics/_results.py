"""What IPython remembers of a cell must not keep values on workers alive for ever.

    Out[7], _7, _, __, ___      a Future or channel that the cell has shown
    sys.last_value              the frames of the last error, and the names in them

A few cells later these let go of remote references that nobody else holds; what the user has bound to a name stays.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import pydist

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["LetGo", "Results"]

_HANDLES = (pydist.Future, pydist.RemoteChannel)
_UNDERSCORES = ("_", "__", "___")
# A list of more Futures than this is not looked through; it is the user's own affair.
_LONGEST = 10_000


class LetGo:
    """Stands in the place of a result that was let go of."""

    def __init__(self, text: str, cells: int) -> None:
        self._sentence = (
            f"{text} was let go of, {cells} cell{'s' * (cells != 1)} after it was shown: bind it to a name to keep it "
            "(c.PyDist.keep_results sets for how many cells)"
        )

    def __repr__(self) -> str:
        return f"<{self._sentence}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # IPython asks for ways to show it
            raise AttributeError(name)
        raise ReferenceError(self._sentence)


class Results:
    """The results of one shell that are remote references."""

    def __init__(self, shell: InteractiveShell) -> None:
        #: For how many cells they are kept; 0: for ever.
        self.cells = 3
        self._shell = shell
        self._count = 0
        self._looked_at = 0
        #: The number of a result, and that of the cell which it was seen after.
        self._seen: dict[int, int] = {}
        #: The id of the last error, and after how many cells it was seen first.
        self._error = (0, 0)

    def attach(self) -> None:
        """Begin to look after each cell. What is there already is left alone."""
        self._looked_at = max(self._out(), default=0)
        self._shell.events.register("post_run_cell", self._look)

    def detach(self) -> None:
        """Look no more."""
        self._shell.events.unregister("post_run_cell", self._look)

    def _out(self) -> dict[int, Any]:
        found = self._shell.user_ns.get("_oh")
        return found if isinstance(found, dict) else {}

    def _look(self, result: object = None) -> None:
        self._count += 1
        if not self.cells:
            return
        out = self._out()
        latest = max(out, default=0)
        if latest > self._looked_at:
            for number in range(self._looked_at + 1, latest + 1):
                if number in out and handles_in(out[number]):
                    self._seen[number] = self._count
        self._looked_at = latest  # %reset begins anew
        self._seen = {number: count for number, count in self._seen.items() if handles_in(out.get(number))}
        self._let_go([number for number, count in self._seen.items() if self._count - count >= self.cells])
        self._forget_error()

    def _let_go(self, numbers: list[int]) -> None:
        """Take results out of all places, all at once; what turns out to be held by somebody else is put back."""
        taken = [self._take_out(number) for number in numbers]
        kept = [rebuild() for rebuild, _ in taken]
        for number, value, (_, put) in zip(numbers, kept, taken, strict=True):
            if value is None:
                del self._seen[number]
            else:
                put(value)

    def _take_out(self, number: int) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        """Put a stand-in in the place of a result; return what gives the result again, and what puts it back."""
        shell, out = self._shell, self._out()
        hook: Any = shell.displayhook
        value = out[number]
        spaces: list[dict[str, Any]] = [shell.user_ns, shell.user_ns_hidden, vars(hook)]
        names = (*_UNDERSCORES, f"_{number}")
        places = [(space, name) for space in spaces for name in names if space.get(name) is value]

        def put(thing: Any) -> None:
            out[number] = thing
            for space, name in places:
                space[name] = thing

        put(LetGo(_label(value), self.cells))
        return _rebuilder(value), put

    def _forget_error(self) -> None:
        """Some cells after an error, clear the frames of it in which there are remote references."""
        error = getattr(sys, "last_value", None)
        known, since = self._error
        if error is None or id(error) != known:
            self._error = (id(error), self._count)
        elif self._count - since == self.cells:
            for frame in _frames(error):
                if any(handles_in(value) for value in list(frame.f_locals.values())):
                    with contextlib.suppress(RuntimeError):  # it still runs
                        frame.clear()
                        frame.f_locals  # noqa: B018 - before Python 3.13 this is a copy, kept until it is asked for anew


def handles_in(value: Any) -> list[Any]:
    """Return the references in a result that keep a value elsewhere alive: it is one, or a collection of nothing else.

    A Future that has been fetched keeps nothing there any more.
    """
    if isinstance(value, _HANDLES):
        found = [value]
    elif isinstance(value, (list, tuple, dict)) and 0 < len(value) <= _LONGEST:
        found = list(value.values()) if isinstance(value, dict) else list(value)
        if not all(isinstance(item, _HANDLES) for item in found):
            return []
    else:
        return []
    return [handle for handle in found if getattr(handle, "_held", 1)]


def _rebuilder(value: Any) -> Callable[[], Any]:
    """Return what gives ``value`` again, or None if something in it is gone meanwhile. It does not hold it itself."""
    if isinstance(value, _HANDLES):
        return weakref.ref(value)
    kind: type = dict if isinstance(value, dict) else tuple if isinstance(value, tuple) else list
    keys = list(value) if kind is dict else []
    found = [weakref.ref(item) for item in (value.values() if kind is dict else value)]

    def again() -> Any:
        items = [one() for one in found]
        if any(item is None for item in items):
            return None
        return dict(zip(keys, items, strict=True)) if kind is dict else kind(items)

    return again


def _label(value: Any) -> str:
    handles = handles_in(value)
    one = f"{type(handles[0]).__name__}({handles[0].where}, {handles[0].whence}, {handles[0].id})"
    return one if isinstance(value, _HANDLES) else f"{type(value).__name__} of {len(handles)}, {one} and so on,"


def _frames(error: BaseException) -> Iterator[FrameType]:
    tracebacks, seen = [error.__traceback__, getattr(sys, "last_traceback", None)], set()
    for tb in tracebacks:
        while tb is not None:
            frame = tb.tb_frame
            if id(frame) not in seen and frame.f_locals is not frame.f_globals:
                seen.add(id(frame))
                yield frame
            tb = tb.tb_next
