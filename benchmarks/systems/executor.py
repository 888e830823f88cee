"""concurrent.futures.ProcessPoolExecutor, forking the calling process like the pool."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measure import main
from benchmarks.system import System


class Executor(System):
    name = "ProcessPoolExecutor"
    statement = "import concurrent.futures.process"
    addresses = False
    chunks: Sequence[int | None] = (50, 125, 250, 625, 1250)

    def start(self) -> None:
        fork = multiprocessing.get_context("fork")
        self.executor: Any = concurrent.futures.ProcessPoolExecutor(self.n, mp_context=fork)

    def stop(self) -> None:
        self.executor.shutdown()

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.executor.submit(f, x)

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        return list(self.executor.map(f, xs, chunksize=chunk or 1))


if __name__ == "__main__":
    main(Executor)
