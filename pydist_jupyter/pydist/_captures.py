"""``ipywidgets.Output`` on a worker: what is written and shown in its block goes into the widget, as a list of outputs.

In a kernel the front end does that by the id of the cell's request, and takes whatever else the cell shows meanwhile
along. Here each block takes its own, also while other calls of the same cell write.
"""

from __future__ import annotations

import sys
import threading
import traceback
import weakref
from collections.abc import Mapping
from time import monotonic
from types import ModuleType, TracebackType
from typing import Any

from IPython.core.getipython import get_ipython

from pydist._runtime.current import CAPTURE, Capture, current_node

__all__ = ["Recording", "enter"]

#: A widget shows what is new this often (seconds) at most.
PERIOD = 0.05
#: What is kept of a text (characters): its end.
LIMIT = 200_000
_DISPLAYS = ("display_data", "execute_result")


def enter(module: ModuleType) -> None:
    """Have the class `Output` of ``ipywidgets.widgets.widget_output`` take what is written in its blocks."""
    recordings: weakref.WeakKeyDictionary[Any, Recording] = weakref.WeakKeyDictionary()

    def open_block(widget: Any) -> None:
        _watch_streams()
        recording = recordings.get(widget)
        if recording is None:
            recording = recordings[widget] = Recording(widget)
        CAPTURE.set(Capture(recording.take, CAPTURE.get()))

    def close_block(
        widget: Any, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        shown = isinstance(error, Exception)
        if shown:
            _show_traceback(kind, error, trace)
        block = CAPTURE.get()
        CAPTURE.set(None if block is None else block.outer)
        recordings[widget].show()
        return shown  # as in a kernel: who has seen an error in the widget needs no other

    def flush(everything: bool) -> None:
        for recording in list(recordings.values()):
            recording.show(everything)

    own: Any = module.Output
    own.__enter__ = open_block
    own.__exit__ = close_block
    if (output := current_node().output) is not None:
        output.others.insert(0, flush)  # before what sends the traits


class Recording:
    """What has been written into one widget.

    Args:
        widget: has the trait ``outputs``.
    """

    def __init__(self, widget: Any) -> None:
        # Weak: this is kept as long as the widget is.
        self._widget = weakref.ref(widget)
        self._lock = threading.RLock()
        #: What the widget has, as far as this knows, and what it is to have, with the ids of displays.
        self._shown: Any = None
        self._outputs: list[dict[str, Any]] = []
        self._ids: list[str | None] = []
        self._clear_next = False
        self._changed = False
        self._shown_at = 0.0

    def take(self, msg_type: str, content: Mapping[str, Any]) -> bool:
        """Take a message, a ``"stream"``, a display, or ``"clear_output"``; return False if it belongs elsewhere."""
        widget = self._widget()
        if widget is None:
            return False
        with self._lock:
            if not self._changed and widget.outputs is not self._shown:
                self._begin_with(widget.outputs)
            display_id = (content.get("transient") or {}).get("display_id")
            if msg_type == "update_display_data" and display_id not in self._ids:
                return False
            if msg_type == "clear_output" and content.get("wait"):
                self._clear_next = True
                return True
            if msg_type == "clear_output" or self._clear_next:
                self._begin_with(())
            if msg_type == "stream":
                self._take_text(content["name"], content["text"])
            elif msg_type in _DISPLAYS:
                self._outputs.append(_output(content))
                self._ids.append(display_id)
            elif msg_type == "update_display_data":
                self._outputs = [
                    _output(content) if of == display_id else output
                    for of, output in zip(self._ids, self._outputs, strict=True)
                ]
            self._changed = True
            self.show(everything=False)
        return True

    def show(self, everything: bool = True) -> None:
        """Have the front end show it; not ``everything``: now if the last time was long enough ago, else soon."""
        with self._lock:
            widget = self._widget()
            if not self._changed or widget is None:
                return
            output = current_node().output
            if not everything and output is not None and monotonic() - self._shown_at < PERIOD:
                output.later()
                return
            self._changed = False
            self._shown_at = monotonic()
            # Copies: a trait tells of a change only if it sees one.
            widget.outputs = tuple(dict(output) for output in self._outputs)
            self._shown = widget.outputs

    def _begin_with(self, outputs: Any) -> None:
        """Somebody else has set what the widget shows, or it was cleared."""
        self._clear_next = False
        self._outputs = [dict(output) for output in outputs]
        self._ids = [None] * len(self._outputs)

    def _take_text(self, name: str, text: str) -> None:
        if not self._outputs or self._outputs[-1].get("name") != name:
            self._outputs.append({"output_type": "stream", "name": name, "text": ""})
            self._ids.append(None)
        last = self._outputs[-1]
        last["text"] = (last["text"] + text)[-LIMIT:]


def _output(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": dict(content.get("data") or {}),
        "metadata": dict(content.get("metadata") or {}),
    }


class _Stream:
    """A stream whose text goes where the running code's block says; all else is the stream's own."""

    def __init__(self, name: str, file: Any) -> None:
        self._name = name
        self._file = file

    def write(self, text: str) -> Any:
        """Write text."""
        block = CAPTURE.get()
        if block is not None and block.take("stream", {"name": self._name, "text": text}):
            return len(text)
        return self._file.write(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _watch_streams() -> None:
    for name in ("stdout", "stderr"):
        file = getattr(sys, name)
        if not isinstance(file, _Stream):
            setattr(sys, name, _Stream(name, file))


def _show_traceback(kind: Any, error: Any, trace: Any) -> None:
    shell = get_ipython()
    if shell is not None:
        shell.showtraceback((kind, error, trace), tb_offset=0)
    else:
        traceback.print_exception(error)
