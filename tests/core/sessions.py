"""A Python of its own that plays the notebook: what it runs is at the top of a real ``__main__``, cell by cell."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.leftovers import descendants

__all__ = ["CellError", "Session", "end_of", "outcome", "stopped"]

#: Seconds that a cell may take; what hangs is then shown with the stacks of all its threads.
LIMIT = 30.0

_HARNESS = r"""
def _play():
    import ast, faulthandler, io, json, linecache, os, signal, sys, traceback
    replies = os.fdopen(int(sys.argv[1]), "w")
    faulthandler.register(signal.SIGUSR1)
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    main = sys.modules["__main__"]
    vars(main).clear()
    vars(main).update(names)
    number = 0
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    for request in sys.stdin:
        source = json.loads(request)
        number += 1
        name = f"<cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        reply = {"value": None, "error": None}
        try:
            tree = ast.parse(source, name)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            exec(compile(tree, name, "exec"), vars(main))
            if last is not None:
                value = eval(compile(ast.Expression(last.value), name, "eval"), vars(main))
                reply["value"] = repr(value)
                value = None
        except BaseException as error:
            reply["error"] = [type(error).__qualname__, str(error), traceback.format_exc()]
            error = None
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        reply["out"], reply["err"] = sys.stdout.getvalue(), sys.stderr.getvalue()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

_play()
"""


class CellError(Exception):
    """A cell has raised."""

    def __init__(self, kind: str, text: str, traceback: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.traceback = traceback


class Session:
    """A process in which cells are run.

    Args:
        folder: its working folder, and where its stderr goes.
        workers: how many workers it gets at its start.
    """

    def __init__(self, folder: Path, workers: int = 0) -> None:
        self.stderr = folder / "stderr.txt"
        read, write = os.pipe()
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _HARNESS, str(write)],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                pass_fds=[write],
                cwd=folder,
                start_new_session=True,
            )
        os.close(write)
        self._replies = read
        self._tail = b""
        #: What the last cell has written.
        self.out = self.err = ""
        self.pids: list[int] = self.run(f"import pydist, os, time\npydist.addprocs({workers})")

    def run(self, source: str, timeout: float = LIMIT) -> Any:
        """Run a cell; return the value of its last expression if that is a plain one, else its repr.

        Raises:
            CellError: what it raised.
        """
        self.start(source)
        return self.finish(timeout)

    def start(self, source: str) -> None:
        """Begin a cell."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(source).encode() + b"\n")
        self.process.stdin.flush()

    def finish(self, timeout: float = LIMIT) -> Any:
        """Wait for the end of the cell that was begun; see `run`."""
        reply = json.loads(self._reply(timeout))
        self.out, self.err = reply["out"], reply["err"]
        if reply["error"] is not None:
            raise CellError(*reply["error"])
        try:
            return ast.literal_eval(reply["value"]) if reply["value"] is not None else None
        except (ValueError, SyntaxError):
            return reply["value"]

    def _reply(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._tail:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._replies], [], [], left)[0]:
                raise AssertionError(f"the cell has not ended within {timeout:g} seconds\n{self.stacks()}")
            data = os.read(self._replies, 65536)
            if not data:
                self.process.wait()
                raise AssertionError(
                    f"the session has ended ({self.process.returncode})\n{self.stderr.read_text(errors='replace')}"
                )
            self._tail += data
        line, _, self._tail = self._tail.partition(b"\n")
        return line

    def stacks(self) -> str:
        """Return what the session has written, with the stacks of all its threads."""
        self.process.send_signal(signal.SIGUSR1)
        try:
            self.process.wait(0.5)  # the dump has no other end that could be waited for
        except subprocess.TimeoutExpired:
            pass
        return self.stderr.read_text(errors="replace")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def family(self) -> list[int]:
        """Return the ids of all processes below the session, and its own."""
        return [self.process.pid, *descendants(self.process.pid)]

    def kill(self) -> None:
        """End the session's process by SIGKILL."""
        self.process.kill()
        self._put_away()

    def leave(self, timeout: float = 10.0) -> int:
        """Let the session end by itself, as a script does; return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the session has not ended within {timeout:g} seconds\n{self.stacks()}") from None

    def _put_away(self) -> None:
        assert self.process.stdin is not None
        self.process.wait()
        self.process.stdin.close()
        if self._replies >= 0:
            os.close(self._replies)
            self._replies = -1


def outcome(session: Session, future: str) -> str:
    """Wait for the Future of that name in a session; return the name of what it raises, "" if it has a value."""
    try:
        session.run(f"{future}.wait({LIMIT - 5})")
    except CellError as error:
        return error.kind
    return ""


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process for a while; it has stopped when this begins.

    Who sends the signal does not wait for that: the thread that it goes to may be waiting for a CPU, and the others of
    its process run until it has got one.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + LIMIT
        while not all(map(_is_stopped, Path(f"/proc/{pid}/task").iterdir())):
            assert time.monotonic() < deadline
            time.sleep(0)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _is_stopped(task: Path) -> bool:
    try:
        return (task / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except OSError:  # the thread has ended
        return True


def end_of(pids: list[int], timeout: float) -> list[int]:
    """Wait until all of these processes have ended; kill those that have not, and return them."""
    deadline = time.monotonic() + timeout
    left = [pid for pid in pids if not _ends_before(pid, deadline)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def _ends_before(pid: int, deadline: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0])
    finally:
        os.close(handle)
