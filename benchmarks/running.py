"""Runs the script of one system in a process of its own, and sees to it that nothing of it stays."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from benchmarks.measure import Job

__all__ = ["SYSTEMS", "Place", "System", "run"]

TOP = Path(__file__).resolve().parents[1]
#: Every process of a script inherits it, so it is found after its parents have ended, too.
_MARK = "PYDIST_BENCHMARK"
_LONGEST = 420.0  # seconds for one script
_GRACE = 3.0  # seconds for what a script has left behind to end by itself


class System(NamedTuple):
    """One column of the table.

    Attributes:
        key: its name on the command line, and of its script.
        title: its name in the table.
        package: what must be installed; empty: nothing.
    """

    key: str
    title: str
    package: str = ""


SYSTEMS = {
    system.key: system
    for system in (
        System("ours", "pydist"),
        System("floor", "floor"),
        System("floor_spin", "floor, spinning"),
        System("julia", "Julia"),
        System("pool", "mp.Pool"),
        System("executor", "ProcessPool"),
        System("loky", "loky", "loky"),
        System("dask", "dask", "distributed"),
        System("ray", "Ray", "ray"),
        System("ipyparallel", "ipyparallel", "ipyparallel"),
    )
}


class Place(NamedTuple):
    """Where the scripts run.

    Attributes:
        peers: the interpreter that has the peers, or None.
        folder: a folder for what they write.
    """

    peers: Path | None
    folder: Path


def run(system: System, job: Job, place: Place) -> dict[str, Any] | None:
    """Run one script; return what it printed, or None if the system is not installed here.

    What went wrong stands in ``errors`` of the answer, by row; under ``""`` if it concerns all of them.
    """
    command = _command(system, job, place)
    if command is None:
        return None
    mark = uuid.uuid4().hex
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYDIST_", "JPY_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.update({_MARK: mark, "PYTHONPATH": str(TOP), "IPYTHONDIR": str(place.folder / "ipython")})
    load = os.getloadavg()[0]
    with tempfile.TemporaryFile(dir=place.folder) as said:
        # Not in the project's folder: what is imported from the current one does not count as installed.
        process = subprocess.Popen(
            command, cwd=place.folder, env=env, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
        errors: dict[str, str] = {}
        try:
            out, _ = process.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            errors[""] = f"did not end within {_LONGEST:g} s"
            out = b""
        finally:
            left = _end_all(mark, 0.0 if errors or process.returncode is None else _GRACE)
            process.kill()
            process.wait()
        said.seek(0)
        answer = _answer(out)
        if answer is None:
            words = said.read().decode(errors="replace").strip().splitlines()
            errors.setdefault("", words[-1][:300] if words else f"exit code {process.returncode}")
            answer = {"values": {}, "errors": errors, "notes": {}}
    if left and "" not in answer["errors"]:
        answer["notes"]["left_behind"] = left
    answer.update(system=system.key, load=[load, os.getloadavg()[0]])
    return answer


def _command(system: System, job: Job, place: Place) -> list[str] | None:
    if system.key == "julia":
        julia = shutil.which("julia")
        script = Path(__file__).parent / "systems" / "julia.jl"
        if julia is None or job.part not in ("rows", "ready"):
            return None
        return [julia, "--startup-file=no", str(script), job.part, str(job.workers), str(job.quick).lower()]
    python = sys.executable
    if system.package:
        if place.peers is None or not _has(place.peers, system.package):
            return None
        python = str(place.peers)
    return [python, "-m", f"benchmarks.systems.{system.key}", json.dumps(dataclasses.asdict(job))]


def _has(python: Path, package: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], cwd="/", check=False).returncode == 0


def _answer(out: bytes) -> dict[str, Any] | None:
    for line in reversed(out.decode(errors="replace").splitlines()):
        if line.startswith('{"system"'):
            answer: dict[str, Any] = json.loads(line)
            return answer
    return None


def _end_all(mark: str, grace: float) -> int:
    """End what carries the mark, after ``grace`` seconds; return how many had to be ended."""
    deadline = monotonic() + grace
    while (pids := _marked(mark)) and monotonic() < deadline:
        sleep(0.05)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def _marked(mark: str) -> list[int]:
    """Return the living processes that were started under this mark (Linux; elsewhere none are known)."""
    wanted = f"{_MARK}={mark}".encode()
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                pids.append(int(entry.name))
    return pids
