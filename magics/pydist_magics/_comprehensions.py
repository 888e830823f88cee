"""``EXPR for x in XS if COND``, taken apart."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pydist_magics._command import Mistake

__all__ = ["ITEM", "Loop", "parse_comprehension", "take_loop"]

#: The name of the item in the function that is called for each; no name of the user's must meet it.
ITEM = "_pydist_item"


@dataclass(frozen=True)
class Loop:
    """``for x in xs [if cond] ...``, taken apart.

    Attributes:
        head: Statements that give the loop's names their values from one item.
        items: Source of an expression for the items.
    """

    head: list[ast.stmt]
    items: str


def take_loop(text: str, generators: list[ast.comprehension]) -> Loop:
    """Return the loop of a comprehension. ``text`` is where its nodes have their positions."""
    if any(generator.is_async for generator in generators):
        raise Mistake("async for gives no items before it runs; make a list of them first")
    first = generators[0]
    target: ast.expr = first.target
    items = ast.get_source_segment(text, first.iter) or ast.unparse(first.iter)
    if len(generators) > 1 or first.ifs:
        # Loops within loops and conditions run here; what goes out is the names that they give.
        stores = [node for g in generators for node in ast.walk(g.target) if isinstance(node, ast.Name)]
        names = list(dict.fromkeys(node.id for node in stores))
        element = ast.Tuple([ast.Name(name, ast.Load()) for name in names], ast.Load())
        items = ast.unparse(ast.GeneratorExp(element, generators))
        target = ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())
        ast.copy_location(target, first.target)
    assign = ast.Assign([target], ast.Name(ITEM, ast.Load()), lineno=first.target.lineno)
    return Loop([ast.copy_location(assign, first.target)], items)


def parse_comprehension(text: str) -> ast.GeneratorExp | None:
    """Return ``EXPR for x in XS`` as a node whose positions count in ``text``; None if it is not that."""
    try:
        tree = ast.parse(f"(\n{text}\n)", mode="eval")
    except (SyntaxError, ValueError):
        return None
    if not isinstance(tree.body, ast.GeneratorExp):
        return None
    ast.increment_lineno(tree, -1)
    return tree.body
