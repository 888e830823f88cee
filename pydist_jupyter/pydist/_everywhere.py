"""Running code at the top of ``__main__`` of many processes, and keeping it for those that come later."""

from __future__ import annotations

import ast
import itertools
import linecache
import sys
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from types import CodeType, FunctionType
from typing import Any, NamedTuple, TypeVar

from pydist import frontend
from pydist._alike import share_causes
from pydist._calls import begin
from pydist._errors import CompositeException
from pydist._interpolate import evaluator, interpolate
from pydist._procs import flatten, procs, workers
from pydist._runtime import coroutines
from pydist._runtime.alarm import TimeUp, time_limit
from pydist._runtime.current import current_node
from pydist._runtime.definitions import digest_of
from pydist._runtime.knowledge import ABSENT
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.slots import Slot
from pydist._runtime.sources import identity

__all__ = ["clear", "everywhere", "everywhere_log", "remotecall_eval"]

F = TypeVar("F", bound=Callable[..., Any])
_serial = itertools.count(1).__next__
_MAIN = "__main__"
#: The flag of code that must be awaited; `inspect`, which has the name, is slow to import.
_CO_COROUTINE = 0x80


class Entry(NamedTuple):
    """One statement of the log."""

    source: str
    filename: str
    bindings: dict[str, Any]
    mark: str


class EverywhereLog(list[Entry]):
    """What `everywhere` has run on all workers, in order; run again on every worker that joins later.

    ``clear()`` forgets it: later workers then start empty.
    """

    def __repr__(self) -> str:
        return "\n".join(
            f"[{i}] {entry.source.strip().splitlines()[0] if entry.source.strip() else ''}"
            for i, entry in enumerate(self)
        )


_logs: dict[int, EverywhereLog] = {}


def everywhere_log() -> EverywhereLog:
    """Return the log of `everywhere` of this cluster.

    Example:
        >>> everywhere("import math")
        >>> everywhere_log()[-1].source
        'import math'
    """
    node = current_node()
    log = _logs.get(id(node))
    if log is None:
        log = _logs[id(node)] = EverywhereLog()
        node.joined.append(lambda pids: _replay(log, pids))
    return log


def _replay(log: EverywhereLog, pids: list[int]) -> None:
    """Run the log on workers that have just joined."""
    # Objects go with their own statement: how they are sent depends on what the ones before it have defined.
    for with_objects, entries in itertools.groupby(list(log), lambda entry: bool(entry.bindings)):
        if with_objects:
            for entry in entries:
                _run_on(pids, entry, None)
        else:
            _run_all_on(pids, list(entries))


def _run_all_on(pids: list[int], entries: list[Entry]) -> None:
    """Run entries one after the other on each of some workers, at the cost of one."""
    node = current_node()
    with Once(node.pool) as once:
        alike = once if len(pids) > 1 else None
        futures = [(pid, begin(_run_all, pid, ([tuple(entry) for entry in entries],), {}, alike)) for pid in pids]
    failures: list[Exception] = []
    try:
        for pid, future in futures:
            try:
                _note_own(node, pid, *future.fetch())
            except Exception as error:
                failures.append(error)
    except BaseException:
        for _, future in futures:
            future.cancel()
        raise
    if failures:
        if len(pids) == 1:
            raise failures[0]
        raise CompositeException(f"{len(failures)} of {len(pids)} processes failed", failures)


def _run_all(entries: list[tuple[str, str, dict[str, Any], str]]) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Run entries here; return the names bound and the digests of classes, see `_run`."""
    names: dict[str, None] = {}
    classes: dict[bytes, None] = {}
    for entry in entries:
        _, bound, defined = _run(*entry)
        names.update(dict.fromkeys(bound))
        classes.update(dict.fromkeys(defined))
    return tuple(names), tuple(classes)


def everywhere(
    code: str | F,
    procs: int | Iterable[int] | None = None,
    *,
    timeout: float | None = None,
    filename: str | None = None,
    **bindings: Any,
) -> Any:
    """Run code at the top of ``__main__`` of each process, the master last. Julia: ``@everywhere``.

    ``$name`` and ``$(expr)`` in the code insert *objects*: from ``bindings``, else from the caller. Local variables
    are not captured otherwise. Imports in the code are run here first. A function or class instead of code is defined
    there under its name, so this is a decorator too. What runs on all workers is kept in `everywhere_log` and run again
    on workers that join later.

    Args:
        code: Python source, a function, or a class.
        procs: ids; default: all processes. One id (an int): the value of the last expression is returned.
        timeout: seconds for all of it; what has not finished then is interrupted.
        filename: the name of the code in tracebacks.
        **bindings: objects to insert.

    Returns:
        The value for an int ``procs``, the function or class when used as a decorator, else None.

    Raises:
        SyntaxError: the code does not parse; nothing is sent.
        RemoteException: for an int ``procs``, what it raised.
        CompositeException: what several processes raised.
        TimeoutError: it took longer than ``timeout``.

    Example:
        >>> everywhere("import math; tau = 2 * math.pi")
        >>> everywhere("tau", 2)
        6.283185307179586
    """
    if not isinstance(code, str):
        return _define(code, procs, timeout)
    frame = sys._getframe(1)
    lookup = evaluator(bindings, frame.f_locals, frame.f_globals)
    name = filename or f"<everywhere-{_serial()}>"
    source, inserted = interpolate(code, lookup, name)
    return _everywhere(source, procs, {**bindings, **inserted}, name, timeout)


def _everywhere(
    source: str, pids: int | Iterable[int] | None, bindings: dict[str, Any], filename: str, timeout: float | None
) -> Any:
    node = current_node()
    mark = f"{node.pid}:{id(node)}:{_serial()}"
    tree = ast.parse(source, filename)
    # A function that is defined here reads its insertions whenever it runs: names of their own for each statement.
    named = {
        f"{name}_{mark.rpartition(':')[2]}" if name.startswith("__pydist_") else name: value
        for name, value in bindings.items()
    }
    entry = Entry(source, filename, named, mark)
    _remember_source(filename, source)
    _import_here(tree, filename)
    targets = [pids] if isinstance(pids, int) else procs() if pids is None else flatten(pids)
    values = _run_on(targets, entry, timeout)
    if node.pid == 1 and set(targets) >= {pid for pid in workers() if pid != 1}:
        everywhere_log().append(entry)
    return values[0] if isinstance(pids, int) else None


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._names:
            return ast.copy_location(ast.Name(self._names[node.id], node.ctx), node)
        return node


def _import_here(tree: ast.Module, filename: str) -> None:
    """Run the imports at the top of the code in this process first: if one fails, nothing is sent."""
    imports: list[ast.stmt] = [
        statement for statement in tree.body if isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    if imports:
        module = ast.Module(imports, [])
        exec(compile(module, filename, "exec"), {"__name__": _MAIN})


def _run_on(targets: list[int], entry: Entry, timeout: float | None) -> list[Any]:
    """Run an entry on each target at the same time, here last; return the values in order."""
    node = current_node()
    arguments = (entry.source, entry.filename, entry.bindings, entry.mark)
    others = [pid for pid in targets if pid != node.pid]
    failures: list[Exception] = []
    here = [pid for pid in targets if pid == node.pid]
    results: dict[int, list[Any]] = {}
    deadline = None if timeout is None else monotonic() + timeout
    under_way: list[tuple[int, Slot]] = []
    try:
        with Once(node.pool) as once:
            alike = once if len(others) > 1 else None
            # One by one: if a worker turns out to be gone, those before it are stopped.
            under_way.extend((pid, node.call(pid, _run, arguments, {}, once=alike)) for pid in others)
        for _ in here:
            try:
                with frontend.together(), time_limit(_left(deadline)):
                    results.setdefault(node.pid, []).append(_run(*arguments))
            except Exception as error:
                failures.append(error)
            except TimeUp:
                raise _too_late(timeout, [*here[:1], *(pid for pid, slot in under_way if not slot.done)]) from None
        while under_way:
            pid, slot = under_way[0]
            if not node.wait(slot, _left(deadline)):
                raise _too_late(timeout, [other for other, slot in under_way if not slot.done])
            del under_way[0]
            try:
                value, names, classes = node.value_of(slot)
            except Exception as error:
                failures.append(error)
            else:
                results.setdefault(pid, []).append((value, names, classes))
                _note_own(node, pid, names, classes)
    finally:
        for _, slot in under_way:
            node.give_up(slot)
    if failures:
        if len(targets) == 1:
            raise failures[0]
        share_causes(failures)
        raise CompositeException(f"{len(failures)} of {len(targets)} processes failed", failures)
    return [results[pid].pop(0)[0] for pid in targets]


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())


def _too_late(timeout: float | None, pids: list[int]) -> TimeoutError:
    names = ", ".join(map(str, pids))
    which = f"processes {names} have" if len(pids) > 1 else f"process {names} has"
    return TimeoutError(f"everywhere: {which} not finished within {timeout:g} seconds; what goes on is interrupted")


def _note_own(node: Node, pid: int, names: tuple[str, ...], classes: tuple[bytes, ...]) -> None:
    """The worker has its own definition of these names now: it stands until it is bound anew here."""
    knowledge = node.peers.connection(pid).knowledge
    main = vars(sys.modules[_MAIN])
    with knowledge.lock:
        for name in names:
            knowledge.note_own((_MAIN, name), identity(main.get(name, ABSENT)))
        knowledge.drop_deleted(_MAIN, main)
        knowledge.digests.update(classes)


#: Code that looks its names up when it runs.
_RUNS_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp)


def _run(
    source: str, filename: str, bindings: dict[str, Any], mark: str
) -> tuple[Any, tuple[str, ...], tuple[bytes, ...]]:
    """Run code in this process's ``__main__``; return the value of its last expression and what it defined.

    What is returned says: the value, the names bound, and the digests under which classes of it are known everywhere.
    Tuples, since small ones travel with the news that the call is done.
    """
    node = current_node()
    main = vars(sys.modules[_MAIN])
    tree = ast.parse(source, filename)
    tail = mark.rpartition(":")[2]
    renamed = {
        name.rpartition("_")[0]: name for name in bindings if name.startswith("__pydist_") and name.endswith("_" + tail)
    }
    if renamed:
        tree = _Rename(renamed).visit(tree)
    _remember_source(filename, source)
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
        if isinstance(cls, type) and cls.__module__ == _MAIN:
            digest = digest_of(f"{mark}:{name}".encode())
            node.definitions.adopt(cls, digest)
            classes.append(digest)
    master = node.peers.get(1)
    if master is not None and master.connection is not None:
        knowledge = master.connection.knowledge
        knowledge.digests.update(classes)
        for name in names:
            knowledge.note_own((_MAIN, name), identity(main[name]))
        knowledge.drop_deleted(_MAIN, main)
    return value, tuple(names), tuple(classes)


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
        return outcome.result()
    except KeyboardInterrupt:
        coroutines.cancel(task)
        raise


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


def _remember_source(filename: str, source: str) -> None:
    """Let tracebacks show the lines of code that lies in no file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)


def _define(thing: F, pids: int | Iterable[int] | None, timeout: float | None) -> F:
    """Define a function or class under its name in each process."""
    if not (isinstance(thing, FunctionType | type)):
        raise TypeError(f"everywhere takes source code, a function or a class, not {thing!r}")
    name = thing.__name__
    if not name.isidentifier():
        raise ValueError(f"a function without a name cannot be defined everywhere: {thing!r}")
    _everywhere(f"{name} = __pydist_0\n", pids, {"__pydist_0": thing}, f"<everywhere-{_serial()}>", timeout)
    return thing


def remotecall_eval(module: str, pids: int | Iterable[int], code: str, **bindings: Any) -> Any:
    """Run code at the top of a module in processes. Julia: ``remotecall_eval``.

    Args:
        module: the module's name; ``"__main__"`` for the notebook's.
        pids: one id, or several.
        code: Python source; ``$name`` inserts objects from the bindings or the caller.
        **bindings: objects to insert.

    Returns:
        For one id the value of the last expression, else None.

    Raises:
        RemoteException, CompositeException: what it raised there.
        SyntaxError: the code does not parse.

    Example:
        >>> n = 20
        >>> remotecall_eval("__main__", 2, "$n + 1")
        21
    """
    frame = sys._getframe(1)
    name = f"<eval-{_serial()}>"
    source, inserted = interpolate(code, evaluator(bindings, frame.f_locals, frame.f_globals), name)
    ast.parse(source, name)
    _remember_source(name, source)
    targets = [pids] if isinstance(pids, int) else flatten(pids)
    with Once(current_node().pool) as once:
        arguments = (module, source, name, {**bindings, **inserted})
        futures = [begin(_eval, pid, arguments, {}, once if len(targets) > 1 else None) for pid in targets]
    values, failures = [], []
    for future in futures:
        try:
            values.append(future.fetch())
        except Exception as error:
            failures.append(error)
    if failures:
        if isinstance(pids, int):
            raise failures[0]
        share_causes(failures)
        raise CompositeException(f"{len(failures)} of {len(targets)} processes failed", failures)
    return values[0] if isinstance(pids, int) else None


def _eval(module: str, source: str, filename: str, bindings: dict[str, Any]) -> Any:
    import importlib

    namespace = vars(sys.modules[_MAIN] if module == _MAIN else importlib.import_module(module))
    _remember_source(filename, source)
    namespace.update(bindings)
    try:
        return execute(ast.parse(source, filename), filename, namespace)
    finally:
        for name in bindings:
            if name.startswith("__pydist_"):
                namespace.pop(name, None)


def clear(names: str | Iterable[str], pids: int | Iterable[int] | None = None) -> None:
    """Set globals of ``__main__`` to None in processes, to free what they hold; unknown names are ignored.

    Julia: ``clear!``.

    Args:
        names: one name or several.
        pids: ids; default: all workers.

    Example:
        >>> everywhere("table = [0] * 1_000_000")
        >>> clear("table")
        >>> everywhere("table is None", 2)
        True
    """
    wanted = [names] if isinstance(names, str) else list(names)
    targets = workers() if pids is None else [pids] if isinstance(pids, int) else flatten(pids)
    for future in [begin(_clear, pid, (wanted,), {}) for pid in targets]:
        future.fetch()


def _clear(names: list[str]) -> None:
    main = vars(sys.modules[_MAIN])
    for name in names:
        if name in main:
            main[name] = None
            for peer in current_node().peers.all():
                # What is noted of the name keeps the object, too.
                if peer.connection is not None:
                    peer.connection.knowledge.renew_own((_MAIN, name), None)
