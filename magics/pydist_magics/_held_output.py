"""The output area of a cell that nobody looks at while it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pydist_magics._folding import Piece, folded
from pydist_magics._publisher import CellPublisher
from pydist_magics._streams import KernelOutput, join_texts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["HeldOutput"]

# " From worker 2:\t", " From worker 2 (host):\t": who wrote the text.
_WRITER = re.compile(r"\s*From worker (\d+)\b")
# What is held of one worker before it goes out anyway.
_HOLD = 256_000
# What a rich message counts as, so that a loop that shows something is seen to.
_RICH_SIZE = 2_000


class HeldOutput(KernelOutput):
    """A cell that runs without anybody looking on, in a notebook that is executed for its result.

    Such a run shall give the same bytes each time, so neither the clock nor the order in which workers happen to answer
    may decide. What a worker wrote is held until the cell itself writes or shows something, or ends; then all of it
    goes out, worker by worker.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        publisher: CellPublisher,
        lock: AbstractContextManager[Any],
        *,
        fold: bool = False,
        paced: bool = False,
    ) -> None:
        super().__init__(shell, publisher, lock)
        self._fold = fold
        self._paced = paced
        #: How often it has been said that workers write at the same time as the cell: then theirs comes later.
        self.together = 0
        self._overdue = False
        self.pending = False
        self._held: dict[int, list[Piece]] = {}
        self._sizes: dict[int, int] = {}

    def write(self, stream: str, text: str) -> None:
        """See `Output.write`."""
        if (file := self._captured(stream)) is not None:
            file.write(text)
            return
        match = _WRITER.match(text)
        self._hold(int(match[1]) if match else 0, (stream, text), len(text))

    def _hold(self, pid: int, piece: Piece, size: int) -> None:
        self._held.setdefault(pid, []).append(piece)
        self._sizes[pid] = self._sizes.get(pid, 0) + size
        self.pending = self._paced
        if self._sizes[pid] > _HOLD and not self._unended:
            self._send([known for known in (0, pid) if known in self._held])

    def settle(self, pid: int | None) -> None:
        """See `Output.settle`. Which worker answers first is chance, so nothing follows from an unnamed one."""
        if pid is not None and not self._unended and not self._fold:
            self._send([known for known in (0, pid) if known in self._held])

    def flush(self) -> None:
        """See `Output.flush`."""
        self._send(sorted(self._held))

    def send_late(self) -> None:
        """Send what is held, if a clock is asked at all; late workers and an open line have until the next time."""
        self.pending = False
        if self._running and not self._overdue:
            self._overdue = self.pending = True
        else:
            self._overdue = False
            self.flush()

    def _send(self, pids: list[int]) -> None:
        if not pids:
            return
        held = {pid: self._held.pop(pid) for pid in pids}
        for pid in pids:
            del self._sizes[pid]
        self._flush_real()
        pieces = folded(held) if self._fold else [piece for pid in pids for piece in held[pid]]
        for kind, content in join_texts(pieces):
            if isinstance(content, str):
                self._publisher.stream(kind, content)
            else:
                self._show(kind, content)

    def _flush_real(self) -> None:
        for file in self._real.values():
            file.flush()

    def own_write(self, stream: str, text: str) -> Any:
        """Write what the cell itself prints, after what is held; but a line that it has begun ends first."""
        with self._lock:
            if not self.together and not (text == "\n" and stream in self._unended):
                self.flush()
            return self._write_through(stream, text)

    def own_flush(self, stream: str) -> None:
        """Flush a stream of the cell."""
        with self._lock:
            if not self.together:
                self.flush()
        self._real[stream].flush()

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0) -> None:
        """See `Output.display`."""
        if self._shell.display_pub is not self._display_pub and self._running:
            self._show(msg_type, content)  # the cell captures
        else:
            self._hold(pid, (msg_type, content), _RICH_SIZE)

    def finish(self) -> None:
        """See `Output.finish`."""
        self.flush()
        self._let_streams_go()
