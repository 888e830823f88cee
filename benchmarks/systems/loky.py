"""loky: joblib's executor, with workers that are started afresh and survive."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measure import main
from benchmarks.system import System


class Loky(System):
    name = "loky"
    statement = "import loky"
    addresses = False
    chunks: Sequence[int | None] = (50, 125, 250, 625, 1250)

    def load(self) -> None:
        self.loky = importlib.import_module("loky")

    def start(self) -> None:
        self.executor = self.loky.get_reusable_executor(self.n, timeout=None)

    def stop(self) -> None:
        self.executor.shutdown(wait=True)

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.executor.submit(f, x)

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        return list(self.executor.map(f, xs, chunksize=chunk or 1))


if __name__ == "__main__":
    main(Loky)
