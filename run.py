#!/usr/bin/env python3
"""Set everything up and do the job, or the tests, on a machine that has only Python and git.

    python3 run.py job                 run the first notebook on four workers, leave an html file
    python3 run.py test                every check: style, types, imports, all tests, some on other versions
    python3 run.py test ARGUMENTS      only pytest, with these arguments
    python3 run.py lint                style, types and imports
    python3 run.py versions            all tests but those of the browser on Python 3.11, with the oldest ipykernel and
                                       IPython, and on 3.12 and 3.13, with the newest
    python3 run.py versions PYTHON     the same on one Python (3.13, or a path), with the oldest and with the newest

The first use makes the virtual environment .venv beside this file and installs the project there; later ones find it.
Nothing but the standard library may be imported here.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from tools.processes import BIN, TOP, VENV, SetupError, call, run_module, run_quietly, run_script, say, succeeds
from tools.pythons import OLDEST, find_newer, find_python, is_new_enough
from tools.system import apt_install, can_apt, provide_chromium
from tools.versions import MATRIX, Versions, both_of, environments, run_tests

# What is installed in VENV, and from what: see ``fingerprint``.
STAMP = VENV / "pydist-installed.json"

FOR_JOB = ("widgets", "examples")
FOR_TEST = ("widgets", "examples", "test", "browser", "dev")

NOTEBOOK = Path("notebooks", "01-first-workers.ipynb")
HTML = Path("build", "first-workers.html")

# Tests without one of these marks are pure: no process, no network, no browser.
QUICK = "not (slow or processes or kernel or browser or hosts)"
REST = "slow or processes or kernel or browser or hosts"
NO_TESTS_COLLECTED = 5  # pytest's exit code

# On other versions of Python, ipykernel and IPython a browser sees nothing else.
ALL_ON_VERSIONS = (("-m", "not browser"),)
# What differs most with them, in less than two minutes for each: how kernels and shells work, what is pickled, how
# signals and threads end. `run.py versions` runs the rest.
SOME_ON_VERSIONS = (
    ("-m", QUICK),
    (
        *("-m", f"({REST}) and not browser"),
        *("tests/kernel/test_protocol.py", "tests/kernel/test_interrupts.py"),
        *("tests/kernel/test_interrupts_of_workers.py", "tests/kernel/test_shutdown.py"),
        *("tests/magics/test_kernels.py", "tests/magics/test_worker_text.py", "tests/magics/test_in_a_shell.py"),
        *("tests/core/test_calls.py", "tests/core/test_errors.py", "tests/core/test_pmap.py"),
    ),
)


def main(arguments: list[str]) -> int:
    """Do what ``arguments`` say and return the exit code."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        if command == "job" and not rest:
            prepare(FOR_JOB)
            return job()
        if command == "lint" and not rest:
            prepare(FOR_TEST)
            return report(lint())
        if command == "test":
            prepare(FOR_TEST)
            provide_chromium()
            return run_module("pytest", *rest) if rest else report(checks())
        if command == "versions" and len(rest) <= 1:
            if rest and not find_python(rest[0]):
                raise SetupError(f"there is no Python {rest[0]!r} that is new enough and can make virtual environments")
            return report(versions(both_of(rest[0]) if rest else MATRIX))
    except SetupError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print((__doc__ or "").strip())
    return 0 if command in ("-h", "--help") else 2


# What the commands do


def job() -> int:
    """Run the first notebook and say where its html lies."""
    if not (TOP / NOTEBOOK).is_file():
        raise SetupError(f"the notebook {NOTEBOOK} is not there: is this checkout complete?")
    say(f"running {NOTEBOOK} on 4 workers")
    code = call(BIN / "pydist", "run", NOTEBOOK, "-p", "4", "-o", HTML)
    if code == 0:
        say(f"done: open {TOP / HTML}")
    else:
        print(f"run.py: the notebook failed (exit code {code}); the message above says why", file=sys.stderr)
    return code


def lint() -> dict[str, int]:
    """Check style, types and imports; return the exit code of each tool."""
    return {
        "ruff check": run_module("ruff", "check", "."),
        "ruff format": run_module("ruff", "format", "--check", "."),
        "mypy": run_module("mypy"),
        "import-linter": run_script("lint-imports", "--no-logo"),
    }


def checks() -> dict[str, int]:
    """Check everything. The environments of the other versions are made meanwhile, and tested last."""
    with environments(MATRIX) as made:
        return {**lint(), **tests(), **run_tests(made, *SOME_ON_VERSIONS)}


def tests() -> dict[str, int]:
    """Run the pure tests, which take seconds, and then those that start processes, kernels and browsers."""
    codes = {
        "quick tests": run_module("pytest", "-q", "-m", QUICK),
        "other tests": run_module("pytest", "-m", REST, "--durations=10"),
    }
    return {name: 0 if code == NO_TESTS_COLLECTED else code for name, code in codes.items()}


def versions(wanted: tuple[Versions, ...]) -> dict[str, int]:
    """Run all tests on other versions, each in an environment that is removed again."""
    with environments(wanted) as made:
        return run_tests(made, *ALL_ON_VERSIONS)


def report(codes: dict[str, int]) -> int:
    """Say which of the checks failed."""
    failed = [name for name, code in codes.items() if code != 0]
    say("failed: " + ", ".join(failed) if failed else "all passed: " + ", ".join(codes))
    return 1 if failed else 0


# The virtual environment


def prepare(extras: tuple[str, ...]) -> None:
    """Make the virtual environment if it is missing, and install the project unless that was done before."""
    source = fingerprint()
    if not venv_works():
        make_venv()
    installed = read_stamp()
    have = set(installed.get("extras", []))
    if installed.get("source") == [source] and have.issuperset(extras):
        return
    wanted = sorted(have.union(extras))
    say(f"installing pydist-jupyter[{','.join(wanted)}] into .venv (a minute or two the first time)")
    STAMP.unlink(missing_ok=True)
    run_quietly(
        "pip could not install the project",
        *(BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--editable", f".[{','.join(wanted)}]"),
    )
    STAMP.write_text(json.dumps({"source": [source], "extras": wanted}), encoding="utf-8")


def fingerprint() -> str:
    """Digest what an installation depends on: its place, its dependencies, and the kernel's files, which it copies."""
    digest = hashlib.sha256(f"{TOP}\n".encode())
    spec = TOP / "kernel" / "pydist_kernel" / "spec"
    for path in [TOP / "pyproject.toml", *sorted(spec.glob("*"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def read_stamp() -> dict[str, list[str]]:
    """Return what the last installation noted, or nothing."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def venv_works() -> bool:
    """Tell whether .venv holds a Python that starts, is new enough, and has pip."""
    return is_new_enough(BIN / "python") and succeeds(BIN / "python", "-m", "pip", "--version")


def make_venv() -> None:
    """Make .venv, with pip in it, afresh."""
    say(f"making the virtual environment .venv with Python {sys.version.split()[0]}")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    # Debian and Ubuntu cut venv and pip out of their Python and put them into a package of its own.
    if not succeeds(sys.executable, "-c", "import ensurepip, venv"):
        if not can_apt():
            raise SetupError(
                "this Python cannot make virtual environments; on Debian and Ubuntu, "
                f"'sudo apt install python{version}-venv' mends that"
            )
        apt_install(f"python{version}-venv")
    run_quietly("the virtual environment could not be made", sys.executable, "-m", "venv", "--clear", VENV)


# Python itself


def go_on_with_a_newer_python() -> None:
    """Start this script again with the first Python on PATH that is new enough."""
    python = find_newer()
    if python:
        os.execv(python, [python, *sys.argv])
    needed, found = ".".join(map(str, OLDEST)), sys.version.split()[0]
    sys.exit(f"run.py: Python {needed} or newer is needed; this is {found}, and there is no newer one on PATH")


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        go_on_with_a_newer_python()
    sys.exit(main(sys.argv[1:]))
