"""Looking at the names of a worker: what runs there for ``%inspect`` and for completion."""

from __future__ import annotations

import inspect
import reprlib
import sys
from typing import Any

__all__ = ["look", "names"]

#: As much of a repr is shown (characters), and so many names are offered.
_SHORT = 300
_MANY = 200


def look(expression: str, source: bool) -> list[tuple[str, str]]:
    """Return what can be said of a value of this process: headings and texts.

    Args:
        expression: a name or another expression, evaluated in ``__main__``.
        source: its source is wanted, too.
    """
    value = eval(expression, vars(sys.modules["__main__"]))
    found = [("type", _type_of(value)), ("value", _short(value))]
    if callable(value):
        try:
            found.insert(0, ("signature", f"{expression}{inspect.signature(value)}"))
        except (TypeError, ValueError):
            pass
    if (size := _size_of(value)) is not None:
        found.append(("size", size))
    if doc := inspect.getdoc(value if callable(value) else type(value)):
        found.append(("doc", doc))
    if source:
        try:
            found.append(("source", inspect.getsource(value).rstrip()))
        except (OSError, TypeError):
            found.append(("source", "is not to be had there"))
    return found


def names(text: str) -> list[str]:
    """Return the names of this process's ``__main__``, or attributes of what they name, that begin with ``text``."""
    head, dot, last = text.rpartition(".")
    scope = vars(sys.modules["__main__"])
    if not dot:
        found: Any = (name for name in scope if not name.startswith("__"))
    else:
        value = scope[head.partition(".")[0]]
        for part in head.split(".")[1:]:
            value = inspect.getattr_static(value, part)  # runs nobody's code, in a worker that is doing something else
        found = dir(value)
    begun = sorted(name for name in found if name.startswith(last) and (last.startswith("_") or name[0] != "_"))
    return [head + dot + name for name in begun[:_MANY]]


def _type_of(value: Any) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _size_of(value: Any) -> str | None:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return " x ".join(map(str, shape))
    try:
        return f"{len(value)} items"
    except Exception:
        return None


def _short(value: Any) -> str:
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = shortener.maxlong = _SHORT
    shortener.maxlist = shortener.maxtuple = shortener.maxdict = shortener.maxset = 10
    return shortener.repr(value)
