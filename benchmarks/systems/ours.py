"""pydist."""

from __future__ import annotations

import importlib.util
import operator
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import work
from benchmarks.measure import main
from benchmarks.system import NotOffered, System


class Pydist(System):
    name = "pydist"
    statement = "import pydist"

    def load(self) -> None:
        import pydist

        self.pydist: Any = pydist  # as Any: a name that is not there yet is a blank row, not an error of types

    def settle(self) -> None:
        """Load the extension, as a notebook does."""
        if importlib.util.find_spec("IPython") is None:
            return
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        self.pydist.load_ipython_extension(shell)

    def start(self) -> None:
        self.workers: list[int] = self.pydist.addprocs(self.n)

    def stop(self) -> None:
        self.pydist.rmprocs(self.workers)

    def call(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.pydist.remotecall_fetch(f, self.workers[worker], x)

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        return self.pydist.remotecall(f, self.workers[worker], x)

    def gather(self, handles: list[Any]) -> list[Any]:
        return [handle.fetch() for handle in handles]

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        values: list[Any] = self.pydist.pmap(f, xs, batch_size="auto" if chunk is None else chunk)
        return values

    def loop(self, n: int) -> None:
        from pydist._loops import distributed_chunks

        assert distributed_chunks(work.total, range(n), operator.add) == n * (n - 1) // 2

    def broadcast(self, f: Callable[[Any], Any], a: Any) -> None:
        # One statement for all, so that its objects are sent once.
        self.pydist.remotecall_eval("__main__", self.workers, "$f($a)")

    def between(self) -> int:
        n: int = self.pydist.remotecall_fetch(work.pull, self.workers[1], self.workers[0])
        return n

    def channel(self) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        if not hasattr(self.pydist, "RemoteChannel"):
            raise NotOffered
        pydist = self.pydist
        self.queue = pydist.RemoteChannel(lambda: pydist.Channel(10), self.workers[0])
        return self.queue.put, self.queue.take

    def everywhere(self) -> None:
        self.pydist.everywhere("None")

    def pids(self) -> list[int]:
        return [self.pydist.worker_info(pid).ospid for pid in self.workers]


if __name__ == "__main__":
    main(Pydist)
