"""The local names of a frame that has failed, as short texts.

This runs in the middle of somebody's failure, on a worker, for errors that perhaps nobody will ever look at. So it is
cheap and bounded, and it never runs code of the user's: no ``__repr__``, no property, no iteration of a class of his.
"""

from __future__ import annotations

from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["describe", "locals_of"]

#: So many names of a frame, items of a container, characters of a text, of one inside of something, of it all.
_NAMES, _ITEMS, _LENGTH, _INSIDE, _ALL = 25, 5, 120, 30, 400
_DEPTH = 2
#: The texts of these say it in few words, and nothing can go wrong in them.
_HARMLESS = frozenset({"datetime", "decimal", "fractions", "pathlib", "uuid", "zoneinfo", "ipaddress", "re"})
#: Their objects are large; what matters is how large.
_ARRAYS = frozenset({"numpy", "pandas", "torch", "scipy", "jax", "jaxlib", "cupy", "polars", "xarray"})
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
    dict: ("{", "}"),
}


def locals_of(frame: FrameType) -> tuple[tuple[str, str], ...]:
    """Return names and texts of what a frame sees: its locals; at the top of a module the names that its code uses."""
    code = frame.f_code
    values = frame.f_locals
    names = code.co_names if values is frame.f_globals else tuple(values)
    found: list[tuple[str, str]] = []
    for name in names:
        if name in values and not name.startswith(("__", "_pydist")):
            found.append((name, describe(values[name])))
            if len(found) == _NAMES:
                break
    return tuple(found)


def describe(value: Any) -> str:
    """Return a short text for a value.

    >>> describe([1, 2.5, "a"])
    "[1, 2.5, 'a']"
    >>> describe(list(range(1000)))
    '[0, 1, 2, 3, 4, … 1000 items]'
    """
    try:
        text = _describe(value, _DEPTH)
        return text if len(text) <= _ALL else text[:_ALL] + "…"
    except Exception:
        return f"<{type(value).__name__}>"


def _describe(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is str or kind is bytes:
        room = _LENGTH if depth == _DEPTH else _INSIDE
        return repr(value) if len(value) <= room else f"{value[:room]!r}… {len(value):,} long"
    if kind is int and value.bit_length() > 400:
        return f"<int of {value.bit_length():,} bits>"
    if kind in (int, float, bool, complex, type(None)):
        return repr(value)
    if kind in _BRACKETS:
        return _container(value, depth)
    if issubclass(kind, type):  # isinstance would ask the object what it is
        return f"<class {value.__qualname__}>"
    if kind is ModuleType:
        return f"<module {value.__name__}>"
    if kind in (FunctionType, BuiltinFunctionType, MethodType):
        return f"<function {value.__qualname__}>"
    home = kind.__module__.partition(".")[0]
    if home in _HARMLESS or home == "pydist":
        return _cut(repr(value))
    if home in _ARRAYS:
        return _array(value)
    return _object(value, depth)


def _container(value: Any, depth: int) -> str:
    left, right = _BRACKETS[type(value)]
    if depth == 0 and value:
        return f"{left}… {len(value):,} items{right}"
    items: list[str] = []
    for item in value:
        if len(items) == _ITEMS:
            items.append(f"… {len(value):,} items")
            break
        text = _describe(item, depth - 1)
        items.append(f"{text}: {_describe(value[item], depth - 1)}" if type(value) is dict else text)
    return left + ", ".join(items) + ("," * (type(value) is tuple and len(value) == 1)) + right


def _array(value: Any) -> str:
    name = type(value).__name__
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple):
        if shape == () and dtype is not None:
            return _cut(repr(value))  # a number
        return f"<{name} {' × '.join(map(str, shape))}{'' if dtype is None else f' of {dtype}'}>"
    return f"<{name}>"


def _object(value: Any, depth: int) -> str:
    name = type(value).__qualname__
    if issubclass(type(value), BaseException):
        return f"{name}({', '.join(_describe(arg, 0) for arg in value.args[:_ITEMS])})"
    fields = object.__getattribute__(value, "__dict__") if type(value).__dictoffset__ else {}
    if depth == 0 or not isinstance(fields, dict) or not fields:
        return f"<{name}>"
    shown = [f"{field}={_describe(fields[field], depth - 1)}" for field in list(fields)[:_ITEMS]]
    return f"<{name} {', '.join(shown)}{', …' if len(fields) > _ITEMS else ''}>"


def _cut(text: str) -> str:
    return text if len(text) <= _LENGTH else text[:_LENGTH] + "…"
