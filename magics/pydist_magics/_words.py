"""The words of a magic's line: cut at blanks, but never inside brackets or quotes.

    f (a, b)  "x y"     ->     'f', '(a, b)', '"x y"'

Positions are kept, because code must be handed on as it was typed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Word", "expressions", "words"]

_OPENING = "([{"
_CLOSING = ")]}"
_STRING = re.compile(
    r"""'''(?:[^\\]|\\.)*?''' | \"\"\"(?:[^\\]|\\.)*?\"\"\" | '(?:[^'\\\n]|\\.)*' | "(?:[^"\\\n]|\\.)*" """,
    re.VERBOSE | re.DOTALL,
)


class Word(NamedTuple):
    """A word and where it stands in its line."""

    text: str
    start: int
    end: int


def words(line: str) -> list[Word]:
    """Return the words of ``line``; a comment ends it, an open bracket or quote takes all that is left."""
    found: list[Word] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
        elif line[at] == "#":
            break
        else:
            end = _end_of_word(line, at)
            found.append(Word(line[at:end], at, end))
            at = end
    return found


def _end_of_word(line: str, at: int) -> int:
    depth = 0
    while at < len(line):
        char = line[at]
        if char in "'\"":
            string = _STRING.match(line, at)
            if string is None:
                return len(line.rstrip())
            at = string.end()
            continue
        if char.isspace() and depth <= 0:
            return at
        depth += (char in _OPENING) - (char in _CLOSING)
        at += 1
    return len(line.rstrip())


def expressions(line: str) -> list[str]:
    """Cut ``line`` into Python expressions: words, joined with the next one as long as they are none by themselves.

    ``lambda x: x + 1 xs`` gives ``lambda x: x``, ``+ 1`` and ``xs``: the shortest that can be read counts, so an
    expression with blanks belongs in brackets.

    Raises:
        SyntaxError: what is left is no expression, however much of it is taken.
    """
    parts = words(line)
    found: list[str] = []
    first = 0
    while first < len(parts):
        last = shortest_expression(line, parts, first)
        found.append(line[parts[first].start : parts[last].end])
        first = last + 1
    return found


def shortest_expression(line: str, parts: list[Word], first: int) -> int:
    """Return the index of the last word of the shortest expression that begins with word ``first``."""
    for last in range(first, len(parts)):
        if is_expression(line[parts[first].start : parts[last].end]):
            return last
    rest = line[parts[first].start : parts[-1].end]
    raise SyntaxError(f"{rest!r} is not a Python expression")


def is_expression(text: str) -> bool:
    """Say whether ``text`` is one whole Python expression."""
    try:
        compile(text, "<magic>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
