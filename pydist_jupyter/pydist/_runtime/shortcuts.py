"""Functions of the notebook that can be called again without a second look.

Before a function that travels by value is called somewhere, all globals that it mentions are compared with what the
peer has (pickling.py). Most functions mention a few modules, numbers and other functions, and nothing of that changes
between two calls: a shortcut says how to see this in a microsecond.
"""

from __future__ import annotations

import weakref
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pydist._runtime.namespaces import MISSING, PER_PROCESS, STABLE, home_of, names_in, travels_by_value
from pydist._runtime.sources import identity, name_if_changed, version

if TYPE_CHECKING:
    from pydist._runtime.knowledge import Knowledge

__all__ = ["note_shortcut", "number_by_shortcut"]


class Shortcut:
    """What must still be true for a function to be callable by its number alone.

    It keeps alive what cannot refer to the function, and nothing else: a name may be bound to an array or a class.
    """

    __slots__ = ("code", "firm", "function", "modules", "number", "state", "weak")

    def __init__(self, function: weakref.ref[FunctionType], code: CodeType, number: int, state: int) -> None:
        self.function = function
        self.code = code
        self.number = number
        #: Of the knowledge of the peer, see `Knowledge.state`.
        self.state = state
        #: Names with their values, or with MISSING.
        self.firm: list[tuple[str, Any]] = []
        #: Names with their values, and with the code of those that travel by value.
        self.weak: list[tuple[str, weakref.ref[Any], CodeType | None]] = []
        #: Modules beside the notebook, with the time when they were brought up to date.
        self.modules: dict[str, float | None] = {}

    def holds(self, f: FunctionType) -> bool:
        """Say whether nothing has changed."""
        if not is_still(f, self.code):
            return False
        scope = f.__globals__
        for name, known in self.firm:
            if scope.get(name, MISSING) is not known:
                return False
        for name, ref, code in self.weak:
            value = scope.get(name, MISSING)
            if value is not ref() or not (code is None or is_still(value, code)):
                return False
        for module, imported in self.modules.items():
            name_if_changed(module)
            if version(module) is not imported:
                return False
        return True


def is_still(f: Any, code: CodeType) -> bool:
    """Say whether a function has this code, and nothing else."""
    return f.__code__ is code and not carries(f)


def carries(f: Any) -> bool:
    """Say whether a function has values of its own, which can change."""
    return bool(f.__closure__ or f.__defaults__ or f.__kwdefaults__ or f.__dict__)


def number_by_shortcut(knowledge: Knowledge, f: FunctionType) -> int:
    """Return the number by which the peer can be asked to call ``f`` right away; 0: look at it first."""
    shortcut = knowledge.shortcuts.get(id(f))
    if shortcut is not None and shortcut.state == knowledge.state and shortcut.function() is f and shortcut.holds(f):
        return shortcut.number
    return 0


def note_shortcut(knowledge: Knowledge, f: FunctionType, number: int) -> None:
    """Note for a function, all of which the peer has by now, how to see that this is still so; if that can be seen."""
    shortcuts, key = knowledge.shortcuts, id(f)
    shortcut = Shortcut(weakref.ref(f, lambda _: shortcuts.pop(key, None)), f.__code__, number, knowledge.state)
    if not carries(f) and _look_at(f, shortcut, knowledge):
        shortcuts[key] = shortcut
    else:
        shortcuts.pop(key, None)


def _look_at(f: FunctionType, shortcut: Shortcut, knowledge: Knowledge) -> bool:
    """Write down what the function mentions; return whether all of it can be compared by identity."""
    scope = f.__globals__
    home = home_of(scope)
    told: set[str] = set(PER_PROCESS)
    stack = [f]
    while stack:
        function = stack.pop()
        _note_module(function.__module__, shortcut)
        for name in names_in(function.__code__):
            if name in told:
                continue
            told.add(name)
            value = scope.get(name, MISSING)
            kind = type(value)
            if value is MISSING or kind in STABLE:
                shortcut.firm.append((name, value))
                if kind is ModuleType:
                    _note_module(value.__name__, shortcut)
            elif kind is FunctionType and travels_by_value(value.__module__ or "__main__"):
                if value.__globals__ is not scope or carries(value):
                    return False
                shortcut.weak.append((name, weakref.ref(value), value.__code__))
                stack.append(value)
            elif _is_by_name(value) or knowledge.has_own((home, name), identity(value)):
                if not kind.__weakrefoffset__:
                    return False
                shortcut.weak.append((name, weakref.ref(value), None))
                if isinstance(value, type):
                    _note_module(value.__module__, shortcut)
            else:
                return False
    return True


def _is_by_name(value: Any) -> bool:
    return (type(value) is FunctionType or isinstance(value, type)) and not travels_by_value(
        value.__module__ or "__main__"
    )


def _note_module(name: str | None, shortcut: Shortcut) -> None:
    if name not in (None, "__main__") and travels_by_value(name):
        shortcut.modules[name] = version(name)
