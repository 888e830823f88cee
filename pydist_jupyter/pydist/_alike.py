"""Failures of several workers that are one failure."""

from __future__ import annotations

from collections.abc import Iterable

from pydist._errors import RemoteException

__all__ = ["share_causes"]


def share_causes(failures: Iterable[Exception]) -> None:
    """Let failures that are equal have one cause: Python prints what it says, and where it was, only once.

    How each of them has come here is the same for all, and stands above the group.
    """
    first: dict[object, BaseException | None] = {}
    for failure in failures:
        if isinstance(failure, RemoteException):
            failure.__cause__ = first.setdefault(_looks(failure), failure.__cause__)
            failure.__traceback__ = None


def _looks(failure: RemoteException) -> object:
    captured = failure.captured
    places = tuple(frame[:4] for frame in captured.frames)
    return type(captured.ex), str(failure).partition(": ")[2], places, captured.prologue
