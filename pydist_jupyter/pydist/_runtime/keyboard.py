"""What a worker says to code that asks the user something: it has no keyboard, and says so in one sentence."""

from __future__ import annotations

import builtins
import sys
from typing import Any, NoReturn

from pydist._runtime.current import current_node

__all__ = ["install"]


def _no_input(prompt: object = "", /) -> NoReturn:
    pid = current_node().pid
    raise EOFError(f"worker {pid} has no keyboard: call input() in process 1, and hand the answer over as an argument")


def _no_breakpoint(*args: Any, **kwargs: Any) -> NoReturn:
    pid = current_node().pid
    raise RuntimeError(
        f"worker {pid} has no console for breakpoint(): run the function in process 1 to step through it"
    )


def install() -> None:
    """Refuse input() and breakpoint() in this process."""
    builtins.input = _no_input
    sys.breakpointhook = _no_breakpoint
