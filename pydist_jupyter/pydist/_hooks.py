"""Rewriting what workers print."""

from __future__ import annotations

from collections.abc import Callable

from pydist._runtime.current import current_node

__all__ = ["set_output_hook"]


def set_output_hook(fn: Callable[[int, str], str | None] | None) -> None:
    r"""Let ``fn(pid, line)`` rewrite each line of worker output; None brings the standard prefix back.

    Julia: ``worker_output_hook``.

    ``line`` comes without its newline. ``fn`` returns the whole line to show, or None for the standard one
    (`` From worker 2:\t…``). If it raises, the standard line is shown: nothing is lost.

    Raises:
        TypeError: ``fn`` is neither callable nor None.

    Example:
        >>> set_output_hook(lambda pid, line: f"[{pid}] {line}")
        >>> set_output_hook(None)
    """
    if fn is not None and not callable(fn):
        raise TypeError(f"the output hook must be a function or None, not {fn!r}")
    current_node().desk.hook = fn
