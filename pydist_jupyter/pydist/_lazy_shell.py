"""A worker imports nothing of IPython before its user does; then it gets a shell of its own.

``display`` and ``get_ipython`` are there without an import, as in a notebook.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pydist import _stand_ins
from pydist._runtime.imports import after_import

__all__ = ["get_ipython", "install"]

#: What asks for a shell, in the module in which IPython defines it.
_NEED_SHELL = ("display", "publish_display_data", "clear_output")


def install() -> None:
    """Be ready for IPython, without importing it; on a worker."""
    after_import("IPython.core.display_functions", _give_a_shell)
    after_import("tqdm.notebook", _give_bars)
    after_import("comm", _relay_comms)
    after_import("ipykernel.ipkernel", _share_comms)
    after_import("ipywidgets.widgets.widget_output", _capture)
    _stand_ins.install()
    builtins.get_ipython = get_ipython  # type: ignore[attr-defined]
    builtins.display = _display  # type: ignore[attr-defined]


def get_ipython() -> Any:
    """Return this worker's IPython shell, made now if it is the first time."""
    from pydist._worker_shell import WorkerShell

    return WorkerShell.of_this_process()


def _display(*objects: Any, **options: Any) -> Any:
    from IPython.display import display

    return display(*objects, **options)


def _give_a_shell(module: ModuleType) -> None:
    """Have IPython's functions find a shell; without one they print, or make one that prints."""
    for name in _NEED_SHELL:
        setattr(module, name, _with_shell(getattr(module, name)))


def _give_bars(module: ModuleType) -> None:
    """Have ``tqdm.notebook`` show bars without a widget's kernel."""
    from pydist import _bars

    _bars.enter(module)


def _relay_comms(module: ModuleType) -> None:
    """Have widgets of this process shown in the front end."""
    from pydist import _comms

    _comms.enter(module, get_ipython)


def _share_comms(module: ModuleType) -> None:
    """Let a console that goes into this worker have widgets too, with the kernel that serves it."""
    from pydist import _comms

    _comms.share(module)


def _capture(module: ModuleType) -> None:
    """Have the widget for output take what is written in its block."""
    from pydist import _captures

    _captures.enter(module)


def _with_shell(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        get_ipython()
        return function(*args, **kwargs)

    return wrapper
