"""What a command leaves behind on this machine: processes, and names in shared memory (Linux)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


def parents() -> dict[int, int]:
    """Return the parent of each living process; zombies have ended, whether or not somebody has asked how."""
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # The name, in brackets, may hold anything; the state and the parent follow it.
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            if state not in b"ZX":
                found[int(stat.parent.name)] = int(parent)
    return found


def descendants(pid: int) -> list[int]:
    """Return the living processes below ``pid``, each after its parent."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def command_line(pid: int) -> str:
    """Return how ``pid`` was started, "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class SharedMemory:
    """The names in shared memory that a session of tests answers for.

    Nothing tells who has made a name. So a session answers for those that appear while it is the only one on this
    machine, and the others are nobody's: each session holds a shared lock on the folder for as long as it runs.

    Args:
        at_work: this is a session; else somebody who looks on.
        folder: where the names are.
    """

    def __init__(self, *, at_work: bool, folder: Path = SHARED_MEMORY) -> None:
        self._folder = folder
        self._at_work = at_work
        self._lock = os.open(folder, os.O_RDONLY) if folder.is_dir() else None
        self._share()

    def watch(self) -> Watch:
        """Begin to look for new names."""
        return Watch(self)

    def names(self) -> set[str]:
        """Return the names that there are."""
        return set() if self._lock is None else set(os.listdir(self._folder))

    def is_alone(self) -> bool:
        """Tell whether no other session is at work."""
        if self._lock is None:
            return True
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            self._share()
        return True

    def abandoned(self, names: set[str]) -> set[str]:
        """Return those of ``names`` that no living process has open or mapped: other programs have some, too."""
        return names.difference(self._used()) if names else names

    def _share(self) -> None:
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_SH if self._at_work else fcntl.LOCK_UN)

    def _used(self) -> Iterator[str]:
        start = f"{self._folder}/"
        for process in Path("/proc").glob("[0-9]*"):
            for path in _files(process):
                if path.startswith(start):
                    yield path[len(start) :].partition("/")[0]


class Watch:
    """What has appeared since this was made."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._alone = memory.is_alone()
        self._before = memory.names()

    def left(self) -> set[str]:
        """Return the names that have appeared, that nobody uses, and that nobody else can have made."""
        found = self._memory.abandoned(self._memory.names() - self._before)
        if not (found and self._alone and self._memory.is_alone()):
            return set()
        return found & self._memory.names()  # a semaphore has a name for the moment in which it is made


def _files(process: Path) -> Iterator[str]:
    """Yield the paths of what a process has mapped or open."""
    with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to look into
        for line in (process / "maps").read_text(errors="replace").splitlines():
            yield line.split(maxsplit=5)[-1]
        for link in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(link)
