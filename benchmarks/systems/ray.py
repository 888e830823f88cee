"""Ray: one actor for each worker. Its arrays are mapped, not copied, and may not be written to."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import work
from benchmarks.measure import main
from benchmarks.system import System


class Actor:
    """Does what it is told."""

    def do(self, f: Callable[[Any], Any], x: Any) -> Any:
        return f(x)


class Ray(System):
    name = "ray"
    statement = "import ray"

    def load(self) -> None:
        os.environ.update(
            RAY_DEDUP_LOGS="0", RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0"
        )  # as few words, and none to others
        self.ray = importlib.import_module("ray")

    def start(self) -> None:
        self.ray.init(
            num_cpus=self.n,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=2 << 30,
        )
        remote = self.ray.remote(num_cpus=1)(Actor)
        self.actors = [remote.remote() for _ in range(self.n)]

    def stop(self) -> None:
        self.ray.shutdown()

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.actors[worker].do.remote(f, x)

    def gather(self, handles: list[Any]) -> list[Any]:
        return list(self.ray.get(handles))

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        pool = importlib.import_module("ray.util").ActorPool(self.actors)
        return list(pool.map(lambda actor, x: actor.do.remote(f, x), list(xs)))

    def argument(self, f: Callable[[Any], Any], a: Any) -> Any:
        return self.call(0, f, self.ray.put(a))

    def broadcast(self, f: Callable[[Any], Any], a: Any) -> None:
        sent = self.ray.put(a)
        self.gather([self.submit(i, f, sent) for i in range(self.n)])

    def between(self) -> int:
        n: int = self.call(1, work.length, self.submit(0, work.get, 0))
        return n

    def channel(self) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        queue = importlib.import_module("ray.util.queue").Queue(maxsize=10, actor_options={"num_cpus": 0})
        return queue.put, queue.get

    def everywhere(self) -> None:
        self.gather([self.submit(i, work.noop, 0) for i in range(self.n)])


if __name__ == "__main__":
    main(Ray)
