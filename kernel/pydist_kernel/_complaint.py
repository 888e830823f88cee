"""An error of the command line: one sentence for the user, and the exit code."""

from __future__ import annotations

__all__ = ["FAILED", "USAGE", "Complaint"]

#: What was asked for was done, and failed.
FAILED = 1
#: What was asked for cannot be done.
USAGE = 2


class Complaint(Exception):
    """What is said to the user in place of a traceback."""

    def __init__(self, sentence: str, code: int = USAGE) -> None:
        super().__init__(sentence)
        self.code = code
