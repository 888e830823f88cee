"""joblib learns of the backend "pydist", whichever of the two is imported first, and neither imports the other.

joblib keeps a table of backends that others bring along: a name, and what to call when it is asked for. The table is in
``joblib.parallel``.
"""

from __future__ import annotations

from types import ModuleType

from pydist._runtime.imports import after_import

__all__ = ["offer"]

_MODULE = "joblib.parallel"


def offer() -> None:
    """See to it that ``joblib.parallel_config("pydist")`` finds us."""
    after_import(_MODULE, _enter)


def _enter(module: ModuleType) -> None:
    backends = getattr(module, "EXTERNAL_BACKENDS", None)
    if isinstance(backends, dict):  # an older joblib has none
        backends["pydist"] = _register


def _register() -> None:
    from joblib import register_parallel_backend

    from pydist._joblib_backend import PydistBackend

    register_parallel_backend("pydist", PydistBackend)
