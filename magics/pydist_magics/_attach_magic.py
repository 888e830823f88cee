"""``%attach P``: a console in a worker."""

from __future__ import annotations

import os
from contextlib import suppress

import pydist
import pydist.frontend
from pydist_magics._command import Command, Mistake
from pydist_magics._magic import Call, Magic
from pydist_magics._words import words

__all__ = ["MAGICS"]

ATTACH = Command(
    "attach",
    ("%attach P",),
    "Let consoles into a worker: say how one is opened there, and return the path of the connection file. A console "
    "sees the worker's __main__, and the worker's calls go on meanwhile. P: the id of a worker.",
    examples=("%attach 2",),
    processes="workers",
)
#: Starting it takes less than a second on an idle machine (seconds).
_PATIENCE = 90.0


def attach(call: Call) -> str:
    """Open a kernel in a worker."""
    texts = [word.text for word in words(call.line.rest)]
    if len(texts) != 1:
        raise Mistake("it needs the id of one worker, as in %attach 2")
    target = call.target(texts[0])
    if target.several or target.any:
        raise Mistake(f"it needs the id of one worker, not {texts[0]}")
    pid = target.pids[0]
    if pid == pydist.myid():
        raise Mistake("process 1 is this kernel: %connect_info says how to attach a console to it")
    path = _open(pid)
    _remove_with_the_worker(call.session.attached, pid, path)
    print(f"{path}\njupyter console --existing {os.path.basename(path)}")  # noqa: T201
    return path


def _open(pid: int) -> str:
    def open_kernel(pid: int) -> str:
        from pydist_magics._attached import open_kernel

        return open_kernel(pid)

    try:
        return str(pydist.remotecall(open_kernel, pid, pid).fetch(_PATIENCE))
    except ImportError as error:
        raise Mistake(f"worker {pid} has no {error.name}: a console needs it there") from None
    except TimeoutError:
        raise Mistake(f"worker {pid} has not opened a kernel within {_PATIENCE:g} seconds") from None


def _remove_with_the_worker(attached: dict[int, str], pid: int, path: str) -> None:
    """Remove the connection file when the worker has ended, which has no time for it itself."""
    if attached.get(pid) == path:
        return
    attached[pid] = path

    def remove(gone: int) -> None:
        if gone == pid:
            forget()
            with suppress(OSError):
                os.unlink(path)

    forget = pydist.frontend.on_departure(remove)


MAGICS = (Magic("line", ATTACH, attach),)
