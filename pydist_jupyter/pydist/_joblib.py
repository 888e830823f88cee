"""joblib learns of the backend "pydist", whichever of the two is imported first, and neither imports the other.

joblib keeps a table of backends that others bring along: a name, and what to call when it is asked for. The table is in
``joblib.parallel``. If that is not imported yet, a finder waits for it and is gone once it has come.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["offer"]

_MODULE = "joblib.parallel"


def offer() -> None:
    """See to it that ``joblib.parallel_config("pydist")`` finds us."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        _enter(module)
    else:
        sys.meta_path.insert(0, _Waiting())


def _enter(module: ModuleType) -> None:
    backends = getattr(module, "EXTERNAL_BACKENDS", None)
    if isinstance(backends, dict):  # an older joblib has none
        backends["pydist"] = _register


def _register() -> None:
    from joblib import register_parallel_backend

    from pydist._joblib_backend import PydistBackend

    register_parallel_backend("pydist", PydistBackend)


class _Waiting:
    """Finds nothing by itself: it lets the others find the module and adds a step to its import."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec that the next finder has for joblib's module, None for all others."""
        if name != _MODULE:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _add_a_step(spec.loader)
                return spec
        return None


def _add_a_step(loader: Any) -> None:
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def exec_module(module: ModuleType) -> None:
        run(module)
        _enter(module)

    try:
        loader.exec_module = exec_module  # there is one loader for each module
    except AttributeError:  # frozen into a program: `parallel_config` will then not know the name
        pass
