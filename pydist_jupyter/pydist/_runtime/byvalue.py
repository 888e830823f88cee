"""The pickler for what exists only in this process: functions and classes of the notebook.

cloudpickle knows how to take them apart; this class changes three of its rules: code objects and classes go by digest,
a function lives in the peer's namespace of the same name, and its globals travel apart.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
import warnings
import weakref
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle
from cloudpickle import cloudpickle as _cp

from pydist._runtime.current import current_node
from pydist._runtime.definitions import find_class, load_class, load_code, load_named_class, name_digest
from pydist._runtime.namespaces import belongs_to_library, home_of, library, namespace, travels_by_value
from pydist._runtime.pickling import reduce_exception
from pydist._runtime.sources import is_changed, load_module
from pydist._runtime.survey import Survey
from pydist._runtime.wrappers import CACHE, reduce_wrapper, wrapped_functions

if TYPE_CHECKING:
    from pydist._runtime.pickling import Outgoing

__all__ = ["FullPickler"]


class _Namespace:
    """Stands for the globals of a function; arrives as the peer's own dict of that module."""

    __slots__ = ("_scope",)

    def __init__(self, scope: dict[str, Any]) -> None:
        self._scope = scope

    def __reduce__(self) -> Any:
        return library if belongs_to_library(self._scope) else namespace, (home_of(self._scope),)


class FullPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle with definitions by digest.

    Args:
        file: where to write.
        job: the message that this is for.
        buffer_callback: for out-of-band buffers.
        inline: a class that is being defined by this very pickle, and so must not be named by its digest.
    """

    def __init__(self, file: io.BytesIO, job: Outgoing, buffer_callback: Any, inline: type | None = None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._job = job
        self._inline = inline

    def reducer_override(self, obj: Any) -> Any:
        """Decide how an object goes that pickle has no rule of its own for."""
        kind = type(obj)
        if kind is FunctionType:
            if not travels_by_value(obj.__module__ or "__main__") and _cp._should_pickle_by_reference(obj):
                return NotImplemented
            return reduce_wrapper(obj) or self._function(obj)
        if kind is CodeType:
            digest = self._job.definitions.code(obj)
            self._job.need(digest)
            return load_code, (digest,)
        if isinstance(obj, type):
            if self._class_by_value(obj):
                return self._class(obj)
            return super().reducer_override(obj)
        if isinstance(obj, BaseException):
            return reduce_exception(obj)
        if isinstance(obj, ModuleType) and _is_beside(obj):
            return load_module, (obj.__name__, not is_changed(obj))
        if kind is CACHE and not travels_by_value(obj.__module__ or "__main__") and "<locals>" not in obj.__qualname__:
            return NotImplemented
        return reduce_wrapper(obj) or NotImplemented

    @staticmethod
    def _class_by_value(cls: type) -> bool:
        if cls.__module__ == "builtins":
            return False
        return travels_by_value(cls.__module__) or not _cp._should_pickle_by_reference(cls)

    def _function(self, function: FunctionType) -> Any:
        self._job.functions.append(function)
        closure = function.__closure__
        cells = None if closure is None else tuple(_cp._make_empty_cell() for _ in closure)
        state, slots = _cp._function_getstate(function)
        slots = {**slots, "__globals__": {}}
        made = (function.__code__, _Namespace(function.__globals__), None, None, cells)
        return (_cp._make_function, made, (state, slots), None, None, _function_setstate)

    def _class(self, cls: type) -> Any:
        if self._inline is not None and (cls is self._inline or _belongs(cls, self._inline)):
            return _reduce_class(cls)
        job = self._job
        module, name = cls.__module__, cls.__qualname__
        digest, named = self._digest_of(cls)
        job.need(digest)
        if named:
            return load_named_class, (digest, module, name)
        return load_class, (digest,)

    def _digest_of(self, cls: type) -> tuple[bytes, bool]:
        """Return the digest of a class, which is sent if need be, and whether it is that of its name.

        The class, its base classes and those that it refers to are looked at once for each message; what their methods
        mention goes along each time.
        """
        job = self._job
        seen = job.classes.get(cls)
        if seen is not None:
            digest, named, functions = seen
            job.functions += functions
            return digest, named
        if cls in job.pickling:
            raise pickle.PicklingError(
                f"the class {cls.__qualname__!r} refers to another class that refers back to it (a list of its "
                "subclasses, perhaps), which cannot be sent; define both on all processes, by everywhere"
            )
        start = len(job.functions)
        definitions = job.definitions
        module, name = cls.__module__, cls.__qualname__
        present = find_class(module, name)
        by_name = name_digest(module, name) if present is cls else None
        if present is not None and present is not cls and module == "__main__":
            _warn_of_earlier(cls)
        parts: list[Any] | None = None
        if definitions.is_own(cls):
            survey = Survey(cls, lambda other: _belongs(other, cls))
            job.functions += survey.functions
            job.looked_at.add(cls)
            try:
                others = [c for c in survey.classes if self._class_by_value(c) and c not in job.looked_at]
                digests = [self._digest_of(c)[0] for c in others]
            finally:
                job.looked_at.discard(cls)
            parts = None if survey.loose else survey.parts + digests
        else:
            job.functions += functions_of(cls)
        found = by_name or definitions.class_(cls, parts)
        if found is None or (found not in definitions.blobs and found not in job.knowledge.digests):
            found = self._pickle_class(cls, parts, found)
        job.classes[cls] = found, by_name is not None, job.functions[start:]
        return found, by_name is not None

    def _pickle_class(self, cls: type, parts: list[Any] | None, digest: bytes | None) -> bytes:
        file = io.BytesIO()
        job = self._job
        outer, job.needed = job.needed, []
        job.pickling.add(cls)
        try:
            FullPickler(file, job, None, inline=cls).dump(cls)
            needs = tuple(dict.fromkeys(job.needed))
        finally:
            job.needed = outer
            job.pickling.discard(cls)
        return job.definitions.add_class(cls, parts, digest, file.getvalue(), needs)


def _reduce_class(cls: type) -> Any:
    reduced = _cp._dynamic_class_reduce(cls)
    state = reduced[2]
    if isinstance(state, tuple) and isinstance(state[0], dict):
        state[0].pop("__slotnames__", None)  # noted by `copyreg` when an instance is pickled: no change of the class
    return reduced


def _is_beside(module: ModuleType) -> bool:
    name = module.__name__
    return name != "__main__" and sys.modules.get(name) is module and travels_by_value(name)


_warned: weakref.WeakSet[type] = weakref.WeakSet()


def _warn_of_earlier(cls: type) -> None:
    """Say once that a class which travels has been replaced: a cell was run again and an old instance is about."""
    if cls not in _warned and current_node().pid == 1:
        _warned.add(cls)
        warnings.warn(
            f"an object of an earlier {cls.__qualname__!r} goes to a worker; {cls.__qualname__!r} has been defined "
            "again since, and the object is no instance of the new one, there as here",
            stacklevel=2,
        )


def _belongs(cls: type, outer: type) -> bool:
    """Say whether ``cls`` is nested in ``outer``; such a one may lead back to it and goes along inside."""
    return cls.__module__ == outer.__module__ and cls.__qualname__.startswith(outer.__qualname__ + ".")


def functions_of(cls: type) -> list[FunctionType]:
    """Return the functions in a class: what they mention must be where they run."""
    return [f for value in vars(cls).values() for f in wrapped_functions(value)]


def _function_setstate(function: types.FunctionType, state: Any) -> None:
    """Fill a function in; its globals are in place already. Called by unpickling."""
    _cp._function_setstate(function, state)
