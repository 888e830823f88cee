"""The output area of one cell, and how text of workers gets into it.

    TerminalOutput   a terminal or a plain process: written and done
    LiveOutput       a person looks on: at once, in order with the cell's own prints, at most ten messages a second
    HeldOutput       nobody looks on (nbclient, papermill): held for a while, in an order that no race decides

None of them locks; the router does.
"""

from __future__ import annotations

import contextvars
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from pydist_magics._folding import Piece, folded

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellPublisher", "HeldOutput", "LiveOutput", "Output", "TerminalOutput", "flush_streams"]

# " From worker 2:\t", " From worker 2 (host):\t": who wrote the text.
_WRITER = re.compile(r"\s*From worker (\d+)\b")
# What is held of one worker before it goes out anyway.
_HOLD = 256_000
# What a rich message counts as, so that a loop that shows something is seen to.
_RICH_SIZE = 2_000


class Output(Protocol):
    """Where a cell's output goes."""

    #: Text has been written that still waits for `flush`.
    pending: bool

    def write(self, stream: str, text: str) -> None:
        """Take whole lines; ``stream`` is ``"stdout"`` or ``"stderr"``."""

    def settle(self, pid: int | None) -> None:
        """A call on ``pid`` (None: on any worker) is done: its text must precede whatever the cell does next."""

    def flush(self) -> None:
        """Send all that has been written. May wait for the thread that sends, and so must not be called by it."""

    def send_late(self) -> None:
        """Send what never waits: the text that came after the cell's end."""

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0) -> None:
        """Show a rich message of worker ``pid``."""

    def finish(self) -> None:
        """The cell has ended; what comes from now on is late."""


class CellPublisher:
    """Sends messages to the output area of one cell, from any thread.

    ipykernel's own publishers find the cell through a context variable with a global to fall back on, and neither is
    right in a thread: versions differ in which cell they take, and a widget's message takes it away from both.
    """

    def __init__(self, kernel: Any, parent: Mapping[str, Any]) -> None:
        self._kernel = kernel
        # The header is all that a message needs of its parent; the rest would keep the code of every cell alive.
        self.parent = {"header": dict(parent.get("header") or {})}

    def stream(self, stream: str, text: str) -> None:
        """Send text."""
        self._send("stream", {"name": stream, "text": text}, b"stream." + stream.encode())

    def display(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """Send a rich message; ``content`` is that of a Jupyter message."""
        from ipykernel.jsonutil import encode_images, json_clean

        clean = dict(content)
        if msg_type != "clear_output":
            clean = {"data": encode_images(dict(content.get("data") or {})), "metadata": {}, "transient": {}}
            clean["metadata"] = content.get("metadata") or {}
            clean["transient"] = content.get("transient") or {}
        self._send(msg_type, json_clean(clean), b"display_data")

    def _send(self, msg_type: str, content: Mapping[str, Any], ident: bytes) -> None:
        kernel = self._kernel
        # This socket hands over to the thread that owns the real one: it is safe in threads and does not block.
        kernel.session.send(kernel.iopub_socket, msg_type, content, parent=self.parent, ident=ident)


class TerminalOutput:
    """A terminal, or any process without a kernel."""

    pending = False

    def write(self, stream: str, text: str) -> None:
        """See `Output.write`."""
        file = getattr(sys, stream)
        file.write(text)
        file.flush()

    def settle(self, pid: int | None) -> None:
        """Nothing waits."""

    def flush(self) -> None:
        """Nothing waits."""

    def send_late(self) -> None:
        """Nothing waits."""

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0) -> None:
        """Write the plain text of it; a terminal cannot take anything back."""
        text = (content.get("data") or {}).get("text/plain")
        if msg_type == "display_data" and text:
            writer = f" From worker {pid}:\t" if pid else ""
            self.write("stdout", "".join(f"{writer}{line}\n" for line in str(text).splitlines()))

    def finish(self) -> None:
        """A terminal has one output area for ever."""


def flush_streams() -> None:
    """Have the cell's own streams sent, with whatever text of workers is in them."""
    for file in (sys.stdout, sys.stderr):
        file.flush()


class _KernelOutput:
    """What the two outputs of a kernel share: the cell's own streams are watched while it runs.

    Args:
        shell: The shell of the cell.
        publisher: Sends to the cell's output area.
        lock: Guards the outputs; the cell's prints come from outside of the router.
    """

    def __init__(self, shell: InteractiveShell, publisher: CellPublisher, lock: AbstractContextManager[Any]) -> None:
        self._shell = shell
        self._publisher = publisher
        self._lock = lock
        self._display_pub = shell.display_pub
        self._running = True
        # The streams on which the cell's last line has not ended: no text of a worker may get into it.
        self._unended: set[str] = set()
        self._real = {"stdout": _unwatched(sys.stdout), "stderr": _unwatched(sys.stderr)}
        self._own_streams = {name: _WatchedStream(name, file, self) for name, file in self._real.items()}
        sys.stdout, sys.stderr = self._own_streams["stdout"], self._own_streams["stderr"]

    def own_write(self, stream: str, text: str) -> Any:
        """Write what the cell itself prints."""
        raise NotImplementedError

    def own_flush(self, stream: str) -> None:
        """Flush a stream for the cell; IPython does so before it shows anything."""
        raise NotImplementedError

    def _write_through(self, stream: str, text: str) -> Any:
        if text:
            (self._unended.discard if text[-1] == "\n" else self._unended.add)(stream)
        return self._real[stream].write(text)

    def _captured(self, stream: str) -> Any:
        """Return what the cell put in the place of a stream (``%%capture``, ``redirect_stdout``), if it did."""
        file = getattr(sys, stream)
        return file if self._running and file is not self._own_streams[stream] else None

    def _show(self, msg_type: str, content: Mapping[str, Any]) -> None:
        publisher: Any = self._shell.display_pub
        if not self._running or publisher is self._display_pub:
            self._publisher.display(msg_type, content)
        elif msg_type == "clear_output":
            publisher.clear_output(bool(content.get("wait")))
        else:
            publisher.publish(
                dict(content.get("data") or {}),
                dict(content.get("metadata") or {}),
                transient=dict(content.get("transient") or {}),
                update=msg_type == "update_display_data",
            )

    def _let_streams_go(self) -> None:
        self._running = False
        for name, file in self._own_streams.items():
            if getattr(sys, name) is file:
                setattr(sys, name, self._real[name])


class LiveOutput(_KernelOutput):
    """A cell in front of a person.

    While the cell runs, text goes through the cell's own ``sys.stdout``, in the context that the cell started with: so
    it stands in order with the cell's prints however fast the calls come, and is batched together with them. A message
    of its own for every call would be dropped by the notebook server, which takes a thousand a second.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        publisher: CellPublisher,
        lock: AbstractContextManager[Any],
        context: contextvars.Context,
    ) -> None:
        super().__init__(shell, publisher, lock)
        self._context: contextvars.Context | None = context
        self._thread = get_ident()
        self._late: list[tuple[str, str]] = []
        # Text that waits for the end of a line of the cell, and whether something may already follow from it.
        self._waiting: list[tuple[str, str]] = []
        self._due = False
        self._overdue = False
        # The newest update of each display: a loop can make more of them than a notebook server lets through.
        self._updates: dict[str, Mapping[str, Any]] = {}
        self.pending = False

    def write(self, stream: str, text: str) -> None:
        """See `Output.write`."""
        if self._context is None:
            self._late.append((stream, text))
        elif (self._waiting or stream in self._unended) and get_ident() != self._thread:
            # Perhaps in the middle of a `print`. (In the cell's own thread it cannot be.)
            self._waiting.append((stream, text))
        else:
            self._insert_waiting()
            self._insert(stream, text)
        self.pending = True

    def _insert(self, stream: str, text: str) -> None:
        assert self._context is not None
        self._context.run(getattr(sys, stream).write if self._captured(stream) else self._real[stream].write, text)

    def _insert_waiting(self) -> None:
        while self._waiting:
            self._insert(*self._waiting[0])
            del self._waiting[0]  # only now: an interrupt must not lose it
        self._due = self._overdue = False

    def own_write(self, stream: str, text: str) -> Any:
        """Write what the cell itself prints; what waits for the end of its line goes behind that."""
        with self._lock:
            if self._waiting and self._due and text[:1] != "\n":
                self._insert_waiting()  # no `print` is going on: the cell knows the result that came after this text
            written = self._write_through(stream, text)
            if self._waiting and stream not in self._unended:
                self._insert_waiting()
            return written

    def own_flush(self, stream: str) -> None:
        """Flush a stream of the cell."""
        self._real[stream].flush()

    def settle(self, pid: int | None) -> None:
        """See `Output.settle`."""
        self._due = True

    def flush(self) -> None:
        """See `Output.flush`."""
        self._insert_waiting()
        self.send_late()
        if self._context is not None:
            flush_streams()

    def send_late(self) -> None:
        """Do the part of `flush` that never waits; a line of the cell has until the next time to end."""
        self.pending = False
        if self._waiting and not self._overdue:
            self._overdue = self.pending = True
        else:
            self._insert_waiting()
        late, self._late = self._late, []
        for stream, text in _joined(late):
            self._publisher.stream(stream, text)
        updates, self._updates = self._updates, {}
        for content in updates.values():
            self._show("update_display_data", content)

    def display(self, msg_type: str, content: Mapping[str, Any], pid: int = 0) -> None:
        """See `Output.display`."""
        display_id = (content.get("transient") or {}).get("display_id")
        if msg_type == "update_display_data" and display_id:
            self._updates[display_id] = content
            self.pending = True
            return
        self.flush()
        self._show(msg_type, content)

    def finish(self) -> None:
        """See `Output.finish`."""
        self.flush()
        self._let_streams_go()
        self._context = None


class HeldOutput(_KernelOutput):
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
        for kind, content in _joined(pieces):
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


class _WatchedStream:
    """A stream of a running cell; all but writing and flushing is the stream's own."""

    def __init__(self, name: str, file: Any, output: _KernelOutput) -> None:
        self._name = name
        self.file = file
        self._output = output

    def write(self, text: str) -> Any:
        """Write text."""
        return self._output.own_write(self._name, text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush."""
        self._output.own_flush(self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _unwatched(file: Any) -> Any:
    """Return the stream itself: the watch of another cell that runs, or that a thread has kept, is not watched."""
    return file.file if isinstance(file, _WatchedStream) else file


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Join the texts that follow each other on one stream."""
    joined: list[tuple[str, Any]] = []
    for kind, content in pieces:
        if not isinstance(content, str):
            joined.append((kind, content))
        elif joined and joined[-1][0] == kind:
            joined[-1][1].append(content)
        else:
            joined.append((kind, [content]))
    return [(kind, "".join(content) if isinstance(content, list) else content) for kind, content in joined]
