"""The environment in which the peers are installed: their needs are none of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["DEFAULT", "install", "python_of", "versions"]

DEFAULT = Path(__file__).resolve().parents[1] / ".venv-peers"
PACKAGES = ("cloudpickle", "distributed", "ipyparallel", "loky", "numpy", "ray")


def python_of(folder: Path) -> Path | None:
    """Return the interpreter of the environment, None if there is none."""
    python = folder / "bin" / "python"
    return python if python.exists() else None


def install(folder: Path) -> None:
    """Make the environment, or bring it up to date; a peer that cannot be installed here is left out."""
    if python_of(folder) is None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")  # it lies beside the project, and is no part of it
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--upgrade",
    ]
    if subprocess.run([*pip, *PACKAGES], check=False).returncode == 0:
        return
    for package in PACKAGES:
        if subprocess.run([*pip, package], check=False).returncode != 0:
            print(f"{package} cannot be installed here: its column stays blank", file=sys.stderr)


def versions(python: Path) -> dict[str, str]:
    """Return the versions of what is installed there."""
    code = (
        "import importlib.metadata as m, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    out = subprocess.run([python, "-c", code, *PACKAGES], check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in out.splitlines())
