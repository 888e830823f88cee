"""Modules beside the notebook whose files are edited while the workers live.

Every process notes when it has looked for a module: a file that is younger has been changed since. What the master has
imported anew (``importlib.reload``, ``%autoreload``) a worker imports anew, too, when a call next mentions it. What the
master itself has not is named once, in a warning; the workers go on with what it has.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from pydist._runtime.current import current_node
from pydist._runtime.namespaces import travels_by_value

__all__ = ["identity", "is_changed", "load_module", "name_if_changed", "note_imports"]

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


class _Noting:
    """Finds nothing, and notes what is looked for."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Note the time. Called for each import that is not a repetition, and for each reload."""
        _found[name] = time.time()


def note_imports() -> None:
    """Note from now on when modules are imported."""
    sys.meta_path.insert(0, _Noting())


def is_changed(module: ModuleType) -> bool:
    """Say whether the file of a module is younger than what was imported from it."""
    return _change(module) > _found.get(module.__name__, _START)


def _change(module: ModuleType) -> float:
    try:
        return os.stat(module.__file__ or "").st_mtime
    except OSError:
        return 0.0


def identity(value: Any) -> object:
    """Return what stands for a module in the notes about what a peer has: another object after each import of it.

    Only modules beside the notebook are watched; for anything else it is the value.
    """
    if type(value) is not ModuleType or not travels_by_value(value.__name__):
        return value
    name_if_changed(value.__name__)
    return _found.get(value.__name__, value)


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
