"""From the text of a loop to the function that does it over a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pydist_magics import _distributed_magics as magic
from pydist_magics._command import Mistake
from pydist_magics._magic import Call
from pydist_magics._session import Session
from pydist_magics._sources import CellSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

Chunks = list[Any]


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> Chunks:
    """The chunk functions that are handed to the runtime, which here does the whole loop as one part, or as two."""
    made: Chunks = []

    def distributed_chunks(chunk: Callable[[Any], Any], over: Any, reducer: Any = None) -> Any:
        made.append(chunk)
        if reducer is None:
            return chunk(over)
        middle = len(over) // 2
        return reducer(chunk(over[:middle]), chunk(over[middle:])) if middle else chunk(over)

    monkeypatch.setattr(magic, "distributed_chunks", distributed_chunks)
    return made


@pytest.fixture
def session(shell: InteractiveShell, chunks: Chunks) -> Session:
    return Session(shell)


def line(session: Session, text: str, scope: dict[str, Any] | None = None) -> Any:
    return magic.distributed(Call(session, magic.DISTRIBUTED.parse(text), scope))


def cell(session: Session, text: str, body: str) -> Any:
    shown = f"%%distributed {text}\n{body}"
    return magic.distributed_cell(Call(session, magic.DISTRIBUTED.parse(text), None, body, shown))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(+) i for i in xs", ("+", "i for i in xs")),
        ("(max) for i in xs", ("max", "for i in xs")),
        ("(lambda a, b: a) i for i in xs", ("lambda a, b: a", "i for i in xs")),
        ("for i in xs", (None, "for i in xs")),
        ("i for i in xs", (None, "i for i in xs")),
        ("f(i) for i in xs", (None, "f(i) for i in xs")),
        ("(+)", (None, "(+)")),
        ("", (None, "")),
    ],
)
def test_a_word_in_brackets_at_the_beginning_is_the_reducer(text: str, parts: tuple[str | None, str]) -> None:
    assert magic.take_reducer(text) == parts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(+) i * i for i in range(10)", 285),
        ("(*) i for i in range(1, 6)", 120),
        ("(max) abs(i - 5) for i in range(8)", 5),
        ("(lambda a, b: a + b) [i] for i in range(4)", [0, 1, 2, 3]),
        ("(+) [i] for i in range(6) if i % 2", [1, 3, 5]),
        ("(+) [(i, j)] for i in range(3) for j in range(i)", [(1, 0), (2, 0), (2, 1)]),
        ("(+) a * b for a, b in [(1, 2), (3, 4)]", 14),
        ("(+) i for i in range(6) if i > 4", 5),
        ("(|) {i % 3} for i in range(9)", {0, 1, 2}),
        ("(max) (i, 2) for i in range(3)", (2, 2)),
    ],
)
def test_a_line_is_folded_in_order(session: Session, text: str, value: object) -> None:
    assert line(session, text) == value


def test_a_line_may_bind_its_value(session: Session) -> None:
    assert line(session, "(+) i for i in range(4) -o total") is None
    assert session.shell.user_ns["total"] == 6


def test_names_of_the_function_around_go_along(session: Session) -> None:
    assert line(session, "(+) n * i for i in items", {"n": 10, "items": [1, 2]}) == 30


def test_a_first_pair_of_brackets_that_is_a_call_is_the_body(session: Session, chunks: Chunks) -> None:
    seen: list[int] = []
    session.shell.user_ns["note"] = seen.append
    assert line(session, "(note)(i) for i in range(3)") is None
    session.shell.user_ns["x"] = 10
    assert line(session, "(i) * x for i in range(2)") is None
    assert line(session, "(x) - note(i) if i > 1 else 0 for i in range(2)") is None
    assert seen == [0, 1, 2]


def test_a_cell_is_the_body_and_its_last_expression_the_value(session: Session) -> None:
    assert cell(session, "(+) for i in range(10)", "x = i * i\nx + 1\n") == 295


def test_a_cell_may_go_on_with_the_next_element(session: Session) -> None:
    assert cell(session, "(+) for i in range(10)", "if i % 2:\n    continue\n[i]\n") == [0, 2, 4, 6, 8]


def test_loops_inside_the_body_are_its_own(session: Session) -> None:
    body = "for j in range(100):\n    if j == i:\n        break\nj\n"
    assert cell(session, "(+) for i in range(5)", body) == 10


def test_no_function_is_called_for_each_element(session: Session, chunks: Chunks) -> None:
    cell(session, "(+) for i in range(10)", "i * i\n")
    (chunk,) = chunks
    assert not [const for const in chunk.__code__.co_consts if hasattr(const, "co_code")]
    assert "range" not in chunk.__code__.co_names


def test_the_same_text_with_another_reducer_is_another_function(session: Session) -> None:
    assert line(session, "(+) i for i in range(4)") == 6
    assert line(session, "(-) i for i in range(4)") == (0 - 1) - (2 - 3)
    assert line(session, "(min) i for i in range(4)") == 0
    assert line(session, "(max) i for i in range(4)") == 3


def test_an_error_has_its_line_of_the_cell(session: Session) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        cell(session, "(+) for i in range(3)", "x = 1\n1 / (i - 2)\n")
    assert caught.traceback[-1].lineno + 1 == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it needs a loop"),
        ("f(x)", "'f(x)' is not a loop"),
        ("(+) f(x)", "'(+) f(x)' is not a loop"),
        ("(7) i for i in range(3)", r"\(7\) is no reducer"),
        ("(nope) i for i in range(3)", "the reducer 'nope'"),
        ("() i for i in range(3)", r"\(\) is no reducer"),
        ("(+) i for i in nothing", "the items 'nothing'"),
        ("(+) i async for i in range(3)", "async for"),
        ("(+) i for i in range(3) if i > 9", "no value to reduce"),
        ("(+) i for i in range(3) -o 1x", "'1x' cannot be the name"),
    ],
)
def test_a_line_that_is_wrong_is_a_mistake(session: Session, text: str, sentence: str) -> None:
    with pytest.raises(Mistake, match=sentence.replace("(+)", r"\(\+\)").replace("f(x)", r"f\(x\)")):
        line(session, text)


@pytest.mark.parametrize(
    ("text", "body", "sentence"),
    [
        ("", "1", "it needs a loop"),
        ("i in range(3)", "1", "not a loop"),
        ("(+) for i in range(3)", " \n", "the cell is empty"),
        ("(+) for i in range(3)", "x = 1\n", "last line of the cell must be an expression"),
        ("(+) for i in range(3)", "await g()\n", "await has no place"),
    ],
)
def test_a_cell_that_is_wrong_is_a_mistake(session: Session, text: str, body: str, sentence: str) -> None:
    with pytest.raises(Mistake, match=sentence):
        cell(session, text, body)


@pytest.mark.parametrize(
    ("body", "at"),
    [("1\nx = = 2\n", 3), ("if i:\n    break\ni\n", 3), ("x = 1\nreturn x\n", 3), ("def f(:\n", 2)],
)
def test_a_syntax_error_stands_at_its_line(session: Session, body: str, at: int) -> None:
    with pytest.raises(CellSyntaxError) as caught:
        cell(session, "for i in range(3)", body)
    assert caught.value.lineno == at
