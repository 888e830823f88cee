"""Magics that run code in processes: ``%spawnat``, ``%spawn``, ``%fetchfrom``, ``%fetch``, ``%%everywhere``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydist
from pydist._interpolate import interpolate
from pydist_magics._command import OUTPUT, Command, Mistake, Option
from pydist_magics._magic import Call, Magic
from pydist_magics._sources import cell_error
from pydist_magics._words import words
from pydist_magics.targets import ANY, Target, collect

__all__ = ["MAGICS"]

_P = "P: an id, any, all, a slice of ids such as 2:5, a list, or an expression that gives ids"
_VALUE = (
    "The last expression is the value. Local names that the code uses and does not assign go along with the values "
    "they have now; globals of the notebook that it mentions go along too."
)
_SEVERAL = "With several processes it gives a list."

SPAWNAT = Command(
    "spawnat",
    ("%spawnat P CODE", "%%spawnat P [-o NAME]"),
    f"Run code in a process and return a Future at once. {_VALUE} {_SEVERAL} {_P}.",
    code="last",
    examples=("f = %spawnat 2 g(x)", "%spawnat any sum(range(10))"),
    processes="first",
)
SPAWNAT_CELL = Command(
    "spawnat", SPAWNAT.usage, SPAWNAT.summary, (OUTPUT,), examples=("%%spawnat 2 -o f",), processes="first"
)
SPAWN = Command(
    "spawn",
    ("%spawn CODE",),
    f"Run code on some worker and return a Future at once. {_VALUE}",
    code="last",
    examples=("f = %spawn g(x)",),
)
FETCHFROM = Command(
    "fetchfrom",
    ("%fetchfrom P CODE",),
    f"Run code in a process, wait, and return the value. {_VALUE} {_SEVERAL} {_P}.",
    code="last",
    examples=("%fetchfrom 2 os.getpid()", "%fetchfrom all len(data)"),
    processes="first",
)
FETCH = Command(
    "fetch",
    ("%fetch NAME", "%fetch CODE"),
    f"Wait for the Future or channel of that name and return its value; run anything else on some worker. {_VALUE}",
    code="last",
    examples=("%fetch f", "%fetch g(x)"),
)
_EVERYWHERE_OPTIONS = (
    Option(("--workers",), "", "not in this process"),
    Option(("--timeout",), "SECONDS", "how long to wait"),
)
EVERYWHERE = Command(
    "everywhere",
    ("%everywhere CODE", "%%everywhere [P ...]"),
    "Run code at the top of __main__ of every process, this one last, and of those that join later. $name and $(expr) "
    "insert an object from here; $$ is a dollar. " + _P.replace("any, ", ""),
    _EVERYWHERE_OPTIONS,
    code="last",
    examples=("%everywhere import numpy as np", "%everywhere limit = $limit", "%everywhere --workers x = 1"),
)
EVERYWHERE_CELL = Command(
    "everywhere",
    EVERYWHERE.usage,
    EVERYWHERE.summary,
    _EVERYWHERE_OPTIONS,
    examples=("%%everywhere", "%%everywhere 2 4 --timeout 10", "%%everywhere --workers"),
    processes="many",
)


def dispatch(target: Target, function: Callable[[], Any]) -> Any:
    """Start ``function`` in the processes of ``target`` and return a Future, or a list of them."""
    if target.any:
        return pydist.spawn(function)
    if not target.several:
        return pydist.spawnat(target.pids[0], function)
    return [pydist.spawnat(pid, function) for pid in target.pids]


def collect_values(futures: Any) -> Any:
    """Return the value of a Future, or those of a list in its order; all are waited for before a failure is told."""
    if not isinstance(futures, list):
        return pydist.fetch(futures)
    values, errors = [], []
    for future in futures:
        try:
            values.append(pydist.fetch(future))
        except Exception as error:
            errors.append(error)
    if len(errors) > 1:
        raise pydist.CompositeException(f"{len(errors)} of {len(futures)} processes failed", errors)
    if errors:
        raise errors[0]
    return values


def _target_and_function(call: Call, kind: str) -> tuple[Target, Callable[[], Any]]:
    line = call.line.rest
    parts = words(line)
    if not parts:
        raise Mistake(f"it needs a process and code, as in %{kind} 2 f(x)")
    code = line[parts[0].end :].strip()
    if not code:
        raise Mistake(f"{parts[0].text!r} stands alone; it needs a process and code, as in %{kind} 2 f(x)")
    target = call.target(parts[0].text)
    return target, _function(call, kind, code)


def _function(call: Call, kind: str, code: str) -> Callable[[], Any]:
    sources = call.session.sources
    return sources.function(sources.read(kind, code, shown=call.shown), call.scope)


def spawnat(call: Call) -> Any:
    """Line form."""
    target, function = _target_and_function(call, "spawnat")
    return dispatch(target, function)


def spawnat_cell(call: Call) -> Any:
    """Cell form."""
    name = call.name("output")
    parts = words(call.line.rest)
    if not parts:
        raise Mistake("it needs a process, as in %%spawnat 2")
    if len(parts) == 1:
        target = call.target(parts[0].text)
    else:
        target = Target(collect(call.line.rest, pydist.procs(), call.evaluate) or (), several=True)
    if not call.body.strip():
        raise Mistake("the cell is empty")
    return call.keep(name, dispatch(target, _function(call, "spawnat", call.body)))


def spawn(call: Call) -> Any:
    """Some worker."""
    if not call.line.rest:
        raise Mistake("it needs code, as in %spawn f(x)")
    return dispatch(ANY, _function(call, "spawn", call.line.rest))


def fetchfrom(call: Call) -> Any:
    """Wait for the value."""
    target, function = _target_and_function(call, "fetchfrom")
    return collect_values(dispatch(target, function))


def fetch(call: Call) -> Any:
    """A Future by its name, or code."""
    text = call.line.rest
    if not text:
        raise Mistake("it needs the name of a Future or code, as in %fetch f")
    if text.isidentifier():
        value = call.value(text, "it needs a Future or code, not")
        if isinstance(value, (pydist.Future, getattr(pydist, "RemoteChannel", ()))):
            return pydist.fetch(value)
    return collect_values(dispatch(ANY, _function(call, "fetch", text)))


def everywhere(call: Call) -> Any:
    """Line form: the line is the code."""
    if not call.line.rest:
        raise Mistake("it needs code, as in %everywhere import numpy as np")
    return _everywhere(call, call.line.rest, None)


def everywhere_cell(call: Call) -> Any:
    """Cell form: the line says where."""
    if call.line.flag("workers") and call.line.rest.strip():
        raise Mistake("--workers and ids exclude each other; all means the workers too")
    pids = collect(call.line.rest, pydist.procs(), call.evaluate)
    single = pids is not None and len(pids) == 1 and not call.target(words(call.line.rest)[0].text).several
    return _everywhere(call, call.body, pids[0] if pids and single else pids)


def _everywhere(call: Call, text: str, pids: int | tuple[int, ...] | None) -> Any:
    session = call.session
    if call.line.flag("workers"):
        pids = call.target("all").pids
    source = session.sources.read("everywhere", text, shown=call.shown)
    try:
        code, bindings = interpolate(source.code, call.evaluate, source.filename)
    except SyntaxError as error:
        raise cell_error(error, source) from None
    except NameError as error:
        raise Mistake(str(error)) from None
    session.sources.check(source, code)
    where = list(pids) if isinstance(pids, tuple) else pids
    timeout = call.line.seconds("timeout")
    try:
        return pydist.everywhere(code, where, timeout=timeout, filename=source.filename, **bindings)
    finally:
        # The runtime shows the code that it was given; the user shall see the cell.
        session.sources.register(source)


MAGICS = (
    Magic("line", SPAWNAT, spawnat),
    Magic("cell", SPAWNAT_CELL, spawnat_cell),
    Magic("line", SPAWN, spawn),
    Magic("line", FETCHFROM, fetchfrom),
    Magic("line", FETCH, fetch),
    Magic("line", EVERYWHERE, everywhere),
    Magic("cell", EVERYWHERE_CELL, everywhere_cell),
)
