"""``%load_ext pydist``: the runtime knows no IPython, it only says which extensions to load."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_EXTENSIONS = ("pydist_magics", "pydist_widgets")


def load_ipython_extension(ip: Any) -> None:
    """Load the magics and the displays into an IPython shell; doing it twice is the same as once."""
    for name in _EXTENSIONS:
        importlib.import_module(name).load_ipython_extension(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Take them out again; the cluster stays as it is."""
    for name in reversed(_EXTENSIONS):
        importlib.import_module(name).unload_ipython_extension(ip)
