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
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellPublisher", "HeldOutput", "LiveOutput", "Output", "TerminalOutput", "flush_streams"]

# " From worker 2:\t", " From worker 2 (host):\t": who wrote the text.
_WRITER = re.compile(r"\s*From worker (\d+)\b")
# What is held of one worker before it goes out anyway.
_HOLD = 256_000


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

    def display(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """Show a rich message."""

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

    def display(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """Write the plain text of it; a terminal cannot take anything back."""
        text = (content.get("data") or {}).get("text/plain")
        if msg_type == "display_data" and text:
            self.write("stdout", str(text).rstrip("\n") + "\n")

    def finish(self) -> None:
        """A terminal has one output area for ever."""


def flush_streams() -> None:
    """Have the cell's own streams sent, with whatever text of workers is in them."""
    for file in (sys.stdout, sys.stderr):
        file.flush()


class _KernelOutput:
    """What the two outputs of a kernel share."""

    def __init__(self, shell: InteractiveShell, publisher: CellPublisher) -> None:
        self._shell = shell
        self._publisher = publisher
        self._display_pub = shell.display_pub
        self._own_streams: dict[str, Any] = {"stdout": sys.stdout, "stderr": sys.stderr}
        self._running = True

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


class LiveOutput(_KernelOutput):
    """A cell in front of a person.

    While the cell runs, text goes through the cell's own ``sys.stdout``, in the context that the cell started with: so
    it stands in order with the cell's prints however fast the calls come, and is batched together with them. A message
    of its own for every call would be dropped by the notebook server, which takes a thousand a second.
    """

    def __init__(self, shell: InteractiveShell, publisher: CellPublisher, context: contextvars.Context) -> None:
        super().__init__(shell, publisher)
        self._context: contextvars.Context | None = context
        self._late: list[tuple[str, str]] = []
        self.pending = False

    def write(self, stream: str, text: str) -> None:
        """See `Output.write`."""
        if self._context is None:
            self._late.append((stream, text))
        else:
            self._context.run(getattr(sys, stream).write, text)
        self.pending = True

    def settle(self, pid: int | None) -> None:
        """The order is right already."""

    def flush(self) -> None:
        """See `Output.flush`."""
        self.send_late()
        if self._context is not None:
            flush_streams()

    def send_late(self) -> None:
        """Do the part of `flush` that never waits."""
        self.pending = False
        late, self._late = self._late, []
        for stream, text in _joined(late):
            self._publisher.stream(stream, text)

    def display(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """See `Output.display`."""
        self.flush()
        self._show(msg_type, content)

    def finish(self) -> None:
        """See `Output.finish`."""
        self.flush()
        self._running = False
        self._context = None


class HeldOutput(_KernelOutput):
    """A cell that runs without anybody looking on, in a notebook that is executed for its result.

    Such a run shall give the same bytes each time, so neither the clock nor the order in which workers happen to answer
    may decide. What a worker wrote is held until the cell itself writes or shows something, or ends; then all of it
    goes out, worker by worker.

    Args:
        shell: See `_KernelOutput`.
        publisher: See `_KernelOutput`.
        lock: Guards the outputs; the cell's prints come from outside of the router.
    """

    pending = False  # never for a clock

    def __init__(self, shell: InteractiveShell, publisher: CellPublisher, lock: AbstractContextManager[Any]) -> None:
        super().__init__(shell, publisher)
        self._held: dict[int, list[tuple[str, str]]] = {}
        self._sizes: dict[int, int] = {}
        self._lock = lock
        self._real = self._own_streams
        self._own_streams = {name: _StreamAfter(file, self._let_go) for name, file in self._real.items()}
        sys.stdout, sys.stderr = self._own_streams["stdout"], self._own_streams["stderr"]

    def write(self, stream: str, text: str) -> None:
        """See `Output.write`."""
        if (file := self._captured(stream)) is not None:
            file.write(text)
            return
        match = _WRITER.match(text)
        pid = int(match[1]) if match else 0
        self._held.setdefault(pid, []).append((stream, text))
        self._sizes[pid] = self._sizes.get(pid, 0) + len(text)
        if self._sizes[pid] > _HOLD:
            self.settle(pid)

    def settle(self, pid: int | None) -> None:
        """See `Output.settle`. Which worker answers first is chance, so nothing follows from an unnamed one."""
        if pid is not None:
            self._send([known for known in (0, pid) if known in self._held])

    def flush(self) -> None:
        """See `Output.flush`."""
        self._send(sorted(self._held))

    def send_late(self) -> None:
        """Nothing comes after the end: it goes into the next cell."""

    def _send(self, pids: list[int]) -> None:
        if not pids:
            return
        pieces = [piece for pid in pids for piece in self._held.pop(pid)]
        for pid in pids:
            del self._sizes[pid]
        self._flush_real()
        for stream, text in _joined(pieces):
            self._publisher.stream(stream, text)

    def _flush_real(self) -> None:
        for file in self._real.values():
            file.flush()

    def _let_go(self) -> None:
        if self._held:
            with self._lock:
                self.flush()

    def display(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """See `Output.display`."""
        self.flush()
        self._flush_real()
        self._show(msg_type, content)

    def finish(self) -> None:
        """See `Output.finish`."""
        self.flush()
        self._running = False
        for name, file in self._own_streams.items():
            if getattr(sys, name) is file:
                setattr(sys, name, self._real[name])


class _StreamAfter:
    """A stream of which each write comes after something else; all else is the stream's own."""

    def __init__(self, file: Any, first: Callable[[], None]) -> None:
        self._file = file
        self._first = first

    def write(self, text: str) -> Any:
        """Write text."""
        self._first()
        return self._file.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush; IPython does so before it shows anything."""
        self._first()
        self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join the texts that follow each other on one stream."""
    joined: list[tuple[str, list[str]]] = []
    for stream, text in pieces:
        if not joined or joined[-1][0] != stream:
            joined.append((stream, []))
        joined[-1][1].append(text)
    return [(stream, "".join(texts)) for stream, texts in joined]
