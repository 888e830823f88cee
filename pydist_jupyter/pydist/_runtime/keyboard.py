"""What a worker says to code that asks the user something, or wants to leave: one sentence, and it stays as it is."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any, NoReturn

from pydist._runtime.current import current_node
from pydist._runtime.imports import after_import

__all__ = ["install"]


def _no_input(*_: object, **__: object) -> NoReturn:
    pid = current_node().pid
    raise EOFError(f"worker {pid} has no keyboard: call input() in process 1, and hand the answer over as an argument")


def _no_breakpoint(*args: Any, **kwargs: Any) -> NoReturn:
    pid = current_node().pid
    raise RuntimeError(
        f"worker {pid} has no console for breakpoint(): run the function in process 1 to step through it"
    )


def _no_password(module: ModuleType) -> None:
    own: Any = module
    own.getpass = _no_input


class _WayOut:
    """``exit`` and ``quit``: Python's own close ``sys.stdin`` too, and this process goes on."""

    def __call__(self, code: object = None) -> NoReturn:
        raise SystemExit(code)

    def __repr__(self) -> str:
        return f"rmprocs({current_node().pid}) ends this worker"


def install() -> None:
    """Refuse input(), getpass() and breakpoint() in this process."""
    builtins.input = _no_input
    after_import("getpass", _no_password)
    builtins.exit = builtins.quit = _WayOut()  # type: ignore[assignment]
    sys.breakpointhook = _no_breakpoint
