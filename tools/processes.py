"""Run other programs in a virtual environment, and tell the user what goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
VENV = TOP / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")


class SetupError(Exception):
    """A step of the set-up failed; the text is the sentence for the user."""


def say(text: str) -> None:
    """Tell the user what goes on."""
    print(f"run.py: {text}", flush=True)


def environment(scripts: Path = BIN) -> dict[str, str]:
    """Return the variables for child processes: the environment of ``scripts`` first, nothing of another Python."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")}
    variables["PATH"] = f"{scripts}{os.pathsep}{variables.get('PATH', os.defpath)}"
    variables["DEBIAN_FRONTEND"] = "noninteractive"
    # The kernel of that environment, also when the user has one of the same name installed.
    variables["JUPYTER_PREFER_ENV_PATH"] = "1"
    return variables


def call(*command: str | Path, scripts: Path = BIN) -> int:
    """Run a command that talks to the user itself, in the environment of ``scripts``; return its exit code."""
    words = [str(word) for word in command]
    sys.stdout.flush()
    try:
        return subprocess.run(words, cwd=TOP, env=environment(scripts), check=False).returncode
    except FileNotFoundError:
        raise SetupError(f"{command[0]} is not there; remove {VENV} and start again") from None


def run_module(name: str, *arguments: str, scripts: Path = BIN) -> int:
    """Run a module with the Python of an environment; return its exit code."""
    print(f"\n=== {name} {' '.join(arguments)}", flush=True)
    return call(scripts / "python", "-m", name, *arguments, scripts=scripts)


def run_script(name: str, *arguments: str) -> int:
    """Run a script of .venv, for tools that are no module; return its exit code."""
    print(f"\n=== {name} {' '.join(arguments)}", flush=True)
    return call(BIN / name, *arguments)


def run_quietly(failure: str, *command: str | Path) -> None:
    """Run a command whose output matters only when it fails; then show it, and end with the sentence ``failure``."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=TOP,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout.rstrip(), file=sys.stderr)
        raise SetupError(f"{failure} (exit code {done.returncode}; what it said stands above)")


def succeeds(*command: str | Path) -> bool:
    """Tell whether a command can be run and ends well."""
    words = [str(word) for word in command]
    try:
        return subprocess.run(words, cwd=TOP, env=environment(), capture_output=True, check=False).returncode == 0
    except OSError:
        return False
