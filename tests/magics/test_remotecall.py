"""Where the arguments of %remotecall end."""

from __future__ import annotations

import pytest

from pydist_magics._remotecall_magic import arguments
from pydist_magics._words import words


def cut(line: str) -> list[str]:
    return arguments(line, words(line), 0)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("", []),
        ("1 2", ["1", "2"]),
        ("1, x=2", ["1", "x=2"]),
        ("x reverse=True", ["x", "reverse=True"]),
        ("*xs **names", ["*xs", "**names"]),
        ("[1, 2] {'a': 1} 'a b'", ["[1, 2]", "{'a': 1}", "'a b'"]),
        ("key= len x", ["key= len", "x"]),
        ("lambda x: x y", ["lambda x: x", "y"]),
        ("(x for x in xs) n=(1 + 2)", ["(x for x in xs)", "n=(1 + 2)"]),
    ],
)
def test_each_argument_is_the_shortest_that_can_be_read(line: str, texts: list[str]) -> None:
    assert cut(line) == texts


@pytest.mark.parametrize("line", ["1 +", "x == y", "x)", "*", "a=b=c", "f(", "1) + (2"])
def test_what_is_no_argument_is_named(line: str) -> None:
    with pytest.raises(SyntaxError, match="is not a Python expression"):
        cut(line)
