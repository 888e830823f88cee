"""What each process runs, and who differs. Imported on workers, so it imports no IPython."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping

from pydist_magics._tables import Table

__all__ = ["differences", "versions_here"]

# What travels is pickled by these, or made of them.
_PACKAGES = ("pydist-jupyter", "cloudpickle", "numpy", "pandas")


def versions_here() -> dict[str, str]:
    """Return the versions of this process, by name."""
    found = {
        "python": f"{platform.python_version()} ({sys.implementation.name})",
        "system": f"{platform.system()} {platform.machine()}",
        "host": platform.node(),
        "executable": sys.executable,
    }
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "-"
    return found


def differences(versions: Mapping[int, Mapping[str, str]]) -> Table:
    """Return a table with a column for this process, and one for each group of others that are alike.

    What differs from process 1 is marked with an asterisk.
    """
    master = versions[1]
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for pid, found in sorted(versions.items()):
        groups.setdefault(tuple(sorted(found.items())), []).append(pid)
    columns = [_named(pids) for pids in groups.values()]
    rows = [
        [name, *(_marked(dict(group).get(name, "-"), master[name], pids) for group, pids in groups.items())]
        for name in master
    ]
    return Table(["", *columns], rows)


def _named(pids: list[int]) -> str:
    from pydist_magics._drawing import id_ranges

    return f"process{'es' * (len(pids) > 1)} {id_ranges(pids)}"


def _marked(value: str, expected: str, pids: list[int]) -> str:
    return value if value == expected or 1 in pids else f"{value} *"
