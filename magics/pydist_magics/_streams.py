"""The streams of a cell that runs, watched: no text of a worker may get into a line of the cell."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pydist_magics._folding import Piece
from pydist_magics._publisher import CellPublisher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["KernelOutput", "flush_streams", "join_texts"]


def flush_streams() -> None:
    """Have the cell's own streams sent, with whatever text of workers is in them."""
    for file in (sys.stdout, sys.stderr):
        file.flush()


class KernelOutput:
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


class _WatchedStream:
    """A stream of a running cell; all but writing and flushing is the stream's own."""

    def __init__(self, name: str, file: Any, output: KernelOutput) -> None:
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


def join_texts(pieces: list[Piece]) -> list[Piece]:
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
