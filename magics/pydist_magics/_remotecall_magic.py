"""``%remotecall f P args``: a function that is here, called in a process with values that are here."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import pydist
from pydist_magics._command import Command, Mistake
from pydist_magics._magic import Call, Magic
from pydist_magics._words import Word, shortest_expression, words

__all__ = ["MAGICS", "arguments"]

_COMES_FIRST = "as in %remotecall f 2 x"
REMOTECALL = Command(
    "remotecall",
    ("%remotecall F P [ARG ...] [NAME=ARG ...]",),
    "Call F in a process and return a Future at once; with several processes a list of them. The arguments are "
    "Python expressions, evaluated here; one with blanks in it belongs in brackets. P: an id, any, all, a slice of "
    "ids such as 2:5, a list, or an expression that gives ids.",
    code="last",
    examples=("f = %remotecall pow 2 3 4", "%remotecall sorted any data reverse=True"),
)


def arguments(line: str, parts: list[Word], first: int) -> list[str]:
    """Cut what stands from word ``first`` on into arguments: ``x``, ``name=x``, ``*xs``, ``**names``.

    Raises:
        SyntaxError: what is left is no argument, however much of it is taken.
    """
    found: list[str] = []
    while first < len(parts):
        start = parts[first].start
        last = next((i for i in range(first, len(parts)) if _is_argument(line[start : parts[i].end])), None)
        if last is None:
            raise SyntaxError(f"{line[start : parts[-1].end]!r} is not a Python expression")
        found.append(line[start : parts[last].end].rstrip(","))
        first = last + 1
    return found


def _is_argument(text: str) -> bool:
    try:
        tree = ast.parse(f"_(0, {text}\n)", mode="eval").body
    except (SyntaxError, ValueError):
        return False
    # "x, y" would be two (a comma behind one does no harm), and brackets in the text may have closed ours.
    return isinstance(tree, ast.Call) and len(tree.args) + len(tree.keywords) == 2


def _evaluate(call: Call, texts: list[str]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if not texts:
        return (), {}
    collected: tuple[tuple[Any, ...], Mapping[str, Any]] = call.value(
        f"(lambda *a, **k: (a, k))({', '.join(texts)})", "the arguments"
    )
    return collected


def remotecall(call: Call) -> Any:
    """Start the calls."""
    line = call.line.rest
    parts = words(line)
    if len(parts) < 2:
        raise Mistake(f"it needs a function and a process, {_COMES_FIRST}")
    try:
        last = shortest_expression(line, parts, 0)
    except SyntaxError as error:
        raise Mistake(f"{error.msg}; first comes the function, {_COMES_FIRST}") from None
    text = line[: parts[last].end]
    function = call.value(text, "the function")
    if not callable(function):
        raise Mistake(f"{text!r} is not a function; first comes the function, {_COMES_FIRST}")
    if last + 1 == len(parts):
        raise Mistake(f"it needs a process after {text}, {_COMES_FIRST}")
    target = call.target(parts[last + 1].text)
    try:
        args, kwargs = _evaluate(call, arguments(line, parts, last + 2))
    except SyntaxError as error:
        raise Mistake(str(error.msg)) from None
    if target.any:
        return pydist.spawn(function, *args, **kwargs)
    futures = [pydist.remotecall(function, pid, *args, **kwargs) for pid in target.pids]
    return futures if target.several else futures[0]


MAGICS = (Magic("line", REMOTECALL, remotecall),)
