"""``pydist run``: check what is asked for, run it, and tell how it went."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydist_kernel._cli_echo import Echo
from pydist_kernel._complaint import FAILED, Complaint
from pydist_kernel._startup import WantedWorkers, one_sentence, read_machine_file

if TYPE_CHECKING:
    from pydist_kernel._notebook import Failure

__all__ = ["run"]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
INTERRUPTED = 130  # what a shell gives for SIGINT


def run(options: argparse.Namespace) -> int:
    """Run the notebook or script and return the exit code."""
    source = Path(options.file)
    if source.suffix.lower() not in (".ipynb", ".py"):
        raise Complaint(f"{options.file}: only notebooks (.ipynb) and scripts (.py) can be run")
    if not source.is_file():
        raise Complaint(f"{options.file}: {'that is a folder' if source.is_dir() else 'no such file'}")
    timeout = seconds(options.timeout)
    wanted = wanted_workers(options)
    if source.suffix.lower() == ".py":
        from pydist_kernel._script import run_script

        if options.output:
            raise Complaint("-o is for notebooks: the output of a script goes where it says")
        return run_script(source, options.arguments, wanted, timeout)
    if options.arguments:
        raise Complaint(f"a notebook takes no arguments, and there is {options.arguments[0]!r}")
    return run_notebook(source, options.output, wanted, timeout)


def seconds(text: str | None) -> float | None:
    """Return the time of ``--timeout``."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise Complaint(f"--timeout takes a number of seconds, not {text!r}")
    return value


def wanted_workers(options: argparse.Namespace) -> WantedWorkers:
    """Return the workers of ``-p`` and ``--machine-file``."""
    wanted = WantedWorkers(
        options.workers or "", options.machine_file or "", "-p" if options.workers else "--machine-file"
    )
    try:
        wanted.local()
        if wanted.machine_file:
            read_machine_file(wanted.machine_file)
    except (OSError, ValueError) as error:
        raise Complaint(one_sentence(error)) from error
    return wanted


def run_notebook(source: Path, output: str | None, wanted: WantedWorkers, timeout: float | None) -> int:
    """Run a notebook, write what came of it even if it failed, and return the exit code."""
    from pydist_kernel import _notebook
    from pydist_kernel._output_file import OutputFile

    target = OutputFile(output) if output else None
    notebook = _notebook.read(source)
    if target is not None:
        target.prepare()
    failure = _notebook.execute(notebook, source, wanted, timeout, Echo(outputs=target is None))
    if target is not None:
        target.write(_notebook.render(notebook, source, html=target.suffix == ".html"))
    if failure is not None:
        tell(failure, source)
        return INTERRUPTED if failure.interrupted else FAILED
    return 0


def tell(failure: Failure, source: Path) -> None:
    """Say which cell failed, after its error."""
    if failure.traceback:
        print(failure.traceback if sys.stderr.isatty() else _COLOURS.sub("", failure.traceback), file=sys.stderr)
    print(f"pydist: {source}: {failure.sentence}", file=sys.stderr)
