"""What the workers are asked to do. Importable there, so every system sends it by name."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

__all__ = ["add_one", "get", "length", "make", "noop", "pull", "spin", "stop_spinning", "total", "who", "writeable"]

ITEMS = 10_000_000  # of 8 bytes: the 80 MB of the tables
_kept: dict[str, Any] = {}


def noop(x: Any) -> Any:
    return x


def who(x: Any = None) -> int:
    """Say which process this is, slowly enough that no worker of a pool can answer for another."""
    time.sleep(0.02)
    return os.getpid()


def total(numbers: Any) -> int:
    """Add numbers up: a loop of a user, as it is compiled into a chunk."""
    value = 0
    for i in numbers:
        value += i
    return value


def length(a: Any) -> int:
    return len(a)


def writeable(a: Any) -> bool:
    return bool(a.flags.writeable)


def add_one(a: Any) -> int:
    """Write to every element, into a copy where the system delivers memory that may not be written to."""
    if not a.flags.writeable:
        a = a.copy()
    a += 1
    return len(a)


def make(x: Any = None) -> bool:
    """Have 80 MB ready for `get`."""
    if "array" not in _kept:
        import numpy as np

        _kept["array"] = np.random.default_rng(1).random(ITEMS)
    return True


def get(x: Any = None) -> Any:
    make()
    return _kept["array"]


def pull(pid: int) -> int:
    """Fetch the 80 MB of another worker (pydist only)."""
    import pydist

    return len(pydist.remotecall_fetch(get, pid))


def spin(x: Any = None) -> bool:
    """Start a thread that computes and never lets go of the interpreter by itself."""
    stop = _kept["stop"] = threading.Event()
    threading.Thread(target=_compute, args=(stop,), daemon=True).start()
    return True


def _compute(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(1000))


def stop_spinning(x: Any = None) -> bool:
    _kept.pop("stop").set()
    return True
