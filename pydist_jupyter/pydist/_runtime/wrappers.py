"""How the decorators of `functools` travel, which pickle knows by name only or not at all.

A cache goes as the function below it and starts empty over there; a generic function goes with all its implementations.
"""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from pydist._runtime.namespaces import namespace

__all__ = ["CACHE", "is_generic", "reduce_wrapper", "wrapped_functions"]

#: What ``functools.lru_cache`` and ``functools.cache`` make.
CACHE = type(functools.lru_cache(int))


def is_generic(value: Any) -> bool:
    """Say whether a function was made by ``functools.singledispatch``."""
    return type(value) is FunctionType and "registry" in value.__dict__ and "dispatch" in value.__dict__


def reduce_wrapper(value: Any) -> Any:
    """Return how a wrapper is pickled by value, None if it is none."""
    kind = type(value)
    if kind is CACHE:
        settings = value.cache_parameters()
        return _cache, (value.__wrapped__, value.__qualname__, settings["maxsize"], settings["typed"])
    if kind is functools.cached_property:
        return _cached_property, (value.func, value.attrname)
    if kind is functools.singledispatchmethod:
        return functools.singledispatchmethod, (value.func,), value.dispatcher, None, None, _set_dispatcher
    if is_generic(value):
        # The implementations come as state, after the function itself: one of them may lead back to it.
        registry = dict(value.registry)
        return functools.singledispatch, (registry.pop(object),), registry, None, None, _register_all
    return None


def wrapped_functions(value: Any) -> list[FunctionType]:
    """Return the user's functions in what stands in a class: what they mention must be where they run."""
    if isinstance(value, property):
        inside = [value.fget, value.fset, value.fdel]
    elif isinstance(value, functools.singledispatchmethod):
        inside = list(value.dispatcher.registry.values())
    else:
        value = getattr(value, "__func__", value)
        value = getattr(value, "func", value)  # functools.cached_property
        inside = [value.__wrapped__ if type(value) is CACHE else value]
    return [f for f in inside if type(f) is FunctionType]


def _cache(f: Any, name: str, maxsize: int | None, typed: bool) -> Any:
    # The one that is here already keeps what it has in it.
    home = getattr(f, "__module__", None) or "__main__"
    present = namespace(home).get(name)
    if (
        type(present) is CACHE
        and type(f) is FunctionType
        and getattr(present.__wrapped__, "__code__", None) is f.__code__
        and not f.__closure__
        and present.cache_parameters() == {"maxsize": maxsize, "typed": typed}
    ):
        return present
    return functools.lru_cache(maxsize, typed)(f)


def _cached_property(f: Any, name: str | None) -> Any:
    made = functools.cached_property(f)
    made.attrname = name
    return made


def _set_dispatcher(method: Any, dispatcher: Any) -> None:
    method.dispatcher = dispatcher


def _register_all(generic: Any, registry: dict[type, Any]) -> None:
    for cls, implementation in registry.items():
        generic.register(cls, implementation)
