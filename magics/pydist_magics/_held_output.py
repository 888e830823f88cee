"""The output area of a cell that nobody looks at while it runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pydist_magics._folding import Piece, folded
from pydist_magics._late_block import Writer
from pydist_magics._publisher import CellPublisher
from pydist_magics._streams import KernelOutput, join_texts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["HeldOutput", "writer_of"]

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
    goes out, worker by worker. What a call wrote that the cell has not waited for stays back: when it comes is chance.

    Args:
        shell: The shell of the cell.
        publisher: Sends to the cell's output area.
        lock: Guards the outputs.
        fold: Equal lines of several workers are to be one.
        paced: Text waits a moment only.
        unwaited: The numbers of the calls that the cell has not waited for, as it is at each moment.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        publisher: CellPublisher,
        lock: AbstractContextManager[Any],
        *,
        fold: bool = False,
        paced: bool = False,
        unwaited: Collection[int] = frozenset(),
    ) -> None:
        super().__init__(shell, publisher, lock)
        self._unwaited = unwaited
        self._aside: dict[Writer, list[Piece]] = {}
        self.fold = fold
        self.paced = paced
        #: How often it has been said that workers write at the same time as the cell: then theirs comes later.
        self.together = 0
        self._overdue = False
        self.pending = False
        self._held: dict[int, list[Piece]] = {}
        self._sizes: dict[int, int] = {}

    def write(self, stream: str, text: str, call: int = 0) -> None:
        """See `Output.write`."""
        if (file := self._captured(stream)) is not None:
            file.write(text)
        elif call in self._unwaited:
            self._put_aside((writer_of(text), call), (stream, text))
        else:
            self._hold(writer_of(text), (stream, text))

    def _hold(self, pid: int, piece: Piece) -> None:
        self._held.setdefault(pid, []).append(piece)
        size = len(piece[1]) if isinstance(piece[1], str) else _RICH_SIZE
        self._sizes[pid] = self._sizes.get(pid, 0) + size
        self.pending = self.paced
        if self._sizes[pid] > _HOLD and not self._unended:
            self._send([known for known in (0, pid) if known in self._held])

    def settle(self, pid: int | None) -> None:
        """See `Output.settle`. Which worker answers first is chance, so nothing follows from an unnamed one."""
        if pid is not None and not self._unended and not self.fold:
            self._send([known for known in (0, pid) if known in self._held])

    def flush(self) -> None:
        """See `Output.flush`."""
        self._take_in()
        self._send(sorted(self._held))

    def _take_in(self) -> None:
        """The calls that have been waited for are like others."""
        for writer in sorted(writer for writer in self._aside if writer[1] not in self._unwaited):
            for piece in self._aside.pop(writer):
                self._hold(writer[0], piece)

    def _put_aside(self, writer: Writer, piece: Piece) -> None:
        pieces = self._aside.setdefault(writer, [])
        if piece[0] == "update_display_data":  # a bar makes ten of them a second, and the newest counts
            display_id = _display_id(piece)
            pieces[:] = [other for other in pieces if other[0] != piece[0] or _display_id(other) != display_id]
        pieces.append(piece)

    def left(self) -> dict[Writer, list[Piece]]:
        """Return the text of calls that nobody has waited for, after `finish`."""
        return self._aside

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
        pieces = folded(held) if self.fold else [piece for pid in pids for piece in held[pid]]
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

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0, call: int = 0) -> None:
        """See `Output.display`."""
        if self._shell.display_pub is not self._display_pub and self._running:
            self._show(msg_type, content)  # the cell captures
        elif call in self._unwaited:
            self._put_aside((pid, call), (msg_type, content))
        else:
            self._hold(pid, (msg_type, content))

    def finish(self) -> None:
        """See `Output.finish`. Only text can wait: what is more than that is shown now."""
        self._take_in()
        for writer, pieces in sorted(self._aside.items()):
            for piece in pieces:
                if not isinstance(piece[1], str):
                    self._hold(writer[0], piece)
            pieces[:] = [piece for piece in pieces if isinstance(piece[1], str)]
        self.flush()
        self._let_streams_go()


def _display_id(piece: Piece) -> object:
    return (piece[1].get("transient") or {}).get("display_id")


def writer_of(text: str) -> int:
    """Return the worker that wrote lines, 0 if their prefix does not tell."""
    match = _WRITER.match(text)
    return int(match[1]) if match else 0
