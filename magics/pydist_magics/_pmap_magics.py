"""``%pmap`` and ``%%pmap``: a comprehension, a function with its arguments, or a cell, over the workers."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

import pydist
from pydist_magics._command import Command, Mistake, Option
from pydist_magics._comprehensions import ITEM, Loop, parse_comprehension, take_loop
from pydist_magics._magic import Call, Magic
from pydist_magics._sources import Source
from pydist_magics._words import expressions

__all__ = ["MAGICS"]

_OPTIONS = (
    Option(("-o", "--output"), "NAME", "bind the list to this name"),
    Option(("--batch-size",), "N", "send this many items at a time, or auto", choices=("auto",)),
    Option(("--on-error",), "EXPR", "a failed item's value, or a function that makes it of the error", expression=True),
    Option(("--retry",), "N", "try a failed item up to N more times, elsewhere"),
    Option(("--pool",), "P", "the workers to use: ids or a pool"),
)
PMAP = Command(
    "pmap",
    ("%pmap EXPR for x in XS [if COND] [OPTIONS]", "%pmap F XS [YS ...] [OPTIONS]", "%%pmap x in XS [OPTIONS]"),
    "Compute one value for each item on the workers and return the list, in order of the items. The last expression "
    "of a cell is the value. Names that the code uses go along.",
    _OPTIONS,
    code="amid",
    examples=("%pmap f(x) + 1 for x in range(100)", "%pmap pow [2, 3] [4, 5]", "%%pmap x in data -o results --retry 2"),
)

# Julia's ExponentialBackOff begins with 0.05 s as well.
_FIRST_DELAY, _FACTOR, _LONGEST = 0.05, 2.0, 10.0
_LABEL = 40


def pmap(call: Call) -> Any:
    """Line form: a comprehension, or a function and its arguments."""
    text = call.line.rest
    if not text:
        raise Mistake("it needs something to do, as in %pmap f(x) for x in xs")
    comprehension = parse_comprehension(text)
    if comprehension is None:
        return _run(call, *_function_and_arguments(call, text))
    source = call.session.sources.read("pmap", text)
    loop = take_loop(text, comprehension.generators)
    value = ast.copy_location(ast.Expr(comprehension.elt), comprehension.elt)
    return _run(call, _item_function(call, source, [*loop.head, value]), [_items(call, loop)])


def pmap_cell(call: Call) -> Any:
    """Cell form: the line is the loop, the cell is what is done for each item."""
    header = call.line.rest
    # The element stands on a line of its own, so that positions count in the header.
    comprehension = parse_comprehension(f"0 for {header}")
    if comprehension is None:
        what = f"{header!r} is not a loop" if header else "it needs a loop"
        raise Mistake(f"{what}, as in %%pmap x in xs")
    if not call.body.strip():
        raise Mistake("the cell is empty")
    sources = call.session.sources
    source = sources.read("pmap", call.body, shown=call.shown)
    loop = take_loop(f"0 for {header}", comprehension.generators)
    return _run(call, _item_function(call, source, [*loop.head, *sources.check(source).body]), [_items(call, loop)])


def _item_function(call: Call, source: Source, body: list[ast.stmt]) -> Callable[..., Any]:
    return call.session.sources.function(source, call.scope, (ITEM,), ast.Module(body, []))


def _items(call: Call, loop: Loop) -> Any:
    return _iterable(call.value(loop.items, "the items"), loop.items)


def _function_and_arguments(call: Call, text: str) -> tuple[Callable[..., Any], list[Any]]:
    try:
        texts = expressions(text)
    except SyntaxError as error:
        raise Mistake(f"{error.msg}; write %pmap f(x) for x in xs, or %pmap f xs") from None
    if len(texts) == 1:
        raise Mistake(f"{text!r} has no items to go over; write %pmap f(x) for x in xs, or %pmap f xs")
    function = call.value(texts[0], "the function")
    if not callable(function):
        raise Mistake(f"{texts[0]!r} is not a function; write %pmap f(x) for x in xs, or %pmap f xs")
    return function, [_iterable(call.value(part, "the items"), part) for part in texts[1:]]


def _iterable(value: Any, text: str) -> Any:
    if not isinstance(value, Iterable) and not hasattr(value, "__getitem__"):
        raise Mistake(f"{text!r} is not iterable: it is of type {type(value).__name__}")
    return value


def _run(call: Call, function: Callable[..., Any], iterables: list[Any]) -> Any:
    line = call.line
    name = call.name("output")
    options: dict[str, Any] = {}
    if line.text("batch_size") == "auto":
        options["batch_size"] = "auto"
    elif (size := line.count("batch_size", 1)) is not None:
        options["batch_size"] = size
    if (text := line.text("on_error")) is not None:
        instead = call.value(text, "--on-error")
        options["on_error"] = instead if callable(instead) else lambda error: instead
    if (retries := line.count("retry", 0)) is not None:
        options["retry_delays"] = [min(_FIRST_DELAY * _FACTOR**n, _LONGEST) for n in range(retries)]
    if (text := line.text("pool")) is not None:
        options["pool"] = _pool(call, text)
    return call.keep(name, pydist.pmap(function, *iterables, progress=_label(line.rest), **options))


def _label(text: str) -> str:
    """Return what the progress is called: the line, cut to a size that a bar has room for."""
    text = " ".join(text.split())
    return text if len(text) <= _LABEL else text[: _LABEL - 1] + "…"


def _pool(call: Call, text: str) -> Any:
    if text.isidentifier() and text not in ("any", "all"):
        value = call.value(text, "--pool")
        if callable(getattr(value, "take", None)):
            return value
    target = call.target(text)
    return None if target.any else list(target.pids)


MAGICS = (Magic("line", PMAP, pmap), Magic("cell", PMAP, pmap_cell))
