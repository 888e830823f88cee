"""``%inspect P NAME``: what a name is in a worker, as ``NAME?`` says it of one that is here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pydist
from pydist_magics._command import Command, Mistake, Option
from pydist_magics._completion import split_line
from pydist_magics._looks import look, names
from pydist_magics._magic import Call, Magic
from pydist_magics._words import words

__all__ = ["MAGICS", "remote_names"]

#: A worker that computes in C does not answer; nobody waits longer for it (seconds).
_PATIENCE = 5.0
#: So long may a press of Tab take (seconds).
_TAB = 0.3

INSPECT = Command(
    "inspect",
    ("%inspect P EXPRESSION",),
    "Show what a name, or another expression, is in a process: signature, type, value, documentation. P: an id.",
    (
        Option(("--source",), "", "its source, too"),
        Option(("--timeout",), "SECONDS", f"how long to wait for the process ({_PATIENCE:g})"),
    ),
    code="last",
    examples=("%inspect 2 model", "%inspect 2 model.fit", "%inspect --source 3 work"),
    processes="first",
)


def inspect(call: Call) -> None:
    """Show what something is over there."""
    line = call.line.rest
    parts = words(line)
    if len(parts) < 2:
        raise Mistake("it needs a process and a name, as in %inspect 2 model")
    target = call.target(parts[0].text)
    if target.several or target.any:
        raise Mistake(f"it needs the id of one process, not {parts[0].text}")
    expression = line[parts[1].start :].strip()
    seconds = call.line.seconds("timeout")
    limit = _PATIENCE if seconds is None else seconds
    pid = target.pids[0]
    future = pydist.remotecall(look, pid, expression, call.line.flag("source"))
    try:
        found = future.fetch(limit)
    except TimeoutError:
        future.cancel()
        raise Mistake(f"process {pid} has not answered within {limit:g} seconds") from None
    except NameError as error:
        raise Mistake(f"on process {pid}, {error.args[0]}") from None
    except SyntaxError:
        raise Mistake(f"{expression!r} is not a Python expression") from None
    print("\n".join(_section(heading, text) for heading, text in found))  # noqa: T201


def _section(heading: str, text: str) -> str:
    return f"{heading}:\n{text}" if "\n" in text else f"{heading}: {text}"


def remote_names(
    before: str, token: str, find: Callable[[str, str], Command | None], procs: Callable[[], Sequence[int]]
) -> list[str]:
    """Return what the name at the cursor may become in the worker whose code the line is; soon, or nothing.

    Args:
        before: the line up to the cursor.
        token: the dotted name at its end.
        find: gives the command of a magic by its kind and name.
        procs: gives the processes there are.
    """
    line = split_line(before)
    if line is None:
        return []
    kind, name, rest = line
    command = find(kind, name)
    parts = [part for part in words(rest) if not part.text.startswith("-")]
    if command is None or command.processes != "first" or command.code != "last" or not parts:
        return []
    pid = int(parts[0].text) if parts[0].text.isdecimal() else 0
    if pid not in procs() or pid == pydist.myid():
        return []
    future = pydist.remotecall(names, pid, token)
    try:
        return list(future.fetch(_TAB))
    except Exception:  # a busy worker, a name that is not there: then IPython's own must do
        future.cancel()
        return []


MAGICS = (Magic("line", INSPECT, inspect),)
