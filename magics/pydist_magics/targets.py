"""Which processes a magic means: the P of ``%spawnat P expr`` and of ``%%everywhere P``.

    2            one process             2:5      processes 2, 3 and 4: ids, never positions
    any          one worker in turn      ::2      every second worker
    all          the workers             [2, 3]   several; as words (``2 4``) where no code follows
    :            every process           expr     what gives ids: a number, a collection of numbers, a pool

What can be meant but does not exist is a `Mistake`, which says what there is.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydist_magics._command import Mistake
from pydist_magics._words import words

__all__ = ["ANY", "Target", "collect", "resolve"]

_MASTER = 1
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?\Z")
_NUMBER = re.compile(r"\d+\Z")


@dataclass(frozen=True)
class Target:
    """What a P stands for.

    Attributes:
        pids: The processes, in the order given; empty for ``any``.
        several: It is a list even if one process is in it (``[2]``), so the answer is a list too.
    """

    pids: tuple[int, ...]
    several: bool = False

    @property
    def any(self) -> bool:
        """Whether one worker shall be taken in turn."""
        return not self.pids


ANY = Target(())


def resolve(text: str, procs: Sequence[int], evaluate: Callable[[str], Any]) -> Target:
    """Return what one P stands for.

    Args:
        text: As it was typed, without blanks around it.
        procs: The processes there are, the master among them.
        evaluate: Gives the value of an expression, and a NameError for a name that does not exist.

    Raises:
        Mistake: no such process, or no way to read it.
    """
    if text == "any":
        return ANY
    if text == "all":
        return Target(_workers(procs), several=True)
    if match := _SLICE.match(text):
        return Target(_slice(text, match, procs), several=True)
    if _NUMBER.match(text):
        return Target(_existing([int(text)], procs))
    return _of_value(text, _evaluate(text, evaluate), procs)


def collect(line: str, procs: Sequence[int], evaluate: Callable[[str], Any]) -> tuple[int, ...] | None:
    """Return the ids that a line of several Ps means, each once, or None if nothing stands there."""
    parts = [part.strip(",") for part in (word.text for word in words(line))]
    targets = [resolve(part, procs, evaluate) for part in parts if part]
    if any(target.any for target in targets):
        raise Mistake("any is one process for one call; name the processes here, or say all")
    return tuple(dict.fromkeys(pid for target in targets for pid in target.pids)) if targets else None


def _workers(procs: Sequence[int]) -> tuple[int, ...]:
    workers = tuple(sorted(pid for pid in procs if pid != _MASTER))
    if not workers:
        raise Mistake("there are no workers; %addprocs 2 starts two")
    return workers


def _slice(text: str, match: re.Match[str], procs: Sequence[int]) -> tuple[int, ...]:
    try:
        start, stop, step = (int(part) if part else None for part in match.groups())
    except ValueError:
        raise Mistake(f"{text!r} is not a slice of ids") from None
    if min(start or 0, stop or 0) < 0 or (step is not None and step < 1):
        raise Mistake(f"a slice like {text!r} has ids in it, not positions, so nothing in it is negative")
    # A step alone asks for "every second worker"; a slice without a beginning and without a step has the master in it.
    among = _workers(procs) if start is None and step is not None else tuple(sorted(procs))
    chosen = [pid for pid in among if pid >= (start or 0) and (stop is None or pid < stop)]
    if not chosen:
        raise Mistake(f"no process has an id in {text}; {_there_are(procs)}")
    return tuple(chosen[:: step or 1])


def _evaluate(text: str, evaluate: Callable[[str], Any]) -> Any:
    try:
        return evaluate(text)
    except SyntaxError:
        forms = "an id, any, all, a slice of ids or an expression"
        raise Mistake(f"{text!r} does not name a process: it is {forms}") from None
    except NameError as error:
        raise Mistake(f"{text!r} does not name a process: {error}") from None
    except Exception as error:
        raise Mistake(f"{text!r} does not name a process: {type(error).__name__}: {error}") from None


def _of_value(text: str, value: Any, procs: Sequence[int]) -> Target:
    single = _as_id(value)
    if single is not None:
        return Target(_existing([single], procs))
    if isinstance(value, slice):
        bounds = ("" if part is None else str(part) for part in (value.start, value.stop, value.step or 1))
        return resolve(":".join(bounds), procs, _never)
    members: Any = value.workers() if callable(getattr(value, "workers", None)) else value
    if isinstance(members, Iterable) and not isinstance(members, (str, bytes)):
        pids = [_as_id(member) for member in members]
        if pids and None not in pids:
            return Target(_existing([pid for pid in pids if pid is not None], procs), several=True)
        if not pids:
            raise Mistake(f"{text} names no process: it is empty")
    raise Mistake(f"{text} is {_article(value)}, not the id of a process or a collection of ids")


def _as_id(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _existing(pids: list[int], procs: Sequence[int]) -> tuple[int, ...]:
    for pid in pids:
        if pid not in procs:
            raise Mistake(f"no process with id {pid} exists; {_there_are(procs)}")
    return tuple(dict.fromkeys(pids))


def _there_are(procs: Sequence[int]) -> str:
    ids = sorted(procs)
    if len(ids) == 1:
        return "there is only process 1, and %addprocs starts workers"
    shown = ", ".join(map(str, ids)) if len(ids) <= 12 else f"{ids[0]} to {ids[-1]}, {len(ids)} in all"
    return f"there are {shown}"


def _article(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _never(text: str) -> Any:
    raise SyntaxError(text)
