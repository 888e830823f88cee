"""Running code at the top of ``__main__`` of many processes, and keeping it for those that come later."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Callable, Iterable
from time import monotonic
from types import FunctionType
from typing import Any, TypeVar

from pydist import frontend
from pydist._alike import share_causes
from pydist._calls import begin
from pydist._errors import CompositeException
from pydist._interpolate import evaluator, interpolate
from pydist._procs import flatten, procs, workers
from pydist._runtime.alarm import TimeUp, time_limit
from pydist._runtime.current import current_node
from pydist._runtime.knowledge import ABSENT
from pydist._runtime.node import Node
from pydist._runtime.once import Once
from pydist._runtime.slots import Slot
from pydist._runtime.sources import identity
from pydist._statements import MAIN, Entry, Ran, clear_names, evaluate, remember_source, run, run_all

__all__ = ["clear", "everywhere", "everywhere_log", "remotecall_eval"]

F = TypeVar("F", bound=Callable[..., Any])
_serial = itertools.count(1).__next__


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
                _run_on(pids, run, tuple(entry), None)
        else:  # at the cost of one
            _run_on(pids, run_all, ([tuple(entry) for entry in entries],), None)


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
    remember_source(filename, source)
    _import_here(tree, filename)
    targets = [pids] if isinstance(pids, int) else procs() if pids is None else flatten(pids)
    values = _run_on(targets, run, tuple(entry), timeout)
    if node.pid == 1 and set(targets) >= {pid for pid in workers() if pid != 1}:
        everywhere_log().append(entry)
    return values[0] if isinstance(pids, int) else None


def _import_here(tree: ast.Module, filename: str) -> None:
    """Run the imports at the top of the code in this process first: if one fails, nothing is sent."""
    imports: list[ast.stmt] = [
        statement for statement in tree.body if isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    if imports:
        module = ast.Module(imports, [])
        exec(compile(module, filename, "exec"), {"__name__": MAIN})


def _run_on(targets: list[int], f: Callable[..., Ran], arguments: tuple[Any, ...], timeout: float | None) -> list[Any]:
    """Run statements by `run` or `run_all` on each target at the same time, here last; return the values in order."""
    node = current_node()
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
            under_way.extend((pid, node.call(pid, f, arguments, {}, once=alike)) for pid in others)
        for _ in here:
            try:
                with frontend.together(), time_limit(_left(deadline)):
                    results.setdefault(node.pid, []).append(f(*arguments)[0])
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
                _note_own(node, pid, names, classes)
            except Exception as error:
                failures.append(error)
            else:
                results.setdefault(pid, []).append(value)
    finally:
        for _, slot in under_way:
            node.give_up(slot)
    if failures:
        if len(targets) == 1:
            raise failures[0]
        raise _together(failures, len(targets))
    return [results[pid].pop(0) for pid in targets]


def _together(failures: list[Exception], among: int) -> CompositeException:
    share_causes(failures)
    return CompositeException(f"{len(failures)} of {among} processes failed", failures)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())


def _too_late(timeout: float | None, pids: list[int]) -> TimeoutError:
    names = ", ".join(map(str, pids))
    which = f"processes {names} have" if len(pids) > 1 else f"process {names} has"
    return TimeoutError(f"everywhere: {which} not finished within {timeout:g} seconds; what goes on is interrupted")


def _note_own(node: Node, pid: int, names: tuple[str, ...], classes: tuple[bytes, ...]) -> None:
    """The worker has its own definition of these names now: it stands until it is bound anew here."""
    knowledge = node.peers.connection(pid).knowledge
    main = vars(sys.modules[MAIN])
    with knowledge.lock:
        for name in names:
            knowledge.note_own((MAIN, name), identity(main.get(name, ABSENT)))
        knowledge.drop_deleted(MAIN, main)
        knowledge.digests.update(classes)


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
    remember_source(name, source)
    targets = [pids] if isinstance(pids, int) else flatten(pids)
    with Once(current_node().pool) as once:
        arguments = (module, source, name, {**bindings, **inserted})
        futures = [begin(evaluate, pid, arguments, {}, once if len(targets) > 1 else None) for pid in targets]
    values, failures = [], []
    try:
        for future in futures:
            try:
                values.append(future.fetch())
            except Exception as error:
                failures.append(error)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    if failures:
        if isinstance(pids, int):
            raise failures[0]
        raise _together(failures, len(targets))
    return values[0] if isinstance(pids, int) else None


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
    for future in [begin(clear_names, pid, (wanted,), {}) for pid in targets]:
        future.fetch()
