"""The floor: what the machine and the interpreter cost when nothing stands between them.

Calls are a ping-pong of pickles over a Unix socket pair with another Python process, arrays a memcpy within one.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import echo, work
from benchmarks.measure import main
from benchmarks.system import System

#: Numbers in a message. A pickle of more than 64 KB tells the length of its first part only.
_MOST = 4096


class Floor(System):
    name = "floor"
    #: Receives that do not block before the one that does, on both sides.
    tries = 0

    def start(self) -> None:
        self.socks: list[socket.socket] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.tails = [b""] * self.n
        self.answers: list[list[Any]] = [[] for _ in range(self.n)]
        self.spare: list[Any] = []
        for _ in range(self.n):
            ours, theirs = socket.socketpair()
            command = [sys.executable, echo.__file__, str(theirs.fileno()), str(self.tries)]
            with theirs:
                self.processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()]))
            self.socks.append(ours)

    def stop(self) -> None:
        for sock in self.socks:
            sock.close()
        for process in self.processes:
            process.wait()

    def call(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        sock = self.socks[worker]
        sock.send(pickle.dumps(((x,), {}), 5))
        return pickle.loads(echo.receive(sock, self.tries))[0]

    # ---- many in flight: each is sent by itself, answers are read as many as there are

    def submit(self, worker: int, f: Callable[[Any], Any], x: Any) -> Any:
        sock, data = self.socks[worker], pickle.dumps(((x,), {}), 5)
        while True:
            try:
                n = sock.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._read(worker)  # both would wait for each other otherwise
                continue
            if n == len(data):
                return worker
            data = data[n:]

    def gather(self, handles: list[Any]) -> list[Any]:
        for worker in range(self.n):
            expected = handles.count(worker)
            while len(self.answers[worker]) < expected:
                self._read(worker)
        streams = [iter(answers) for answers in self.answers]
        values = [next(streams[worker]) for worker in handles]
        self.answers = [[] for _ in range(self.n)]
        return values

    def _read(self, worker: int) -> None:
        received = echo.receive(self.socks[worker], self.tries)
        if not received:
            raise EOFError("the echo has ended")
        data = self.tails[worker] + received
        start = 0
        while len(data) - start >= echo.HEAD:
            end = start + echo.HEAD + int.from_bytes(data[start + 3 : start + echo.HEAD], "little")
            if end > len(data):
                break
            self.answers[worker] += pickle.loads(data[start:end])
            start = end
        self.tails[worker] = data[start:]

    def map(self, f: Callable[[Any], Any], xs: Iterable[Any], chunk: int | None) -> list[Any]:
        if chunk == 1:
            return self.gather([self.submit(i % self.n, f, x) for i, x in enumerate(xs)])
        items = list(xs)
        size = min(_MOST, -(-len(items) // self.n))
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        handles = [self.submit(i % self.n, f, part) for i, part in enumerate(parts)]
        return [x for part in self.gather(handles) for x in part]

    def loop(self, n: int) -> None:
        """Do one core's share of it, here; numbers of all sizes, as large ones take longer."""
        work.total(range(0, n, min(self.n, _usable_cpus())))

    # ---- arrays

    def argument(self, f: Callable[[Any], Any], a: Any) -> Any:
        return f(self._copy(0, a))

    def result(self) -> Any:
        return self._copy(0, self._copy(1, None))

    def between(self) -> int:
        return len(self.result())

    def broadcast(self, f: Callable[[Any], Any], a: Any) -> None:
        for worker in range(self.n):
            f(self._copy(worker, a))

    def _copy(self, worker: int, a: Any) -> Any:
        """Copy into memory that has been used before."""
        import numpy as np

        while len(self.spare) <= worker:
            self.spare.append(np.zeros(work.ITEMS))
        target = self.spare[worker]
        if a is not None:
            target = target[: len(a)]
            np.copyto(target, a)
        return target

    # ---- the rest

    def channel(self) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        """Go there twice for each item: to bring it, and to have it brought."""
        items: deque[Any] = deque()
        return (
            lambda x: items.append(self.call(0, work.noop, x)),
            lambda: self.call(0, work.noop, items.popleft()),
        )

    def everywhere(self) -> None:
        data = pickle.dumps(((None,), {}), 5)
        for sock in self.socks:
            sock.send(data)
        for sock in self.socks:
            pickle.loads(echo.receive(sock, self.tries))

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main(Floor)
