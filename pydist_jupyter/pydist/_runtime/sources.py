"""Modules beside the notebook whose files are edited while the workers live.

Every process notes when it has looked for a module: a file that is younger has been changed since. What the master has
imported anew (``importlib.reload``, ``%autoreload``) a worker imports anew, too, when a call next mentions it. What the
master itself has not is named once, in a warning; the workers go on with what it has.

``%autoreload`` often puts new code into the old functions and imports nothing: a front end says so, see
`frontend.watch_sources`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Any

from pydist._runtime.current import current_node
from pydist._runtime.namespaces import travels_by_value
from pydist.frontend import taken_over

__all__ = [
    "bring_up_to_date",
    "identity",
    "is_changed",
    "load_module",
    "name_if_changed",
    "note_imports",
    "version",
]

#: A file is looked at this often (seconds), however many calls mention it.
_PERIOD = 0.5
#: name of a module -> when it was looked for; a new object each time
_found: dict[str, float] = {}
#: That of modules which were there before us.
_START = time.time()
#: name -> when its file shall be looked at again
_due: dict[str, float] = {}
#: (file, time of its change) that a warning has named
_named: set[tuple[str, float]] = set()
_reloading = threading.RLock()
#: function or class -> (its module's entry in `_found`, what stands for it since)
_versions: weakref.WeakKeyDictionary[Any, tuple[float, object]] = weakref.WeakKeyDictionary()


class _Noting:
    """Finds nothing, and notes what is looked for."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Note the time. Called for each import that is not a repetition, and for each reload."""
        _found[name] = time.time()


def note_imports() -> None:
    """Note from now on when modules are imported."""
    sys.meta_path.insert(0, _Noting())


def version(name: str) -> float | None:
    """Return when module ``name`` was last brought up to date: another object each time; None if before us."""
    changed, known = taken_over(name), _found.get(name)
    if changed and changed > (_START if known is None else known):
        known = _found[name] = changed
    return known


def is_changed(module: ModuleType) -> bool:
    """Say whether the file of a module is younger than what was imported from it."""
    known = version(module.__name__)
    return _change(module) > (_START if known is None else known)


def _change(module: ModuleType) -> float:
    try:
        return os.stat(module.__file__ or "").st_mtime
    except OSError:
        return 0.0


def identity(value: Any) -> object:
    """Return what stands for a value in the notes about what a peer has.

    It is the value, but for modules beside the notebook and for their functions and classes: these count as others
    after each import, also where the new code was put into the old function.
    """
    kind = type(value)
    if kind is ModuleType:
        if not travels_by_value(value.__name__):
            return value
        name_if_changed(value.__name__)
        imported = version(value.__name__)
        return value if imported is None else imported
    if kind is not FunctionType and not isinstance(value, type):
        return value
    module = value.__module__ or "__main__"
    if module == "__main__" or not travels_by_value(module) or (known := version(module)) is None:
        return value
    noted = _versions.get(value)
    if noted is None or noted[0] is not known:
        noted = _versions[value] = known, object()
    return noted[1]


def name_if_changed(name: str) -> None:
    """Warn, once, if the file of a module beside the notebook was changed since it was imported here."""
    now = time.monotonic()
    if now < _due.get(name, 0.0):
        return
    _due[name] = now + _PERIOD
    module = sys.modules.get(name)
    if module is None or current_node().pid != 1 or not travels_by_value(name) or not is_changed(module):
        return
    version = (module.__file__ or "", _change(module))
    if version not in _named:
        _named.add(version)
        warnings.warn(
            f"{os.path.basename(version[0])} has been changed since process 1 imported it: calls still run what was "
            f"imported. importlib.reload({name}) takes the change over, here and on the workers",
            stacklevel=2,
        )


def load_module(name: str, is_current: bool) -> ModuleType:
    """Return this process's module of that name; called by unpickling.

    Args:
        name: the module.
        is_current: the sender has imported the file as it now is, so a worker imports it anew if it has not. Process 1
            is the user's: nothing is imported anew there behind his back.
    """
    from importlib import import_module, reload

    module = sys.modules.get(name)
    if module is None:
        return import_module(name)
    with _reloading:
        if is_current and current_node().pid != 1 and is_changed(module):
            return reload(module)
        return module


def bring_up_to_date(name: str) -> bool:
    """Import a module anew if its file was changed since, and return whether it is as its file now; on a worker."""
    module = sys.modules.get(name)
    if module is None or current_node().pid == 1:
        return False
    load_module(name, True)
    return not is_changed(module)
