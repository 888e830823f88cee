"""dask.distributed: a scheduler in the calling process, one worker process each with one thread."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import work
from benchmarks.measure import main
from benchmarks.system import System


class Dask(System):
    name = "dask.distributed"
    statement = "import distributed"

    def load(self) -> None:
        self.distributed = importlib.import_module("distributed")

    def start(self) -> None:
        config = importlib.import_module("dask").config
        config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        # 80 MB here and there are no reason to spill or to pause.
        config.set({f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause")})
        self.cluster = self.distributed.LocalCluster(
            n_workers=self.n, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        )
        self.client = self.distributed.Client(self.cluster)
        self.client.wait_for_workers(self.n)
        self.addresses_of = list(self.client.scheduler_info(n_workers=-1)["workers"])

    def stop(self) -> None:
        self.client.close()
        self.cluster.close()

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.client.submit(f, x, pure=False, workers=[self.addresses_of[worker]], allow_other_workers=False)

    def gather(self, handles: list[Any]) -> list[Any]:
        return list(self.client.gather(handles))

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        return self.gather(self.client.map(f, list(xs), pure=False))

    def argument(self, f: Callable[[Any], Any], a: Any) -> Any:
        sent = self.client.scatter(a, workers=[self.addresses_of[0]], hash=False)
        return self.submit(0, f, sent).result()

    def broadcast(self, f: Callable[[Any], Any], a: Any) -> None:
        sent = self.client.scatter(a, broadcast=True, hash=False)
        self.gather([self.submit(i, f, sent) for i in range(self.n)])

    def between(self) -> int:
        # A new name each time: what has once been brought over is kept there.
        held = self.submit(0, work.get, 0)
        n: int = self.submit(1, work.length, held).result()
        return n

    def channel(self) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        queue = self.distributed.Queue(maxsize=10, client=self.client)
        return queue.put, queue.get

    def everywhere(self) -> None:
        self.client.run(_nothing)

    def pids(self) -> list[int]:
        return list(self.client.run(os.getpid).values())


def _nothing() -> None:
    """Be the statement."""


if __name__ == "__main__":
    main(Dask)
