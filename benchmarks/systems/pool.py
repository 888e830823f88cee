"""multiprocessing.Pool. It forks the calling process, which is not safe where threads run (in a notebook, say)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measure import main
from benchmarks.system import System


class Pool(System):
    name = "multiprocessing.Pool"
    statement = "import multiprocessing.pool"
    addresses = False
    chunks: Sequence[int | None] = (None, 50, 125, 250, 625, 1250)

    def start(self) -> None:
        self.pool: Any = multiprocessing.get_context("fork").Pool(self.n)

    def stop(self) -> None:
        self.pool.close()
        self.pool.join()

    def call(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.pool.apply(f, (x,))

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.pool.apply_async(f, (x,))

    def gather(self, handles: list[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        values: list[Any] = self.pool.map(f, xs, chunksize=chunk)
        return values

    def channel(self) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        # The queue that may be handed to any process; it lies in a process of its own.
        self.manager = multiprocessing.get_context("fork").Manager()
        queue = self.manager.Queue(10)
        return queue.put, queue.get


if __name__ == "__main__":
    main(Pool)
