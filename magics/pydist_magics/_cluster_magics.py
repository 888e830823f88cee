"""Magics that start, show, interrupt and end workers."""

from __future__ import annotations

import ast
from typing import Any

import pydist
import pydist.frontend
from pydist_magics._command import Command, Mistake, Option, Topic
from pydist_magics._magic import Call, Magic
from pydist_magics._words import words
from pydist_magics.targets import collect

__all__ = ["MAGICS"]

_IDS = "ids, a list, a slice of ids such as 2:5, all, or an expression that gives ids"

ADDPROCS = Command(
    "addprocs",
    ("%addprocs [N | auto | HOST ...] [OPTIONS]",),
    "Start workers and return their ids: N on this machine (as many as it has CPUs if nothing is said), or on others.",
    (
        Option(
            ("--topology",),
            "NAME",
            "all_to_all, master_worker or custom",
            choices=("all_to_all", "master_worker", "custom"),
        ),
        Option(("--dir",), "DIR", "the folder they start in"),
        Option(("--exename",), "FILE", "their Python"),
        Option(("--exeflags",), "FLAGS", "what their Python gets in front"),
        Option(("--env",), "NAME=VALUE", "a variable of their environment; may be repeated", repeat=True),
        Option(("--enable-threaded-blas",), "", "let numpy use several threads in each"),
        Option(("--timeout",), "SECONDS", "how long they may take to come up"),
    ),
    examples=("%addprocs 4", "ids = %addprocs", "%addprocs 2 --env OMP_NUM_THREADS=1"),
    topics=(Topic("auto", "", "as many as this machine has CPUs to use"),),
)
RMPROCS = Command(
    "rmprocs",
    ("%rmprocs P ...",),
    f"End workers. P: {_IDS}.",
    (Option(("--waitfor",), "SECONDS", "how long they may take to finish; then they are killed"),),
    examples=("%rmprocs 2 3", "%rmprocs all"),
    processes="workers",
)
WORKERS = Command(
    "workers",
    ("%workers [P ...]", "%procs [P ...]"),
    f"Show the processes: id, host, state, calls, memory. P: {_IDS}; all processes if none is given.",
    examples=("%workers", "table = %workers 2:5"),
    processes="many",
)
INTERRUPT = Command(
    "interrupt",
    ("%interrupt [P ...]",),
    f"Stop the calls that now run on workers, each with KeyboardInterrupt. P: {_IDS}; all workers if none is given.",
    examples=("%interrupt", "%interrupt 2 4"),
    processes="workers",
)
RESTART = Command(
    "restart",
    ("%restart P ...",),
    "Put a fresh process in the place of each worker: it has the same id and what %%everywhere has defined; its "
    f"pending Futures fail. P: {_IDS}.",
    examples=("%restart 2", "%restart all"),
    processes="workers",
)
DASHBOARD = Command(
    "dashboard",
    ("%dashboard",),
    "Show the workers in a live table with buttons to add, interrupt, restart and remove them.",
    examples=("%dashboard",),
)


def addprocs(call: Call) -> Any:
    """Start workers."""
    line = call.line
    options: dict[str, Any] = {}
    for name in ("topology", "dir", "exename"):
        if (text := line.text(name)) is not None:
            options[name] = text
    if (flags := line.text("exeflags")) is not None:
        options["exeflags"] = tuple(flags.split())
    if variables := line.texts("env"):
        options["env"] = dict(map(_variable, variables))
    if line.flag("enable_threaded_blas"):
        options["enable_threaded_blas"] = True
    if (seconds := line.seconds("timeout")) is not None:
        options["timeout"] = seconds
    places = [word.text for word in words(line.rest)]
    try:
        if not places:
            return pydist.addprocs(**options)
        if len(places) == 1 and (count := _count(call, places[0])) is not None:
            return pydist.addprocs(count, **options)
        return pydist.addprocs(places, **options)
    except (TypeError, ValueError) as error:
        raise Mistake(str(error)) from None


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Mistake(f"--env takes NAME=VALUE, not {text!r}")
    return name, value


def _count(call: Call, text: str) -> int | str | None:
    """Return how many workers ``text`` asks for; None if it is the name of a host."""
    if text == "auto":
        return "auto"
    try:
        tree = ast.parse(text, mode="eval")
        value = call.evaluate(text)
    except Exception:  # "host-1.example.org" reads as an expression too
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise Mistake(f"{text} is not a number of workers")
        return value
    if isinstance(tree.body, (ast.Name, ast.Attribute)):
        return None  # a host whose name happens to be a name here
    raise Mistake(f"{text} is neither a number of workers nor a host")


def rmprocs(call: Call) -> None:
    """End workers."""
    pids = collect(call.line.rest, pydist.procs(), call.evaluate)
    if pids is None:
        raise Mistake(f"it needs the workers to end: {_IDS}")
    if 1 in pids:
        raise Mistake("process 1 cannot be ended; it is this one")
    seconds = call.line.seconds("waitfor")
    if seconds is None:
        pydist.rmprocs(*pids)
    else:
        pydist.rmprocs(*pids, waitfor=seconds)


def workers(call: Call) -> Any:
    """Return the table of processes, which shows itself."""
    pids = collect(call.line.rest, pydist.procs(), call.evaluate)
    table = pydist.worker_info()
    return table if pids is None else pydist.WorkerList(row for row in table if row.pid in pids)


def interrupt(call: Call) -> None:
    """Interrupt workers."""
    pids = collect(call.line.rest, pydist.procs(), call.evaluate)
    pydist.interrupt(*(pids or ()))


def restart(call: Call) -> None:
    """Replace workers by fresh ones."""
    pids = collect(call.line.rest, pydist.procs(), call.evaluate)
    if pids is None:
        raise Mistake(f"it needs the workers to restart: {_IDS}")
    if 1 in pids:
        raise Mistake("process 1 cannot be restarted from within; your front end restarts the kernel")
    pydist.restart(*pids)


def dashboard(call: Call) -> Any:
    """Return the dashboard, which shows itself."""
    if call.line.rest:
        raise Mistake(f"it takes nothing, not {call.line.rest!r}")
    make = pydist.frontend.dashboard()
    if make is None:
        raise Mistake("there is no dashboard here: %load_ext pydist brings it, %workers shows the table")
    return make()


MAGICS = (
    Magic("line", ADDPROCS, addprocs),
    Magic("line", RMPROCS, rmprocs),
    Magic("line", WORKERS, workers, ("procs",)),
    Magic("line", INTERRUPT, interrupt),
    Magic("line", RESTART, restart),
    Magic("line", DASHBOARD, dashboard),
)
