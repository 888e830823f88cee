"""``%pydist``: what belongs to no call and no worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from IPython.core import page
from IPython.core.error import UsageError

import pydist
import pydist.frontend
from pydist_magics._command import Command, Mistake, Topic
from pydist_magics._drawing import id_ranges
from pydist_magics._magic import Call, Magic
from pydist_magics._tables import Table
from pydist_magics._versions import differences, versions_here
from pydist_magics._words import words

__all__ = ["MAGICS"]


def versions(call: Call, texts: list[str]) -> Table:
    """Which Python and which packages each process has, and where they differ from this one's."""
    _nothing("versions", texts)
    futures = {pid: pydist.remotecall(versions_here, pid) for pid in pydist.procs()}
    return differences({pid: future.fetch() for pid, future in futures.items()})


def config(call: Call, texts: list[str]) -> Table:
    """What may be set, and its value; %config PyDist.NAME = VALUE sets it."""
    _nothing("config", texts)
    rows = [(one.name, repr(one.value), one.source, one.help) for one in call.session.settings.settings()]
    return Table(("c.PyDist.", "value", "from", ""), rows)


def wait(call: Call, texts: list[str]) -> None:
    """Wait until no call is in flight."""
    if len(texts) > 1:
        raise Mistake(f"wait takes seconds, not {' '.join(texts)!r}")
    seconds = _seconds(texts[0]) if texts else None
    if not pydist.frontend.wait_idle(seconds):
        still = pydist.frontend.running()
        where = f"on {_workers(still)}" if still else "in this process"
        count = sum(still.values())
        which = f"{count} calls are" if count > 1 else "a call is"
        raise TimeoutError(f"after {texts[0]} seconds {which} still going on {where}")


def log(call: Call, texts: list[str]) -> None:
    """What %%everywhere has run and will run on workers that join; clear forgets it."""
    entries = pydist.everywhere_log()
    if texts == ["clear"]:
        entries.clear()
        return
    if texts:
        raise Mistake(f"log takes nothing or clear, not {' '.join(texts)!r}")
    if not entries:
        print("%%everywhere has run nothing that workers to come would need")  # noqa: T201
        return
    for i, entry in enumerate(entries):
        print(f"[{i}] " + entry.source.strip().replace("\n", "\n    "))  # noqa: T201


def traceback(call: Call, texts: list[str]) -> None:
    """The last error again, with all frames, those of libraries and of pydist itself too."""
    _nothing("traceback", texts)
    print("\n".join(call.session.errors.lines(_last_error(call), fold=False)))  # noqa: T201


def debug(call: Call, texts: list[str]) -> None:
    """The frames of the last error of workers, with their local names; of all, or of worker P."""
    if len(texts) > 1:
        raise Mistake(f"debug takes one process, not {' '.join(texts)!r}")
    error = _last_error(call)
    pid = None
    if texts:
        if not texts[0].isdecimal():
            raise Mistake(f"debug takes the id of a process, not {texts[0]!r}")
        pid = int(texts[0])
    if pid not in (None, *pydist.procs()):
        raise Mistake(f"no process with id {pid} exists")
    parts = call.session.errors.names(error, pid)
    if not parts and pid is None:
        raise Mistake(f"the last error, {type(error).__name__}, was raised in this process: %debug shows it")
    if not parts:
        raise Mistake(f"process {pid} has no part in the last error")
    print("\n".join(parts).rstrip("\n"))  # noqa: T201


def output(call: Call, texts: list[str]) -> None:
    """All that workers wrote for a call, or for the last one, also what its cell left out."""
    kept = call.session.router.log
    origins = kept.origins()
    if len(texts) > 1 or (texts and not texts[0].isdecimal()):
        raise Mistake(f"output takes the number of a call, not {' '.join(texts)!r}")
    if not origins:
        raise Mistake("no worker has written anything yet")
    origin = int(texts[0]) if texts else origins[-1]
    text = kept.text(origin)
    if text is None:
        raise Mistake(f"there is no output of a call {origin}; there is some of {', '.join(map(str, origins[-10:]))}")
    if not kept.complete(origin):
        text += "... the rest was too much to keep\n"
    # A pager is for a terminal. A kernel's is a part of the reply, of which nothing is in an executed notebook.
    if getattr(call.session.shell, "kernel", None) is None and sys.stdout.isatty():
        page.page(text)
    else:
        print(text, end="")  # noqa: T201


_TOPICS: dict[Topic, Callable[[Call, list[str]], Any]] = {
    Topic(
        "versions", "", "which Python and which packages each process has, and where they differ from this one's"
    ): versions,
    Topic("config", "", "what may be set, and its value; %config PyDist.NAME = VALUE sets it"): config,
    Topic("wait", "[SECONDS]", "wait until no call is in flight"): wait,
    Topic("log", "[clear]", "what %%everywhere has run and will run on workers that join; clear forgets it"): log,
    Topic(
        "traceback", "", "the last error again, with all frames, those of libraries and of pydist itself too"
    ): traceback,
    Topic(
        "debug", "[P]", "the frames of the last error of workers, with their local names; of all, or of worker P"
    ): debug,
    Topic(
        "output", "[CALL]", "all that workers wrote for a call, or for the last one, also what its cell left out"
    ): output,
}
PYDIST = Command(
    "pydist",
    ("%pydist TOPIC",),
    "What belongs to no call and no worker.",
    examples=("%pydist versions", "%pydist wait 60", "%pydist output 7"),
    topics=tuple(_TOPICS),
)


def run(call: Call) -> Any:
    """Do what the first word says."""
    texts = [word.text for word in words(call.line.rest)]
    function = next((_TOPICS[topic] for topic in _TOPICS if texts and texts[0] == topic.name), None)
    if function is None:
        what = f"{texts[0]!r} is unknown; it" if texts else "it"
        raise Mistake(f"{what} knows {', '.join(topic.name for topic in _TOPICS)}")
    return function(call, texts[1:])


def _nothing(topic: str, texts: list[str]) -> None:
    if texts:
        raise Mistake(f"{topic} takes nothing, not {' '.join(texts)!r}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise Mistake(f"wait takes seconds, not {text!r}")
    return seconds


def _workers(counts: dict[int, int]) -> str:
    return f"worker{'s' * (len(counts) > 1)} {id_ranges(sorted(counts))}"


def _last_error(call: Call) -> BaseException:
    error: BaseException | None = getattr(sys, "last_value", None)
    if isinstance(error, UsageError):
        error = call.session.errors.last  # a slip in the line of a magic is not what is looked for
    if error is None:
        raise Mistake("there has been no error yet")
    return error


MAGICS = (Magic("line", PYDIST, run),)
