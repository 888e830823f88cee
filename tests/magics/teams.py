"""A shell in the process of the tests, with real workers."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any, Self

import pydist
from tests.magics.shells import Outcome, make_shell, run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Team"]


class Team:
    """A shell and its workers.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int = 3) -> None:
        self._wanted = workers
        self._main = sys.modules["__main__"]
        self.shell: InteractiveShell

    def __enter__(self) -> Self:
        self.shell = make_shell()
        self.run("%load_ext pydist")
        pydist.addprocs(self._wanted)
        return self

    def __exit__(self, *_: object) -> None:
        pydist.rmprocs([pid for pid in pydist.workers() if pid != 1], waitfor=10)
        pydist.everywhere_log().clear()
        self.run("%unload_ext pydist")
        type(self.shell).clear_instance()
        sys.modules["__main__"] = self._main
        # What was drawn is not to keep the shell.
        sys.last_value = sys.last_traceback = None
        gc.collect()

    def run(self, code: str) -> Outcome:
        """Run a cell."""
        return run(self.shell, code)

    def value(self, code: str) -> Any:
        """Run a cell that must not fail, and return its result."""
        outcome = self.run(code)
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def mistake(self, code: str) -> str:
        """Run a cell whose magic must refuse its line, and return the sentence."""
        outcome = self.run(code)
        assert type(outcome.error).__name__ == "UsageError", outcome
        assert outcome.stdout == ""
        assert outcome.stderr.count("\n") == 1, outcome.stderr
        return outcome.stderr.removeprefix("UsageError: ").rstrip("\n")
