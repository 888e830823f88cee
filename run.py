#!/usr/bin/env python3
"""Set everything up and do the job, or the tests, on a machine that has only Python and git.

    python3 run.py job                 run the first notebook on four workers, leave an html file
    python3 run.py test                every check: style, types, imports, all tests
    python3 run.py test ARGUMENTS      only pytest, with these arguments
    python3 run.py lint                style, types and imports
    python3 run.py versions [PYTHON]   tests of kernel and magics on the oldest ipykernel and IPython, with that Python

The first use makes the virtual environment .venv beside this file and installs the project there; later ones find it.
Nothing but the standard library may be imported here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent
VENV = TOP / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
# What is installed in VENV, and from what: see ``fingerprint``.
STAMP = VENV / "pydist-installed.json"

OLDEST = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")

FOR_JOB = ("widgets", "examples")
FOR_VERSIONS = ("widgets", "examples", "test")
FOR_TEST = ("widgets", "examples", "test", "dev")

# The least that pyproject.toml asks for.
OLDEST_OF_JUPYTER = ("ipykernel==7.1.*", "ipython==9.0.*")

NOTEBOOK = Path("notebooks", "01-first-workers.ipynb")
HTML = Path("build", "first-workers.html")

# Tests without one of these marks are pure: no process, no network, no browser.
QUICK = "not (slow or processes or kernel or browser or hosts)"
REST = "slow or processes or kernel or browser or hosts"
NO_TESTS_COLLECTED = 5  # pytest's exit code

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


class SetupError(Exception):
    """A step of the set-up failed; the text is the sentence for the user."""


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
            return run_module("pytest", *rest) if rest else report({**lint(), **tests()})
        if command == "versions" and len(rest) <= 1:
            return versions(rest[0] if rest else sys.executable)
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


def tests() -> dict[str, int]:
    """Run the pure tests, which take seconds, and then those that start processes, kernels and browsers."""
    codes = {
        "quick tests": run_module("pytest", "-q", "-m", QUICK),
        "other tests": run_module("pytest", "-m", REST, "--durations=10"),
    }
    return {name: 0 if code == NO_TESTS_COLLECTED else code for name, code in codes.items()}


def versions(python: str) -> int:
    """Test kernel and magics on the oldest versions that are supported, in an environment that is removed again."""
    with tempfile.TemporaryDirectory(prefix="pydist-versions-") as folder:
        own = Path(folder, "venv", BIN.name, "python")
        say(f"making a virtual environment with {python}, {', '.join(OLDEST_OF_JUPYTER)}")
        run_quietly("it could not be made", python, "-m", "venv", own.parents[1])
        run_quietly(
            "the installation failed",
            own,
            "-m",
            "pip",
            "install",
            f"{TOP}[{','.join(FOR_VERSIONS)}]",
            *OLDEST_OF_JUPYTER,
        )
        # Tests that start `pydist` or `jupyter` by name are to find those of this environment, not those of .venv.
        return call(own, "-m", "pytest", "-q", "tests/kernel", "tests/magics", scripts=own.parent)


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


# The system's packages


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome that browser tests can drive."""
    named = os.environ.get("PYDIST_CHROMIUM", "")
    found = (shutil.which(name) for name in (named, *BROWSERS, MAC_CHROME) if name)
    return next((path for path in found if path), None)


def provide_chromium() -> None:
    """Install Chromium where that is one command, else say that its tests will be skipped."""
    if find_chromium() is None and can_apt() and is_debian():
        say("installing Chromium for the browser tests")
        try:
            apt_install("chromium", "fonts-liberation")
        except SetupError as error:
            say(str(error))
    if find_chromium() is None:
        say("no Chromium or Chrome found: the browser tests are skipped (PYDIST_CHROMIUM may name one)")


def can_apt() -> bool:
    """Tell whether packages can be installed without asking for a password."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def is_debian() -> bool:
    """Tell Debian from its relatives: Ubuntu's chromium package is a stub for a snap, useless in a container."""
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    return "ID=debian" in release.splitlines()


def apt_install(*packages: str) -> None:
    """Install Debian packages."""
    failure = f"apt-get could not install {' '.join(packages)}"
    run_quietly(failure, "apt-get", "-qq", "update")
    run_quietly(failure, "apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages)


# Processes


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


def run_module(name: str, *arguments: str) -> int:
    """Run a module with .venv's Python; return its exit code."""
    print(f"\n=== {name} {' '.join(arguments)}", flush=True)
    return call(BIN / "python", "-m", name, *arguments)


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


def is_new_enough(python: str | Path) -> bool:
    """Tell whether ``python`` starts and is one that the project supports."""
    return succeeds(python, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})")


def go_on_with_a_newer_python() -> None:
    """Start this script again with the first Python on PATH that is new enough."""
    for name in NEWER_NAMES:
        python = shutil.which(name)
        if python and is_new_enough(python):  # version managers leave names on PATH that start nothing
            os.execv(python, [python, *sys.argv])
    needed, found = ".".join(map(str, OLDEST)), sys.version.split()[0]
    sys.exit(f"run.py: Python {needed} or newer is needed; this is {found}, and there is no newer one on PATH")


def say(text: str) -> None:
    """Tell the user what goes on."""
    print(f"run.py: {text}", flush=True)


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        go_on_with_a_newer_python()
    sys.exit(main(sys.argv[1:]))
