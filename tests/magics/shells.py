"""Making shells, and running cells in them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

__all__ = ["Outcome", "make_shell", "run"]


def make_shell() -> InteractiveShell:
    """Return a shell that keeps no history and writes no colours."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    shell: InteractiveShell = InteractiveShell.instance(config=config)
    return shell


@dataclass(frozen=True)
class Outcome:
    """What a cell gave."""

    result: object
    error: BaseException | None
    stdout: str
    stderr: str


def run(shell: InteractiveShell, code: str) -> Outcome:
    """Run a cell."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        execution = shell.run_cell(code, store_history=True)
    error = execution.error_before_exec or execution.error_in_exec
    return Outcome(execution.result, error, out.getvalue(), err.getvalue())
