"""ipyparallel: engines behind a hub and a scheduler."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks import work
from benchmarks.measure import main
from benchmarks.system import System


class Ipyparallel(System):
    name = "ipyparallel"
    statement = "import ipyparallel"
    chunks: Sequence[int | None] = (50, 250, 1250)

    def load(self) -> None:
        self.ipp = importlib.import_module("ipyparallel")

    def start(self) -> None:
        self.cluster = self.ipp.Cluster(n=self.n, log_level=logging.ERROR)
        self.client = self.cluster.start_and_connect_sync()
        self.client.wait_for_engines(self.n, timeout=120)
        self.all = self.client[:]
        self.views = [self.client[i] for i in range(self.n)]
        self.balanced = self.client.load_balanced_view()

    def stop(self) -> None:
        self.client.close()
        self.cluster.stop_cluster_sync()

    def call(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.views[worker].apply_sync(f, x)

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.views[worker].apply_async(f, x)

    def gather(self, handles: list[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        return list(self.balanced.map_sync(f, list(xs), chunksize=chunk or 1))

    def broadcast(self, f: Callable[[Any], Any], a: Any) -> None:
        self.all.apply_sync(f, a)

    def everywhere(self) -> None:
        self.all.execute("None", block=True)

    def pids(self) -> list[int]:
        return list(self.all.apply_sync(work.who))


if __name__ == "__main__":
    main(Ipyparallel)
