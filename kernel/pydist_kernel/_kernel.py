"""The kernel: IPython's, as process 1 of a cluster."""

# ipykernel annotates only some of its functions.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from traitlets import Instance, Type

import pydist.frontend
from pydist_kernel._comms import hand_over
from pydist_kernel._interrupts import InterruptGate
from pydist_kernel._shell import ZMQInteractiveShell
from pydist_kernel._startup import WorkersAtStart

__all__ = ["PyDistKernel"]

VERSION = metadata.version("pydist-jupyter")

# What a shutdown may cost at most: jupyter_client sends SIGTERM after 2.5 s, and the kernel has its own things to do.
GRACE = 1.0
# How often a press that could not strike is repeated.
REPEAT = 0.02
DEAF = 20  # so often a press is repeated that no handler of ours hears: the user may have put another in its place
# So long (seconds) the line about an interrupted cell waits for the ends of its calls. A worker says after a tenth of a
# second that one does not listen; if it keeps the interpreter to itself meanwhile, nobody says anything.
PATIENCE = 0.3

_JULIA = {"text": "Julia's Distributed", "url": "https://docs.julialang.org/en/v1/stdlib/Distributed/"}


class PyDistKernel(IPythonKernel):
    """An IPython kernel that owns workers: it interrupts what a cell started there, and ends them when it ends."""

    implementation = "pydist"
    implementation_version = VERSION
    shell: ZMQInteractiveShell  # type: ignore[mutable-override]
    shell_class = Type(ZMQInteractiveShell)  # type: ignore[mutable-override]
    workers_at_start = Instance(WorkersAtStart, allow_none=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.help_links = [*self.help_links, _JULIA]
        self.interrupts = InterruptGate()
        self.interrupts.install()
        self._origin = 0
        self._in_flight: dict[int, int] = {}
        self._repeating: asyncio.Task[None] | None = None
        # What the gate had heard before the last press.
        self._heard = 0

    @property
    def banner(self) -> str:  # type: ignore[override]
        """What a console shows first."""
        return f"{super().banner}pydist {VERSION}: %addprocs 4 starts workers, %workers shows them.\n"

    # Requests

    async def shell_channel_thread_main(self, msg: Any) -> None:
        """Receive a request; what is said to a widget of a worker need not wait for the cell that runs."""
        try:
            done = hand_over(self, msg)
        except Exception:
            done = False  # ipykernel says what is wrong with the message
        if not done:
            await super().shell_channel_thread_main(msg)

    # Cells

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell. The front end is told that it runs before it does, and may interrupt it from then on."""
        if threading.current_thread() is not threading.main_thread():
            await super().execute_request(stream, ident, parent)
            return
        with self.interrupts.request():
            await super().execute_request(stream, ident, parent)

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Run a cell; the first one waits for the workers that were asked for at start."""
        if self.workers_at_start is not None and not silent:
            refusal = await self._wait_for_workers(self.workers_at_start)
            if refusal is not None:
                return refusal
        self._follow_origin()
        with self._interruptible():
            reply: dict[str, Any] = await super().do_execute(
                code, silent, store_history, user_expressions, allow_stdin, cell_meta=cell_meta, cell_id=cell_id
            )
            if self.interrupts.struck and reply.get("ename") == "CancelledError":
                reply["ename"] = "KeyboardInterrupt"
        return reply

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        # Cells in subshells run in other threads, where no signal reaches them.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with self.interrupts.cell(self.shell.user_global_ns):
            yield

    async def _wait_for_workers(self, starting: WorkersAtStart) -> dict[str, Any] | None:
        """Wait, tell the user once what went wrong, and return the reply of a cell that shall not run."""
        # What is cancelled by an interrupt is the waiting, not the start.
        waiting = asyncio.shield(asyncio.wrap_future(starting.outcome))
        try:
            if threading.current_thread() is threading.main_thread():
                with self.interrupts.awaiting(waiting):
                    sentence = await waiting
            else:
                sentence = await waiting
        except asyncio.CancelledError:
            return self._refuse("KeyboardInterrupt", "the workers asked for at start are not there yet")
        if sentence and starting.required:
            return self._refuse("LaunchWorkerError", sentence)
        self.workers_at_start = None
        if sentence:
            sys.stderr.write(sentence + "\n")
        return None

    def _refuse(self, ename: str, evalue: str) -> dict[str, Any]:
        """Show an error in the cell that is to run, and return the reply for it."""
        error = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        self.send_response(self.iopub_socket, "error", error, ident=self._topic("error"))
        return {
            "status": "error",
            **error,
            "execution_count": self.execution_count,
            "user_expressions": {},
            "payload": [],
        }

    # Interrupts

    def pre_handler_hook(self) -> None:
        """Take SIGINT back before each request, whatever the last cell did with it."""
        self.interrupts.install()

    def post_handler_hook(self) -> None:
        """Keep SIGINT: the gate knows that nothing runs, and workers would inherit that we ignore it."""
        self.interrupts.install()

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        with self.interrupts.awaiting(future):
            yield

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Interrupt the cell. This runs on the control thread, also while the cell blocks the main one."""
        if self.interrupts.running:
            self._in_flight = _calls(self._origin)
        self._heard = self.interrupts.heard
        await super().interrupt_request(stream, ident, parent)
        if os.name == "posix" and (self._repeating is None or self._repeating.done()):
            self._repeating = asyncio.create_task(self._repeat_press())

    async def _repeat_press(self) -> None:
        """Press again as long as a press waits for its moment, or has not been heard.

        A signal that comes between Python's look for signals and the system call that follows wakes nobody: a cell that
        begins to sleep in this very moment would sleep on.
        """
        main = threading.main_thread().ident or 0
        deaf = 0
        await asyncio.sleep(REPEAT)
        while self.interrupts.pending or (self.interrupts.busy and self.interrupts.heard == self._heard):
            deaf = 0 if self.interrupts.pending else deaf + 1
            if deaf > DEAF:
                return
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.sleep(REPEAT)

    def _follow_origin(self) -> None:
        """Have the origin of the cell noted when it starts, after the router has made one for it."""
        events = self.shell.events
        if self._note_origin in events.callbacks["pre_run_cell"]:
            events.unregister("pre_run_cell", self._note_origin)
        events.register("pre_run_cell", self._note_origin)

    def _note_origin(self, info: object) -> None:
        router = pydist.frontend.router()
        self._in_flight = {}
        self._origin = 0 if router is None else router.origin()

    def stop_calls_of_cell(self) -> str:
        """Interrupt the calls that the cell started and that still run; return the sentence that says so."""
        try:
            before = pydist.frontend.strays()
            stopped = pydist.frontend.cancel(self._origin) if self._origin else {}
            # A waiting call has cancelled its remote half already; what was in flight at the press counts all the same.
            for pid, calls in self._in_flight.items():
                stopped[pid] = max(calls, stopped.get(pid, 0))
            going = pydist.frontend.wait_for_end(self._origin, PATIENCE) if stopped else {}
            for pid, calls in pydist.frontend.strays().items():
                going[pid] = going.get(pid, 0) + max(0, calls - before.get(pid, 0))
        except (Exception, KeyboardInterrupt) as error:
            return f"pydist could not stop the calls of this cell: {error}"
        return describe_stopped(stopped, {pid: calls for pid, calls in going.items() if pid in stopped})

    # The end

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End the workers, then what ipykernel ends."""
        with contextlib.suppress(Exception):  # the kernel must end, whatever the workers do
            pydist.frontend.shutdown(GRACE)
        reply = super().do_shutdown(restart)
        # A plain function up to ipykernel 7.4, but one that asks its subclasses for a coroutine.
        result: dict[str, Any] = await reply if inspect.isawaitable(reply) else reply
        return result


def _calls(origin: int) -> dict[int, int]:
    try:
        return pydist.frontend.running(origin) if origin else {}
    except Exception:  # it only decorates the message
        return {}


def describe_stopped(stopped: dict[int, int], going: dict[int, int] | None = None) -> str:
    """Return the line that says how many calls were stopped where, and which go on; nothing if there were none.

    >>> describe_stopped({2: 1, 3: 2, 4: 1, 7: 1})
    'Interrupted: 5 calls stopped on workers 2-4, 7'
    >>> describe_stopped({2: 1}, {2: 1})
    'Interrupted: 1 call on worker 2 does not listen and goes on; %restart 2 ends it'
    """
    going = going or {}
    deaf = {pid: min(calls, stopped[pid]) for pid, calls in going.items() if calls}
    ended = {pid: calls - deaf.get(pid, 0) for pid, calls in stopped.items() if calls > deaf.get(pid, 0)}
    parts = []
    if ended:
        parts.append(f"{_calls_of(ended)} stopped on {_workers_of(ended)}")
    if deaf:
        verbs = ("does not listen and goes", "it") if sum(deaf.values()) == 1 else ("do not listen and go", "them")
        pids = " ".join(map(str, sorted(deaf)))
        parts.append(f"{_calls_of(deaf)} on {_workers_of(deaf)} {verbs[0]} on; %restart {pids} ends {verbs[1]}")
    return f"Interrupted: {', '.join(parts)}" if parts else ""


def _calls_of(counts: dict[int, int]) -> str:
    total = sum(counts.values())
    return f"{total} call{'s' * (total > 1)}"


def _workers_of(counts: dict[int, int]) -> str:
    spans: list[list[int]] = []
    for pid in sorted(counts):
        if spans and pid == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], pid]
        else:
            spans.append([pid])
    return f"worker{'s' * (len(counts) > 1)} " + ", ".join("-".join(map(str, span)) for span in spans)
