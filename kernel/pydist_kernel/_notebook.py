"""Executing a notebook on the kernel of this environment, installed or not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from pydist_kernel._complaint import Complaint
from pydist_kernel._install import kernel_argv, read_spec
from pydist_kernel._startup import WantedWorkers, one_sentence

__all__ = ["Failure", "execute", "read", "render"]

# How much of a dead kernel's last words is shown.
LAST_LINES = 20


@dataclass(frozen=True)
class Failure:
    """Why a notebook was not executed to its end."""

    sentence: str
    traceback: str = ""
    interrupted: bool = False


class Listener(Protocol):
    """Who is told how far a notebook is."""

    def began(self, number: int, total: int) -> None:
        """Code cell ``number`` of ``total`` begins."""

    def ended(self, cell: nbformat.NotebookNode, failed: bool) -> None:
        """The cell that began last has ended."""


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook."""
    try:
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, unused-ignore]
    except OSError as error:
        raise Complaint(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # nbformat raises a dozen sorts for what is no notebook
        raise Complaint(f"{path} is not a notebook: {one_sentence(error)}") from error
    return notebook


def render(notebook: nbformat.NotebookNode, source: Path, html: bool) -> str:
    """Return the text of the output file."""
    if html:
        from pydist_kernel._html import to_html

        return to_html(notebook, source.stem)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call, unused-ignore]
    return text + "\n"


def execute(
    notebook: nbformat.NotebookNode, source: Path, wanted: WantedWorkers, timeout: float | None, listener: Listener
) -> Failure | None:
    """Execute ``notebook`` in place, in the folder of ``source``."""
    if not wanted:
        wanted = _wanted_by(notebook)
    return asyncio.run(_Execution(notebook, source, wanted, timeout, listener).run())


def _wanted_by(notebook: nbformat.NotebookNode) -> WantedWorkers:
    """Return the workers that the notebook itself asks for."""
    own = notebook.metadata.get("pydist", {})
    count = own.get("workers", "") if isinstance(own, dict) else ""
    return WantedWorkers(str(count), "", "the notebook's metadata")


class _Specs(KernelSpecManager):
    """Knows one kernel under every name: ours, with this interpreter, wherever it is installed."""

    def __init__(self, wanted: WantedWorkers) -> None:
        super().__init__()
        self._wanted = wanted

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = kernel_argv(self._wanted.count, self._wanted.machine_file)
        argv += [
            # A notebook that was promised workers must not compute for hours without them.
            "--PyDistKernelApp.workers_required=True",
            # What runs unattended does not belong into the user's history,
            "--HistoryManager.hist_file=:memory:",
            # and nobody reads what it says to its terminal unless it is broken.
            "--log-level=ERROR",
        ]
        return KernelSpec(**{**read_spec(), "argv": argv})


class _Client(NotebookClient):
    """Tells when the kernel has begun with a cell: it has nothing to interrupt before."""

    on_begun: Callable[[], None]

    def process_message(
        self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int
    ) -> nbformat.NotebookNode | None:
        """Handle a message about the cell that runs."""
        if msg["msg_type"] == "execute_input":
            self.on_begun()
        return super().process_message(msg, cell, cell_index)


class _Execution:
    """One execution of one notebook."""

    def __init__(
        self,
        notebook: nbformat.NotebookNode,
        source: Path,
        wanted: WantedWorkers,
        timeout: float | None,
        listener: Listener,
    ) -> None:
        log = logging.getLogger("pydist.run.nbclient")
        log.setLevel(logging.CRITICAL)  # what it has to say comes as an exception too
        self.manager = AsyncKernelManager(kernel_name="pydist", kernel_spec_manager=_Specs(wanted))
        self.client = _Client(
            notebook,
            km=self.manager,
            log=log,
            # Not timeout=, which takes whole seconds only.
            timeout_func=lambda _: timeout,
            resources={"metadata": {"path": str(source.parent)}},
            on_notebook_start=self._on_start,
            on_cell_execute=self._on_cell,
            on_cell_executed=self._on_executed,
        )
        self.client.on_begun = self._on_begun
        self.timeout = timeout
        self.total = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in notebook.cells)
        self.number = 0
        self.interrupted = False
        self.listener = listener

    async def run(self) -> Failure | None:
        """Execute the notebook to its end or to the first failure."""
        with _scratch_file() as terminal:
            try:
                # What a kernel writes to its terminal is for the post-mortem.
                await self.client.async_execute(cleanup_kc=True, stderr=terminal)
            except CellExecutionError as error:
                return self._failure(f"{self._where} failed: {_what(error)}", self._traceback())
            except CellTimeoutError:
                return self._failure(f"{self._where} took longer than {self.timeout:g} s")
            except DeadKernelError:
                return self._failure(f"the kernel died in {self._where}{self._how_it_ended()}", _tail(terminal))
            except OSError as error:
                raise Complaint(f"cannot start the kernel: {one_sentence(error)}") from error
            except RuntimeError as error:
                if self.number:
                    raise
                reason = _tail(terminal).splitlines()[-1:] or [one_sentence(error)]
                raise Complaint(f"the kernel does not start: {reason[0]}") from error
        return None

    @property
    def _where(self) -> str:
        return f"cell {self.number}/{self.total}"

    def _traceback(self) -> str:
        errors = [output for output in self._cell.outputs if output.output_type == "error"]
        return "\n".join(errors[-1].traceback) if errors else ""

    def _how_it_ended(self) -> str:
        code = getattr(self._process, "returncode", None)
        if code is None:
            return ""
        return f" (exit code {code})" if code >= 0 else f" ({signal.Signals(-code).name})"

    def _failure(self, sentence: str, traceback: str = "") -> Failure:
        # nbclient tells of a cell that ended, not of one that was given up.
        if self._in_cell:
            self._in_cell = False
            self.listener.ended(self._cell, failed=True)
        if self.interrupted:
            return Failure(f"interrupted in {self._where}", interrupted=True)
        return Failure(sentence, traceback)

    _in_cell = False
    #: The kernel has begun with the cell.
    _begun = False
    _cell: nbformat.NotebookNode
    _process: object = None

    def _on_start(self, **_: Any) -> None:
        # The provisioner forgets it when it ends.
        self._process = getattr(self.manager.provisioner, "process", None)
        # nbclient kills the kernel at once on Ctrl-C; the cell shall rather end as it does in a notebook.
        with contextlib.suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._on_sigint)

    def _on_sigint(self) -> None:
        again, self.interrupted = self.interrupted, True
        # A cell that does not listen is not asked twice.
        if again:
            self._stopping = asyncio.ensure_future(self.manager.shutdown_kernel(now=True))
        elif self._begun:
            self._interrupt()

    def _interrupt(self) -> None:
        self._stopping = asyncio.ensure_future(self.manager.interrupt_kernel())

    def _on_cell(self, cell: nbformat.NotebookNode, **_: Any) -> None:
        self.number += 1
        self._cell, self._in_cell, self._begun = cell, True, False
        self.listener.began(self.number, self.total)

    def _on_begun(self) -> None:
        self._begun = True
        if self.interrupted:  # Ctrl-C came when the cell was on its way to the kernel
            self._interrupt()

    def _on_executed(self, cell: nbformat.NotebookNode, execute_reply: dict[str, Any], **_: Any) -> None:
        self._in_cell = self._begun = False
        self.listener.ended(cell, failed=execute_reply["content"]["status"] != "ok")


def _scratch_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no space: then without
        return open(os.devnull, "r+b")


def _tail(terminal: IO[bytes]) -> str:
    """Return the last lines of what was written to ``terminal``."""
    terminal.seek(0)
    lines = terminal.read().decode(errors="replace").rstrip().splitlines()
    return "\n".join(lines[-LAST_LINES:])


def _what(error: CellExecutionError) -> str:
    """Return the error of a cell as one line."""
    return f"{error.ename}: {error.evalue}".splitlines()[0].rstrip(": ")
