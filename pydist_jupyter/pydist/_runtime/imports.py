"""Doing something right after a module has been imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["after_import"]

Step = Callable[[ModuleType], object]


def after_import(name: str, step: Step) -> None:
    """Call ``step(module)`` when the module of that name has been imported; now, if it has been."""
    module = sys.modules.get(name)
    if module is not None:
        step(module)
    else:
        sys.meta_path.insert(0, _Waiting(name, step))


class _Waiting:
    """Finds nothing by itself: it lets the others find the module, adds the step to its import, and is gone."""

    def __init__(self, name: str, step: Step) -> None:
        self._name = name
        self._step = step

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec that the next finder has for the module, None for all others."""
        if name != self._name:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _add_a_step(spec.loader, self._step)
                return spec
        return None


def _add_a_step(loader: Any, step: Step) -> None:
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def exec_module(module: ModuleType) -> None:
        run(module)
        step(module)

    try:
        loader.exec_module = exec_module  # there is one loader for each module
    except AttributeError:  # frozen into a program: the step is then not taken
        pass
