"""What a class of the notebook consists of, to see whether it is still what was sent.

A class travels once, and is then named by a number. It has changed when a name in it is bound anew, and also when a
base class, a class that it mentions, or a decorated method has. Most classes hold functions, classes and constants
only: of these the identity says enough. Others (a list, a dict) are *loose*: only their pickle says.
"""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from pydist._runtime.namespaces import MISSING, STABLE
from pydist._runtime.wrappers import CACHE

__all__ = ["INCIDENTAL", "Survey", "is_same"]

#: What Python itself adds to a class when it is first looked at or pickled: no change of the class.
INCIDENTAL = frozenset(
    {"__dict__", "__weakref__", "__slotnames__", "__annotations__", "__annotations_cache__", "_abc_impl"}
)
#: What `dataclasses` notes for itself: made once, from what is seen elsewhere.
_NOTES = frozenset({"__dataclass_fields__", "__dataclass_params__"})
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


class Survey:
    """A look at a class.

    Args:
        cls: the class.
        nested: the classes that go along inside it are those for which this is true.
    """

    def __init__(self, cls: type, nested: Any) -> None:
        #: The parts, to be compared one by one by identity. What could lead back to the class is held weakly.
        self.parts: list[Any] = []
        #: Its functions, also those that decorators have wrapped: what they mention must be where they run.
        self.functions: list[FunctionType] = []
        #: The classes that it refers to.
        self.classes: list[type] = []
        #: Whether it has parts that can change and stay the same object.
        self.loose = False
        self._nested = nested
        self._seen: set[int] = set()
        self._class(cls)

    def _class(self, cls: type) -> None:
        self._seen.add(id(cls))
        self.classes += [type(cls), *cls.__bases__]
        for name, value in vars(cls).items():
            if name not in INCIDENTAL and name not in _NOTES:
                self.parts.append(name)
                self._look(value)

    def _look(self, value: Any) -> None:
        kind = type(value)
        parts = self.parts
        if kind in STABLE:
            parts.append(value)
        elif kind is FunctionType:
            self._function(value)
        elif isinstance(value, type):
            parts.append(weakref.ref(value))
            if id(value) in self._seen:
                return
            if self._nested(value):
                self._class(value)
            else:
                self.classes.append(value)
        elif kind is staticmethod or kind is classmethod:
            parts.append(kind)
            self._look(value.__func__)
        elif kind is property:
            parts.append(kind)
            for part in (value.fget, value.fset, value.fdel, value.__doc__):
                self._look(part)
        elif kind is functools.cached_property:
            parts.append(kind)
            self._look(value.func)
        elif kind is CACHE:
            parts.append(kind)
            self._look(value.__wrapped__)
        elif kind is tuple:
            parts.append(len(value))
            for part in value:
                self._look(part)
        elif kind is frozenset and all(type(part) in STABLE for part in value):
            parts.append(value)
        elif kind in _SLOTS:
            parts.append(kind)
        else:
            self.loose = True

    def _function(self, function: FunctionType) -> None:
        self.parts += (weakref.ref(function), function.__code__)
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        self.functions.append(function)
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                value = MISSING
            self._look(value) if value is not MISSING else self.parts.append(value)
        for part in function.__defaults__ or ():
            self._look(part)
        for values in (function.__kwdefaults__, function.__dict__):
            for name, part in (values or {}).items():
                self.parts.append(name)
                self._look(part)


def is_same(one: Sequence[Any] | None, other: Sequence[Any] | None) -> bool:
    """Say whether two looks at a class have found the same."""
    return (
        one is not None and other is not None and len(one) == len(other) and all(map(lambda a, b: a is b, one, other))
    )
