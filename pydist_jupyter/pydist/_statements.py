"""Statements for the top of ``__main__``, and what it takes to run them in this process."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from pydist._runtime import coroutines
from pydist._runtime.answers import HIDDEN
from pydist._runtime.current import current_node
from pydist._runtime.definitions import digest_of
from pydist._runtime.sources import identity

__all__ = ["MAIN", "Entry", "Ran", "clear_names", "evaluate", "remember_source", "run", "run_all"]

HIDDEN.add(__file__)

MAIN = "__main__"
#: The flag of code that must be awaited; `inspect`, which has the name, is slow to import.
_CO_COROUTINE = 0x80


class Entry(NamedTuple):
    """One statement of the log."""

    source: str
    filename: str
    bindings: dict[str, Any]
    mark: str


#: What running a statement gives: the value of its last expression, the names bound, and the digests under which its
#: classes are known everywhere. Tuples, since small ones travel with the news that the call is done.
Ran = tuple[Any, tuple[str, ...], tuple[bytes, ...]]


def run_all(entries: list[tuple[str, str, dict[str, Any], str]]) -> Ran:
    """Run entries here one after the other; what they define is returned together, and no value."""
    names: dict[str, None] = {}
    classes: dict[bytes, None] = {}
    for entry in entries:
        _, bound, defined = run(*entry)
        names.update(dict.fromkeys(bound))
        classes.update(dict.fromkeys(defined))
    return None, tuple(names), tuple(classes)


#: Code that looks its names up when it runs.
_RUNS_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp)


def run(source: str, filename: str, bindings: dict[str, Any], mark: str) -> Ran:
    """Run code in this process's ``__main__``; return the value of its last expression and what it defined."""
    node = current_node()
    main = vars(sys.modules[MAIN])
    tree = ast.parse(source, filename)
    tail = mark.rpartition(":")[2]
    renamed = {
        name.rpartition("_")[0]: name for name in bindings if name.startswith("__pydist_") and name.endswith("_" + tail)
    }
    if renamed:
        tree = _Rename(renamed).visit(tree)
    remember_source(filename, source)
    main.update(bindings)
    before = {name: id(value) for name, value in main.items()}
    value = execute(tree, filename, main)
    if not any(isinstance(part, _RUNS_LATER) for part in ast.walk(tree)):
        for name in renamed.values():  # what was inserted may be large, and nothing can ask for it any more
            main.pop(name, None)
    names = sorted(
        {*bound_names(tree), *(name for name, value in main.items() if before.get(name) != id(value))} & set(main)
    )
    classes = []
    for name in names:
        cls = main[name]
        if isinstance(cls, type) and cls.__module__ == MAIN:
            digest = digest_of(f"{mark}:{name}".encode())
            node.definitions.adopt(cls, digest)
            classes.append(digest)
    master = node.peers.get(1)
    if master is not None and master.connection is not None:
        knowledge = master.connection.knowledge
        knowledge.digests.update(classes)
        for name in names:
            knowledge.note_own((MAIN, name), identity(main[name]))
        knowledge.drop_deleted(MAIN, main)
    return value, tuple(names), tuple(classes)


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._names:
            return ast.copy_location(ast.Name(self._names[node.id], node.ctx), node)
        return node


def evaluate(module: str, source: str, filename: str, bindings: dict[str, Any]) -> Any:
    """Run code at the top of a module; return the value of its last expression."""
    import importlib

    namespace = vars(sys.modules[MAIN] if module == MAIN else importlib.import_module(module))
    remember_source(filename, source)
    namespace.update(bindings)
    try:
        return execute(ast.parse(source, filename), filename, namespace)
    finally:
        for name in bindings:
            if name.startswith("__pydist_"):
                namespace.pop(name, None)


def clear_names(names: list[str]) -> None:
    """Set globals of this process's ``__main__`` to None."""
    main = vars(sys.modules[MAIN])
    for name in names:
        if name in main:
            main[name] = None
            for peer in current_node().peers.all():
                # What is noted of the name keeps the object, too.
                if peer.connection is not None:
                    peer.connection.knowledge.renew_own((MAIN, name), None)


def execute(tree: ast.Module, filename: str, namespace: dict[str, Any]) -> Any:
    """Run a module's statements in a namespace; return the value of the last one if that is an expression."""
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        _execute(compile(ast.Module(tree.body[:-1], []), filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
        return _execute(
            compile(ast.Expression(last.value), filename, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace
        )
    _execute(compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
    return None


def _execute(code: CodeType, namespace: dict[str, Any]) -> Any:
    if code.co_flags & _CO_COROUTINE:
        return _await(FunctionType(code, namespace)())
    return eval(code, namespace)


def _await(coroutine: Any) -> Any:
    """Run top-level ``await`` to its end on the process's own loop."""
    import concurrent.futures

    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def ended(value: Any, error: BaseException | None) -> None:
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)

    task = coroutines.start(coroutine, ended)
    try:
        error = outcome.exception()  # raised here, it does not tell of the waiting for it
    except KeyboardInterrupt:
        coroutines.cancel(task)
        raise
    if error is not None:
        raise error
    return outcome.result()


def bound_names(tree: ast.Module) -> set[str]:
    """Return the names that code binds at its top level."""
    names: set[str] = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
            names.add(statement.id)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name.partition(".")[0]) for alias in statement.names)
    return names


def remember_source(filename: str, source: str) -> None:
    """Let tracebacks show the lines of code that lies in no file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
