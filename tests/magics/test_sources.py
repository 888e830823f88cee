"""From the text of a magic to code: lines, captured names, the last expression, errors."""

from __future__ import annotations

import asyncio
import inspect
import linecache
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

from pydist_magics._sources import CellSyntaxError, Sources

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def sources(shell: InteractiveShell) -> Sources:
    return Sources(shell)


def call(sources: Sources, text: str, scope: dict[str, Any] | None = None) -> Any:
    return sources.function(sources.read("spawnat", text), scope)()


def test_the_last_expression_is_the_value(sources: Sources) -> None:
    assert call(sources, "1 + 2") == 3
    assert call(sources, "x = 1\ny = 2\nx + y\n") == 3


def test_without_a_last_expression_there_is_no_value(sources: Sources) -> None:
    assert call(sources, "x = 1") is None
    assert call(sources, "# nothing") is None


def test_globals_of_the_notebook_stay_globals(sources: Sources, shell: InteractiveShell) -> None:
    shell.user_ns["a"] = 1
    function = sources.function(sources.read("spawnat", "a"), None)
    shell.user_ns["a"] = 2
    assert function() == 2
    assert function.__globals__ is shell.user_ns
    assert function.__module__ == "__main__"


def test_local_names_are_captured_with_the_values_they_have(sources: Sources) -> None:
    scope = {"a": 1, "unused": object()}
    function = sources.function(sources.read("spawnat", "[a + n for n in range(2)]"), scope)
    scope["a"] = 5
    assert function() == [1, 2]
    assert inspect.getclosurevars(function).nonlocals == {"a": 1}


def test_captured_names_reach_functions_in_the_code(sources: Sources) -> None:
    assert call(sources, "def f():\n    return a\nf()", {"a": 3}) == 3


def test_names_that_the_code_assigns_are_its_own(sources: Sources, shell: InteractiveShell) -> None:
    assert call(sources, "a = 2\na", {"a": 1}) == 2
    assert "a" not in shell.user_ns


def test_the_function_can_be_pickled(sources: Sources) -> None:
    function = sources.function(sources.read("spawnat", "a * 2"), {"a": 21})
    assert pickle.loads(cloudpickle.dumps(function))() == 42


def test_await_makes_a_coroutine_function(sources: Sources) -> None:
    function = sources.function(sources.read("spawnat", "import asyncio\nawait asyncio.sleep(0)\n7"), None)
    assert inspect.iscoroutinefunction(function)
    assert asyncio.run(function()) == 7


def test_await_in_an_inner_function_does_not(sources: Sources) -> None:
    function = sources.function(sources.read("spawnat", "async def f():\n    await x\n3"), None)
    assert function() == 3


def test_the_same_text_is_the_same_code(sources: Sources) -> None:
    first = sources.function(sources.read("spawnat", "x"), {"x": 1})
    second = sources.function(sources.read("spawnat", "x"), {"x": 2})
    assert first.__code__ is second.__code__
    assert (first(), second()) == (1, 2)


def test_other_text_is_another_file(sources: Sources) -> None:
    names = [sources.read("spawnat", text).filename for text in ("x", "y", "x")]
    assert names == ["<spawnat-1>", "<spawnat-2>", "<spawnat-1>"]


def test_tracebacks_show_the_line_of_the_cell(sources: Sources) -> None:
    body = "\n  \nx = 1\n1 / 0\n"
    shown = f"%%spawnat 2\n{body}"
    function = sources.function(sources.read("spawnat", body, shown=shown), None)
    with pytest.raises(ZeroDivisionError) as info:
        function()
    frame = traceback.extract_tb(info.value.__traceback__)[-1]
    assert (frame.lineno, frame.line) == (5, "1 / 0")
    assert shown.splitlines()[4] == "1 / 0"


def test_ipython_calls_the_cell_by_its_number(sources: Sources, shell: InteractiveShell) -> None:
    shell.execution_count = 8
    source = sources.read("everywhere", "x\n", shown="%%everywhere\nx\n")
    assert shell.compile.format_code_name(source.filename) == ("Cell", "In[7]")


def test_ipython_syntax_is_transformed(sources: Sources) -> None:
    source = sources.read("everywhere", "!ls $HOME\nx = %who\n")
    assert source.code == "get_ipython().system('ls $HOME')\nx = get_ipython().run_line_magic('who', '')\n"


@pytest.mark.parametrize(
    ("body", "line", "text"),
    [
        ("x = 1\ny = = 2\n", 3, "y = = 2"),
        ("\n\nx = (\n", 4, "x = ("),
        ("if x:\ny\n", 3, "y"),
        ("x = 1\nreturn x\n", 3, "return x"),
        ("for x in y:\n    yield x\n", 3, "    yield x"),
        ("!ls\n1 +\n", 3, "1 +"),
        ("nonlocal z\n", 2, "nonlocal z"),
    ],
)
def test_syntax_errors_stand_at_their_line_of_the_cell(sources: Sources, body: str, line: int, text: str) -> None:
    source = sources.read("spawnat", body, shown=f"%%spawnat 2\n{body}")
    with pytest.raises(CellSyntaxError) as info:
        sources.function(source, None)
    assert info.value.lineno == line
    assert (info.value.text or "").rstrip() == text
    assert info.value.filename == source.filename
    assert linecache.getline(source.filename, line).rstrip() == text


def test_a_syntax_error_is_called_by_its_name() -> None:
    assert CellSyntaxError.__name__ == "SyntaxError"


def test_yield_in_a_function_of_the_code_is_its_own(sources: Sources) -> None:
    assert call(sources, "def f():\n    yield 1\nlist(f())") == [1]


def test_parameters_are_given_by_each_call(sources: Sources) -> None:
    function = sources.function(sources.read("pmap", "x + a"), {"a": 1, "x": 100}, ("x",))
    assert [function(n) for n in range(3)] == [1, 2, 3]
