"""``%distributed`` and ``%%distributed``: a loop over the workers, compiled into one function for each part of it.

    %%distributed (+) for i in range(10_000)        def chunk(items):
    y = f(i)                                            items, found = iter(items), False
    y * y                                               for i in items:
                                                            y = f(i)
                                                            total = y * y
                                                            found = True
                                                            break
                                                        for i in items:
                                                            y = f(i)
                                                            total = total + y * y
                                                        (total,) if found else ()

A part may give no value at all: its conditions may leave nothing.
"""

from __future__ import annotations

import ast
import copy
import inspect
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydist
from pydist._loops import distributed_chunks
from pydist_magics._command import OUTPUT, Command, Mistake
from pydist_magics._comprehensions import parse_comprehension
from pydist_magics._magic import Call, Magic
from pydist_magics._sources import Source, cell_error, own_statements
from pydist_magics._words import words

__all__ = ["MAGICS"]

DISTRIBUTED = Command(
    "distributed",
    ("%distributed [(REDUCER)] EXPR for i in R [-o NAME]", "%%distributed [(REDUCER)] for i in R [-o NAME]"),
    "Run a loop on the workers, a contiguous part of R on each. With a reducer, an operator such as (+) or a function "
    "such as (max), wait and return the values combined in the order of R; the last expression of a cell is the "
    "value. Without one return a handle at once: wait for it with %fetch. Names that the code uses go along.",
    (OUTPUT,),
    code="amid",
    examples=("%distributed (+) i**2 for i in range(1000)", "%%distributed (max) for x in data -o largest"),
)

_OPERATORS: dict[str, tuple[type[ast.operator], Callable[[Any, Any], Any]]] = {
    "+": (ast.Add, operator.add),
    "-": (ast.Sub, operator.sub),
    "*": (ast.Mult, operator.mul),
    "/": (ast.Div, operator.truediv),
    "//": (ast.FloorDiv, operator.floordiv),
    "%": (ast.Mod, operator.mod),
    "**": (ast.Pow, operator.pow),
    "@": (ast.MatMult, operator.matmul),
    "&": (ast.BitAnd, operator.and_),
    "|": (ast.BitOr, operator.or_),
    "^": (ast.BitXor, operator.xor),
    "<<": (ast.LShift, operator.lshift),
    ">>": (ast.RShift, operator.rshift),
}
# No name of the user's must meet these.
_ITEMS, _TOTAL, _FOUND, _REDUCE = "_pydist_items", "_pydist_total", "_pydist_found", "_pydist_reduce"
_LIKE = "as in %%distributed (+) for i in range(10)"


@dataclass(frozen=True)
class Reducer:
    """What combines two values.

    Attributes:
        function: Does it.
        operator: How it is written in code, for an operator.
    """

    function: Callable[[Any, Any], Any]
    operator: type[ast.operator] | None = None

    def code(self, total: ast.expr, value: ast.expr) -> ast.expr:
        """Return the expression for ``total`` combined with ``value``."""
        if self.operator is not None:
            return ast.BinOp(total, self.operator(), value)
        return ast.Call(ast.Name(_REDUCE, ast.Load()), [total, value], [])


def take_reducer(text: str) -> tuple[str | None, str]:
    """Cut ``(+) rest`` into ``+`` and ``rest``; no reducer if ``text`` does not begin with one word in brackets.

    >>> take_reducer("(max) for i in xs")
    ('max', 'for i in xs')
    """
    parts = words(text)
    if len(parts) > 1 and re.fullmatch(r"\(.*\)", parts[0].text, re.DOTALL):
        return parts[0].text[1:-1].strip(), text[parts[1].start :]
    return None, text


def read_reducer(call: Call, text: str) -> Reducer:
    """Return the reducer that stands in brackets."""
    if text in _OPERATORS:
        node, function = _OPERATORS[text]
        return Reducer(function, node)
    value = call.value(text, "the reducer") if text else None
    if not callable(value):
        raise Mistake(f"({text}) is no reducer: it takes an operator, as in (+), or a function of two values")
    return Reducer(value)


def chunk_body(
    generators: list[ast.comprehension], body: list[ast.stmt], value: ast.expr | None, reducer: Reducer | None
) -> list[ast.stmt]:
    """Return the statements of the function that does the loop over the part ``_pydist_items``.

    Args:
        generators: The ``for`` and ``if`` of the loop; the first one goes over R.
        body: What is done each time.
        value: The expression that is reduced; None without a reducer.
        reducer: What combines the values.
    """
    target, items = _loop(generators)
    if reducer is None or value is None:
        return [_for(target, items, body)]
    found = _set(_FOUND, ast.Constant(True))
    first = [*body, _set(_TOTAL, value), found, ast.Break()]
    # Nodes of their own: positions are filled in later.
    then = [*copy.deepcopy(body), _set(_TOTAL, reducer.code(_name(_TOTAL), copy.deepcopy(value)))]
    result = ast.IfExp(_name(_FOUND), ast.Tuple([_name(_TOTAL)], ast.Load()), ast.Tuple([], ast.Load()))
    return [
        _set(_ITEMS, ast.Call(_name("iter"), [items], [])),
        _set(_FOUND, ast.Constant(False)),
        _for(target, _name(_ITEMS), first),
        _for(copy.deepcopy(target), _name(_ITEMS), then),
        ast.Expr(result),
    ]


def _loop(generators: list[ast.comprehension]) -> tuple[ast.expr, ast.expr]:
    """Return target and items of one loop that does what all the generators do."""
    first = generators[0]
    part = _name(_ITEMS)
    if len(generators) == 1 and not first.ifs:
        return first.target, part
    inner = [ast.comprehension(first.target, part, first.ifs, 0), *generators[1:]]
    stores = [node for generator in inner for node in ast.walk(generator.target) if isinstance(node, ast.Name)]
    names = list(dict.fromkeys(node.id for node in stores))
    element = ast.Tuple([_name(name) for name in names], ast.Load())
    target = ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())
    return target, ast.GeneratorExp(element, inner)


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _set(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _for(target: ast.expr, items: ast.expr, body: list[ast.stmt]) -> ast.stmt:
    return ast.For(target, items, body or [ast.Pass()], [])


def distributed(call: Call) -> Any:
    """Line form: a comprehension."""
    text = call.line.rest
    if not text:
        raise Mistake("it needs a loop, as in %distributed (+) f(i) for i in range(10)")
    reducer = None
    named, rest = take_reducer(text)
    comprehension = None if named is None else parse_comprehension(rest)
    if named is not None and comprehension is not None:
        # "(x) - i for i in R" may also be one expression: then what stands in brackets is no function.
        whole = parse_comprehension(text)
        if whole is None or _is_function(call, named):
            reducer, text = read_reducer(call, named), rest
        else:
            comprehension = whole
    else:
        comprehension = parse_comprehension(text)
    if comprehension is None:
        raise Mistake(f"{text!r} is not a loop, as in %distributed (+) f(i) for i in range(10)")
    # The whole line: what is compiled depends on the reducer too.
    source = call.session.sources.read("distributed", call.line.rest)
    element = comprehension.elt
    if reducer is None:
        body: list[ast.stmt] = [ast.copy_location(ast.Expr(element), element)]
        return _run(call, source, text, comprehension.generators, body, None, None)
    return _run(call, source, text, comprehension.generators, [], element, reducer)


def _is_function(call: Call, text: str) -> bool:
    try:
        return callable(call.evaluate(text))
    except Exception:  # it may be a name of the loop
        return False


def distributed_cell(call: Call) -> Any:
    """Cell form: the line is the loop, the cell is what is done each time."""
    named, header = take_reducer(call.line.rest)
    # The element stands on a line of its own, so that positions count in the header.
    text = f"0 {header}"
    comprehension = parse_comprehension(text) if header.startswith("for") else None
    if comprehension is None:
        what = f"{call.line.rest!r} is not a loop" if call.line.rest else "it needs a loop"
        raise Mistake(f"{what}, {_LIKE}")
    if not call.body.strip():
        raise Mistake("the cell is empty")
    sources = call.session.sources
    source = sources.read("distributed", call.body, shown=call.shown)
    body = sources.parse(source).body  # it may continue the loop, which is not there yet
    _refuse_breaks(body, source)
    if named is None:
        return _run(call, source, text, comprehension.generators, body, None, None)
    reducer = read_reducer(call, named)
    if not body or not isinstance(body[-1], ast.Expr):
        raise Mistake(f"with a reducer the last line of the cell must be an expression: the value that ({named}) takes")
    return _run(call, source, text, comprehension.generators, body[:-1], body[-1].value, reducer)


def _refuse_breaks(body: list[ast.stmt], source: Source) -> None:
    """A ``break`` would end the part of one worker only, wherever that happens to end."""
    for node in own_statements(body, leave_out=(ast.For, ast.AsyncFor, ast.While)):
        if isinstance(node, ast.Break):
            message = "'break' cannot end a loop that runs on several workers"
            raise cell_error(SyntaxError(message, (source.filename, node.lineno, None, None)), source)


def _run(
    call: Call,
    source: Source,
    text: str,
    generators: list[ast.comprehension],
    body: list[ast.stmt],
    value: ast.expr | None,
    reducer: Reducer | None,
) -> Any:
    name = call.name("output")
    if any(generator.is_async for generator in generators):
        raise Mistake("async for gives no items before it runs; make a list of them first")
    first = generators[0].iter
    items = ast.get_source_segment(text, first) or ast.unparse(first)
    over = call.value(items, "the items")
    tree = ast.Module(chunk_body(generators, body, value, reducer), [])
    scope = dict(call.scope or {})
    if reducer is not None:
        scope[_REDUCE] = reducer.function
    # The factory is kept by its text and what it captures; an operator is part of the text.
    chunk = call.session.sources.function(source, scope, (_ITEMS,), tree)
    if inspect.iscoroutinefunction(chunk):
        raise Mistake("await has no place in the loop: what each worker runs is a plain function")
    try:
        if reducer is None:
            return call.keep(name, distributed_chunks(chunk, over))
        combined = distributed_chunks(chunk, over, _joining(reducer.function))
    except (TypeError, ValueError) as error:
        if isinstance(error, pydist.RemoteException) or not str(error).startswith("distributed: "):
            raise
        raise Mistake(str(error).removeprefix("distributed: ")) from None
    if not combined:
        raise Mistake("the loop gave no value to reduce: its conditions have left nothing")
    return call.keep(name, combined[0])


def _joining(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the reducer for what chunks give: a tuple with their value, or an empty one."""

    def join(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
        return (function(a[0], b[0]),) if a and b else a or b

    return join


MAGICS = (Magic("line", DISTRIBUTED, distributed), Magic("cell", DISTRIBUTED, distributed_cell))
