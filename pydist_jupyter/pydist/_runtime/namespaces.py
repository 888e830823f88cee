"""Globals that travel.

A function of ``__main__`` (or of a module beside the notebook) reads its globals where it runs: in the worker's
namespace of the same name. What it mentions is put there before it runs: each name once, and again when the value is
another object or has other content. A name that ``everywhere`` has defined on the worker is the worker's own until the
master binds it anew.
"""

from __future__ import annotations

import functools
import importlib
import os
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

__all__ = [
    "MISSING",
    "PER_PROCESS",
    "STABLE",
    "Mention",
    "belongs_to_library",
    "home_of",
    "library",
    "mentions",
    "names_in",
    "namespace",
    "travels_by_value",
]

MISSING = object()
Mention = tuple[str, str]

#: Equal identity means equal content for these.
STABLE = (type(None), bool, int, float, complex, str, bytes, ModuleType, types.BuiltinFunctionType, types.EllipsisType)


def namespace(name: str) -> dict[str, Any]:
    """Return the dict in which the functions of module ``name`` live here, made if need be. Called by unpickling."""
    if name == "__mp_main__":
        name = "__main__"
    module = sys.modules.get(name)
    if module is None or name in _rooms_made:
        # Not imported here, and perhaps not importable: a room of its own, not in sys.modules, so that a later real
        # import of that name is not disturbed.
        return _rooms(name)
    return vars(module)


def library(name: str) -> dict[str, Any]:
    """Return the dict of an installed module, imported if need be. Called by unpickling."""
    return vars(importlib.import_module(name))


def belongs_to_library(scope: dict[str, Any]) -> bool:
    """Say whether these globals are an installed module's own: the peer imports it and has its own.

    A class of the notebook may hold functions of libraries (each dataclass holds one), and a library may make functions
    that have no name to be found by. Their globals must not be sent: put into the module over there they would replace
    its caches, its locks, and the marks that it compares by identity.
    """
    name = scope.get("__name__") or "__main__"
    if name == "__main__":
        return False
    module = sys.modules.get(name)
    return (
        getattr(module, "__dict__", None) is scope
        and getattr(module, "__spec__", None) is not None
        and not travels_by_value(name)
    )


def home_of(scope: dict[str, Any]) -> str:
    """Return the name of the namespace in which functions with these globals live over there.

    Globals that are no module's, as ``exec`` in a dict makes them, have a room of their own: two such functions may
    mean different things by the same name.
    """
    name = scope.get("__name__")
    if name == "__main__":
        return "__main__"
    if isinstance(name, str) and (
        (module := sys.modules.get(name)) is None or name in _rooms_made or getattr(module, "__dict__", None) is scope
    ):
        return name
    return f"<globals {os.getpid()}-{id(scope):x}>"


#: The names of the rooms: what lives in one stays there, also when the module is imported later.
_rooms_made: set[str] = set()


@functools.cache
def _rooms(name: str) -> dict[str, Any]:
    _rooms_made.add(name)
    module = ModuleType(name)
    vars(module)["__builtins__"] = __builtins__
    return vars(module)


def travels_by_value(module: str) -> bool:
    """Say whether what is defined in ``module`` is sent as code instead of by name.

    True for ``__main__`` and for modules that lie beside the notebook or script: those that were found in the current
    folder or the script's own, and not in an installation.
    """
    if module in ("__main__", "__mp_main__"):
        return True
    if module == "pydist" or module.startswith(("pydist.", "pydist_")):
        return False
    root = sys.modules.get(module.partition(".")[0])
    return root is not None and _beside(module.partition(".")[0], getattr(root, "__file__", None), _search_path(root))


def _search_path(module: ModuleType) -> str | None:
    path = getattr(module, "__path__", None)
    return next(iter(path), None) if path is not None else None


@functools.cache
def _beside(name: str, file: str | None, package: str | None) -> bool:
    place = package or file
    if not place or name in sys.stdlib_module_names:
        return False
    folder = os.path.dirname(os.path.realpath(place))
    installed = {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")} | {
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
    if any(
        folder == os.path.realpath(root) or folder.startswith(os.path.realpath(root) + os.sep)
        for root in installed
        if root
    ):
        return False
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    here = {os.getcwd()} | ({os.path.dirname(os.path.realpath(main))} if main else set())
    return folder in {os.path.realpath(root) for root in here}


#: What IPython puts among the names of a notebook: every process has its own. So `exit` and `quit`, by their class.
PER_PROCESS = frozenset({"get_ipython"})
_PER_PROCESS_CLASSES = "IPython.core.autocall"
#: The instructions that read a global; names of attributes stand in the same table of a code object and are none.
_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})


@functools.lru_cache(maxsize=4096)
def _names_of(code_id: int, code: CodeType) -> tuple[str, ...]:
    import dis  # slow to import, and needed for what the notebook has defined alone

    names = [instruction.argval for instruction in dis.get_instructions(code) if instruction.opname in _READS]
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names += names_in(const)
    return tuple(dict.fromkeys(names))


def names_in(code: CodeType) -> tuple[str, ...]:
    """Return the global names that the code and the functions inside it read."""
    return _names_of(id(code), code)


def mentions(functions: Iterable[FunctionType]) -> Iterator[tuple[Mention, Any]]:
    """Yield ``((namespace, name), value)`` of every global that the functions mention, through other functions too."""
    seen: set[int] = set()
    told: set[Mention] = set()
    stack = list(functions)
    while stack:
        function = stack.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        scope = function.__globals__
        if belongs_to_library(scope):
            continue
        home = home_of(scope)
        for name in names_in(function.__code__):
            value = scope.get(name, MISSING)
            if value is MISSING or (home, name) in told or name in PER_PROCESS:
                continue
            if type(value).__module__ == _PER_PROCESS_CLASSES:  # not by name: users have names like these
                continue
            told.add((home, name))
            yield (home, name), value
            if type(value) is FunctionType and travels_by_value(value.__module__ or "__main__"):
                stack.append(value)
