"""How a magic reads its line: words, options, and code left as it was typed."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from pydist_magics._command import Command, Mistake, Option
from pydist_magics._words import expressions, words

NAME = Option(("-o", "--output"), "NAME", "where to put it")
TIMEOUT = Option(("--timeout",), "SECONDS", "how long")
COUNT = Option(("--batch-size",), "N", "how many")
ERROR = Option(("--on-error",), "EXPR", "what instead", expression=True)
ENV = Option(("--env",), "K=V", "a variable", repeat=True)
WORKERS = Option(("--workers",), "", "not the master")

PLAIN = Command("plain", ("%plain",), "Nothing.", (TIMEOUT, WORKERS, ENV))
LAST = Command("last", ("%last [-o NAME] code",), "Nothing.", (NAME,), code="last")
AMID = Command("amid", ("%amid code",), "Nothing.", (NAME, COUNT, ERROR, WORKERS), code="amid", examples=("%amid 1",))


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("", []),
        ("  a  b ", ["a", "b"]),
        ("f (a, b) [1, 2]", ["f", "(a, b)", "[1, 2]"]),
        ("f(a, b)[1, 2] c", ["f(a, b)[1, 2]", "c"]),
        ("'a b' \"c d\"", ["'a b'", '"c d"']),
        ("f(' ) ') x", ["f(' ) ')", "x"]),
        (r"'it\'s x' y", [r"'it\'s x'", "y"]),
        ("'''a 'b' c''' d", ["'''a 'b' c'''", "d"]),
        ("a # b", ["a"]),
        ("a#b", ["a#b"]),
        ("(a b", ["(a b"]),
        ("'a b ", ["'a b"]),
        (") a", [")", "a"]),
    ],
)
def test_blanks_cut_words_but_not_in_brackets_or_quotes(line: str, texts: list[str]) -> None:
    found = words(line)
    assert [word.text for word in found] == texts
    assert all(line[word.start : word.end] == word.text for word in found)


@given(st.text(alphabet="ab()[]'\"\\ #\n", max_size=30))
def test_words_never_overlap_and_leave_out_only_blanks(line: str) -> None:
    at = 0
    for word in words(line):
        assert line[at : word.start].strip() == ""
        at = word.end
    assert line[at:].strip() == "" or line[at:].lstrip().startswith("#")


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("f xs ys", ["f", "xs", "ys"]),
        ("lambda x: x xs", ["lambda x: x", "xs"]),
        ("(lambda x: x + 1) range(3)", ["(lambda x: x + 1)", "range(3)"]),
        ("f [x for x in y]", ["f", "[x for x in y]"]),
    ],
)
def test_expressions_are_the_shortest_that_can_be_read(line: str, texts: list[str]) -> None:
    assert expressions(line) == texts


def test_what_is_no_expression_is_named() -> None:
    with pytest.raises(SyntaxError, match="'for x' is not a Python expression"):
        expressions("f for x")


def test_options_may_stand_anywhere_on_a_plain_line() -> None:
    line = PLAIN.parse("2 --timeout 3 4 --workers")
    assert line.rest == "2 4"
    assert line.seconds("timeout") == 3.0
    assert line.flag("workers")


def test_a_value_may_follow_an_equals_sign() -> None:
    assert PLAIN.parse("--timeout=1.5").seconds("timeout") == 1.5


def test_an_option_may_be_repeated_where_it_says_so() -> None:
    assert PLAIN.parse("--env A=1 --env 'B=x y'").texts("env") == ["A=1", "B=x y"]


def test_code_behind_the_options_is_left_alone() -> None:
    line = LAST.parse("-o out  f('a  b')  -o  # it's")
    assert line.text("output") == "out"
    assert line.rest == "f('a  b')  -o  # it's"


def test_options_may_stand_on_either_side_of_code() -> None:
    line = AMID.parse("--batch-size 4 x in f('a  b') -o out")
    assert line.rest == "x in f('a  b')"
    assert (line.count("batch_size", 1), line.text("output")) == (4, "out")


@pytest.mark.parametrize("code", ["x in xs - 1", "x in -y", "(x --y)", "a -b", "f('--batch-size 3') xs", "x in [ -o ]"])
def test_a_minus_of_the_code_is_no_option(code: str) -> None:
    line = AMID.parse(code)
    assert line.rest == code
    assert line.options == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [(text, text) for text in ("None", "lambda e: 0", "(lambda e: 0)", "str", "'a b'")],
)
def test_an_expression_is_taken_whole(text: str, value: str) -> None:
    line = AMID.parse(f"x in xs --on-error {text} --batch-size 2")
    assert line.text("on_error") == value
    assert line.text("batch_size") == "2"
    assert line.rest == "x in xs"


@pytest.mark.parametrize(
    ("command", "text", "sentence"),
    [
        (PLAIN, "--bad 1", "there is no option --bad; it has --timeout, --workers, --env, --help"),
        (AMID, "x in xs --batchsize 3", "there is no option --batchsize"),
        (PLAIN, "--timeout", "--timeout needs a value: --timeout SECONDS"),
        (PLAIN, "--timeout 1 --timeout 2", "--timeout stands twice"),
        (PLAIN, "--workers=2", "--workers takes no value"),
        (AMID, "x in xs --on-error )", "--on-error: ')' is not a Python expression"),
    ],
)
def test_a_wrong_option_gets_one_sentence(command: Command, text: str, sentence: str) -> None:
    with pytest.raises(Mistake) as info:
        command.parse(text)
    assert sentence in str(info.value)


@pytest.mark.parametrize("text", ["x", "-1", "nan", "''"])
def test_seconds_are_a_number(text: str) -> None:
    with pytest.raises(Mistake, match="--timeout takes seconds, not"):
        PLAIN.parse(f"--timeout {text}").seconds("timeout")


@pytest.mark.parametrize("text", ["x", "0", "-3", "1.5"])
def test_a_count_is_a_whole_number(text: str) -> None:
    with pytest.raises(Mistake, match="--batch-size takes a whole number from 1 up, not"):
        AMID.parse(f"x in xs --batch-size {text}").count("batch_size", 1)


def test_help_is_an_option_of_every_command() -> None:
    assert AMID.parse("--help").flag("help")
    assert LAST.parse("-h").flag("help")


def test_the_help_names_every_option_and_shows_examples() -> None:
    text = AMID.help()
    for option in AMID.all_options:
        assert option.spelling in text
        assert option.help in text
    assert "Examples:\n  %amid 1" in text
