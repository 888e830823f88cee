"""A soak of references: many Futures through several workers, and what is left of them.

    python -m benchmarks.soak [--references 100000] [--workers 4]

Ends with exit code 1 if a table is not empty, or if a process has grown by more than a few megabytes after the first
fifth of the way. Another part: 1,000 calls that block one worker, and a 1,001st that must not wait for them.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time

import pydist

#: References started at once.
ROUND = 500
#: Growth that is no leak: what allocators keep.
SLACK_MB = 8.0
LIMIT = 60.0


def pass_on(future: pydist.Future, pids: list[int], hops: int) -> object:
    """Hand a Future from worker to worker, and fetch it at the end of the way."""
    if not hops:
        return future.fetch(LIMIT)
    here = pids.index(pydist.myid())
    return pydist.fetchfrom(pids[(here + 1) % len(pids)], pass_on, future, pids, hops - 1)


def one_round(pids: list[int], start: int) -> None:
    """Start some calls; let some of their Futures travel, fetch some, drop the rest unfetched."""
    futures = [pydist.remotecall(divmod, pids[i % len(pids)], start + i, 7) for i in range(ROUND)]
    for i in range(0, ROUND, 50):
        value = pydist.fetchfrom(pids[(i // 50) % len(pids)], pass_on, futures[i], pids, 2)
        assert value == divmod(start + i, 7), value
    for i, future in enumerate(futures[: ROUND // 2]):
        assert future.fetch(LIMIT) == divmod(start + i, 7)


def held(pids: list[int]) -> list[int]:
    """Return how many references each process knows, the master first."""
    gc.collect()
    counts = [pydist.fetchfrom(pid, _count) for pid in pids]
    return [len(pydist.refs()), *counts]


def _count() -> int:
    gc.collect()
    return len(pydist.refs())


def held_in_the_end(pids: list[int]) -> list[int]:
    """Return the same once the last releases have arrived; they are sent by and by."""
    deadline = time.monotonic() + 5.0
    while any(counts := held(pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return counts


def memory() -> list[float]:
    """Return the resident memory of each process in MB, the master first."""
    return [(info.rss or 0) / 1e6 for info in pydist.worker_info()]


def references(pids: list[int], total: int) -> bool:
    """Run the soak; print a line for each fifth of it."""
    early: list[float] = []
    began = time.monotonic()
    for part in range(5):
        for start in range(part * total // 5, (part + 1) * total // 5, ROUND):
            one_round(pids, start)
        now = memory()
        early = early or now
        sizes = " ".join(f"{mb:.1f}" for mb in now)
        print(f"{(part + 1) * total // 5:>9,} references {time.monotonic() - began:6.1f} s   MB: {sizes}")
    left = held_in_the_end(pids)
    growth = max(late - first for first, late in zip(early, memory(), strict=True))
    print(f"references left: {left}; growth since the first fifth: {growth:.1f} MB")
    return not any(left) and growth < SLACK_MB


def blocked_calls(pid: int, count: int = 1000) -> bool:
    """Block one worker with many calls; time one more."""
    blocked = [pydist.remotecall(time.sleep, pid, LIMIT) for _ in range(count)]
    began = time.monotonic()
    answer = pydist.remotecall(pow, pid, 2, 10).fetch(LIMIT)
    took = time.monotonic() - began
    for future in blocked:
        future.cancel()
    for future in blocked:
        try:
            future.fetch(LIMIT)
        except KeyboardInterrupt:
            continue
    cancelled = time.monotonic() - began - took
    print(f"behind {count:,} blocked calls: an answer in {took:.3f} s; all cancelled in {cancelled:.2f} s")
    return bool(answer == 1024)


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--references", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    pids = pydist.addprocs(options.workers)
    good = references(pids, options.references)
    good = blocked_calls(pids[0]) and good
    pydist.rmprocs(pids)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
