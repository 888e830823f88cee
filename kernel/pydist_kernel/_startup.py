"""Workers that are asked for before there is a cell: ``--workers``, ``--machine-file``, ``PYDIST_WORKERS``."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["WantedWorkers", "WorkersAtStart", "add_workers", "one_sentence", "read_machine_file"]

Count = int | Literal["auto"]


@dataclass(frozen=True)
class WantedWorkers:
    """How many workers are wanted here and on which machines, and who said so."""

    count: str = ""
    machine_file: str = ""
    source: str = "--workers"

    def __bool__(self) -> bool:
        return self.count.strip() not in ("", "0") or self.machine_file != ""

    def local(self) -> Count:
        """Return the number of workers wanted on this machine."""
        text = self.count.strip()
        if text == "auto":
            return "auto"
        if text == "":
            return 0
        try:
            number = int(text)
        except ValueError:
            number = -1
        if number < 0:
            raise ValueError(f"{self.source} takes a number of workers or auto, not {self.count!r}")
        return number


def read_machine_file(path: str) -> list[tuple[str, Count]]:
    """Return the machines of a file with one ``[count*][user@]host[:port] [bind]`` a line."""
    machines: list[tuple[str, Count]] = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        count, star, machine = text.rpartition("*")
        count, machine = count.strip(), machine.strip()
        if not machine or (star and count != "auto" and not (count.isdecimal() and int(count) > 0)):
            raise ValueError(f"line {number} of {path} is not [count*][user@]host[:port]: {line.strip()!r}")
        machines.append((machine, "auto" if count == "auto" else int(count or 1)))
    if not machines:
        raise ValueError(f"the machine file {path} names no machine")
    return machines


def add_workers(wanted: WantedWorkers) -> list[int]:
    """Start the workers and return their ids; both sorts of mistakes, in the wish and in the start, raise."""
    import pydist

    local = wanted.local()
    machines = read_machine_file(wanted.machine_file) if wanted.machine_file else []
    pids: list[int] = []
    if local:
        pids += pydist.addprocs(local)
    if machines:
        pids += pydist.addprocs(machines)
    return pids


def one_sentence(error: BaseException) -> str:
    """Return the first thing that ``error`` says, on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


class WorkersAtStart:
    """Starts workers in the background, so that the kernel can answer its front end meanwhile."""

    def __init__(self, wanted: WantedWorkers, required: bool = False) -> None:
        self.wanted = wanted
        #: The first cell must not run without them.
        self.required = required
        #: Done when all workers are there or one cannot be; its result is the sentence for the user, or nothing.
        self.outcome: Future[str] = Future()

    def begin(self) -> None:
        """Start the workers; returns at once."""
        threading.Thread(target=self._start, name="pydist-workers-at-start", daemon=True).start()

    def _start(self) -> None:
        try:
            add_workers(self.wanted)
        except BaseException as error:  # the thread has nobody else to tell
            self.outcome.set_result(self._sentence(error))
        else:
            self.outcome.set_result("")

    def _sentence(self, error: BaseException) -> str:
        wanted = (
            f"the workers of {self.wanted.machine_file}" if self.wanted.machine_file else f"{self.wanted.count} workers"
        )
        up = getattr(error, "pids", None)
        but = f" ({len(up)} came up)" if up else ""
        return f"pydist could not start {wanted}{but}, as {self.wanted.source} asked: {one_sentence(error)}"
