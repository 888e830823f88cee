"""Dollars in code: found in code only, replaced by names, refused where no value may stand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from pydist import _interpolate
from pydist._interpolate import evaluator, interpolate


def run(code: str, **values: Any) -> dict[str, Any]:
    """Interpolate ``code`` with ``values``, execute it and return its namespace."""
    text, bindings = interpolate(code, evaluator(values))
    namespace = dict(bindings)
    exec(compile(text, "<test>", "exec"), namespace)
    return namespace


def test_code_without_a_dollar_comes_back_as_it_is() -> None:
    code = "x = 'a' # b\n"
    assert interpolate(code, pytest.fail) == (code, {})


def test_a_name_is_replaced_by_a_generated_one() -> None:
    marker = object()
    assert interpolate("y = $x", {"x": marker}.__getitem__) == ("y = __pydist_0", {"__pydist_0": marker})


def test_the_object_itself_is_bound() -> None:
    data = [1, 2]
    assert run("y = $data", data=data)["y"] is data


def test_a_name_that_stands_twice_is_looked_up_once() -> None:
    asked: list[str] = []

    def look_up(name: str) -> str:
        asked.append(name)
        return name

    text, bindings = interpolate("$x + $x + $y", look_up)
    assert text == "__pydist_0 + __pydist_0 + __pydist_1"
    assert asked == ["x", "y"]
    assert bindings == {"__pydist_0": "x", "__pydist_1": "y"}


def test_an_expression_is_evaluated_each_time_it_stands() -> None:
    assert run("y = [$(next(it)), $(next(it))]", it=iter("ab"))["y"] == ["a", "b"]


@pytest.mark.parametrize(
    "code",
    [
        "y = '$x'",
        'y = "$x"',
        "y = '''a\n$x'''",
        'y = """$(x)"""',
        "y = r'\\$x'",
        "y = rb'$x'",
        "y = 'it\\'s $x'",
        "y = 1  # $x",
        "# $x\ny = 1",
        "y = f'{1:$>5}'",
        "y = f'$x {1} $(x)'",
        "y = f'{{$x}}'",
        "y = f'''{1}\n$x'''",
        "y = F\"{'a' + '$x'}\"",
    ],
)
def test_strings_and_comments_keep_their_dollars(code: str) -> None:
    assert interpolate(code, pytest.fail) == (code, {})


@pytest.mark.parametrize("code", ['y = f"{d["$x"]}"', 'y = f"{d["a"]:{w["$x"]}}" + "$x"', 'y = rf"\\{d["$x"]}"'])
def test_strings_nested_in_f_strings_keep_their_dollars(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interpolate, "_NESTED_FIELDS", True)  # as from Python 3.12 on
    assert interpolate(code, pytest.fail) == (code, {})


def test_code_after_an_f_string_is_code_again() -> None:
    assert run("y = f'{1}{{' + $x", x="a")["y"] == "1{a"


def test_two_dollars_are_one() -> None:
    assert interpolate("a $$ b", pytest.fail) == ("a $ b", {})


def test_brackets_and_strings_within_an_expression() -> None:
    assert run("y = $(f(')', [(1)][0]))", f=lambda *args: args)["y"] == (")", 1)


def test_an_expression_over_several_lines_keeps_the_line_numbers() -> None:
    text, _ = interpolate("y = $(\n  1 +\n  2)\nz = 1/0", evaluator({}))
    assert text.splitlines()[-1] == "z = 1/0"
    assert len(text.splitlines()) == 4
    assert run("y = $(\n  1 +\n  2)")["y"] == 3


def test_generated_names_avoid_the_users_own() -> None:
    assert list(interpolate("__pydist_0 = $x", str)[1]) == ["__pydist_1"]


def test_names_may_have_any_letters() -> None:
    assert run("y = $größe + 1", größe=1)["y"] == 2


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("y = $1", "a $ must be followed by a name"),
        ("y = $ x", "a $ must be followed by a name"),
        ("y = $", "a $ must be followed by a name"),
        ("y = $(a", "$( was never closed"),
        ("y = $(a]", "$( was never closed"),
        ("y = $()", "$() names no value"),
        ("y = $if", "$if names no value"),
        ("y = $(a b)", "$(a b) is not a valid expression"),
        ("y = $(a = 1)", "$(a = 1) is not a valid expression"),
        ("$x = 1", "$x stands for a value and cannot be used as a name"),
        ("a.$x", "$x stands for a value and cannot be used as a name"),
        ("f($x=1)", "$x stands for a value and cannot be used as a name"),
        ("def $x(): pass", "$x stands for a value and cannot be used as a name"),
        ("$x + 1\ndel $x", "$x stands for a value and cannot be used as a name"),
        ("import $x", "$x stands for a value and cannot be used as a name"),
    ],
)
def test_a_dollar_that_means_nothing_is_a_syntax_error(code: str, sentence: str) -> None:
    with pytest.raises(SyntaxError) as info:
        interpolate(code, evaluator({"x": 1, "a": 1, "b": 1}), filename="<cell>")
    assert sentence in (info.value.msg or "")
    assert info.value.filename == "<cell>"
    line, at = info.value.lineno, info.value.offset
    assert line is not None
    assert at is not None
    assert code.splitlines()[line - 1][at - 1] == "$"


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(NameError, match=r"^name 'nope' is not defined here, so \$ cannot insert it$"):
        interpolate("y = $nope", evaluator({}))


def test_an_unknown_name_in_an_expression_is_named_with_it() -> None:
    with pytest.raises(NameError, match=r"name 'nope' in \$\(1 \+ nope\) is not defined"):
        interpolate("y = $(1 + nope)", evaluator({}))


def test_a_mapping_may_be_the_lookup() -> None:
    with pytest.raises(NameError, match="name 'nope' is not defined"):
        interpolate("y = $nope", dict[str, int]().__getitem__)


def test_an_error_in_an_expression_keeps_its_type_and_says_where() -> None:
    with pytest.raises(ZeroDivisionError) as info:
        interpolate("y = $(1/0)", evaluator({}))
    assert "$(1/0)" in info.value.__notes__[0]


def test_a_key_error_of_the_expression_is_the_users_own() -> None:
    with pytest.raises(KeyError, match="k"):
        interpolate("y = $(d['k'])", evaluator({"d": {}}))


def test_inner_scopes_come_first_and_are_seen_in_comprehensions() -> None:
    look_up = evaluator({"x": 1}, {"x": 2, "y": 3}, {"x": 4, "z": 5})
    assert look_up("x") == 1
    assert look_up("[x + y + z for _ in 'a']") == [9]


def test_a_broken_text_is_left_to_the_compiler() -> None:
    assert interpolate("y = ($x\nz = 'open", str)[0] == "y = (__pydist_0\nz = 'open"


@given(st.text(alphabet="ab$(){}[]'\"\\#\n =rf:,1", max_size=40))
def test_any_text_is_answered_with_a_result_or_one_sentence(code: str) -> None:
    try:
        text, _ = interpolate(code, lambda _: 1)
    except SyntaxError:
        return
    assert text.count("\n") == code.count("\n")
