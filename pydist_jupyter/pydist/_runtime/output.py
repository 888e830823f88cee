r"""What workers write, on its way to the cell that asked for it.

On a worker, ``sys.stdout`` and ``sys.stderr`` are `CallStream`s: text is kept per call and sent line by line as OUTPUT
frames on the stream on which the call came, so it arrives before the call's result. What C code and subprocesses write
goes to file descriptors 1 and 2, which are one pipe; the master reads its other end, so that it can be read when the
worker is dead or busy inside C.

On the master, the `Desk` puts the prefix `` From worker 2:\t`` in front of each line and hands it to the front end.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

from pydist import frontend
from pydist._protocol.frames import OUTPUT, Frame, pack
from pydist._runtime.current import CURRENT_CALL

if TYPE_CHECKING:
    from pydist._comm_messages import Update

__all__ = ["CallStream", "Desk", "TextBuffer"]

#: Lines are sent at once when the last ones went this long ago, else together with what follows.
_PAUSE = 0.01
#: A text this long is sent without waiting for anything.
FULL = 32 * 1024
#: What is kept of a worker's last words.
_LAST_LINES = 20

#: A line that overwrites itself is shown this often (seconds).
_STEP = 0.1

STDOUT, STDERR, RICH, COMM = 0, 1, 2, 3
#: Together with a stream's number: how the unended line, which overwrites itself, stands now.
MOVING = 4
_STREAMS = ("stdout", "stderr")


# ---- on the worker


class TextBuffer:
    """The unsent text of one call (or of no call) on one stream."""

    __slots__ = ("lock", "moved_at", "parts", "sent_at", "size")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.parts: list[str] = []
        self.size = 0
        self.sent_at = self.moved_at = 0.0

    def moved(self) -> str | None:
        """Drop what the unended line has overwritten; return how it stands if that is to be told.

        The caller holds `lock`.
        """
        text = "".join(self.parts)
        if "\n" in text or "\r" not in text:
            return None  # lines that end go first
        state = last_state(text)
        self.parts[:] = ["\r" + state, "\r" if text.endswith("\r") else ""]
        self.size = len(state) + 2
        now = monotonic()
        first = not self.moved_at  # it may be over in no time: then it is a line like others
        if not first and now - self.moved_at < _STEP:
            return None
        self.moved_at = now
        return None if first else state

    def take(self, everything: bool) -> str:
        """Return the text to send now: whole lines, or all of it with the last line ended. The caller holds `lock`."""
        text = "".join(self.parts)
        if everything or "\n" in text:
            self.moved_at = 0.0
        if everything:
            self.parts.clear()
            self.size = 0
            return text if not text or text.endswith("\n") else text + "\n"
        end = text.rfind("\n") + 1
        rest = text[end:]
        self.parts[:] = [rest] if rest else []
        self.size = len(rest)
        return text[:end]


class CallStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of a worker: knows which call is writing.

    Args:
        number: 0 for stdout, 1 for stderr.
        send: called with ``(call or None, number, text)``.
        later: called when text waits that the end of a call may not flush in time.
    """

    def __init__(self, number: int, send: Callable[[Any, int, str], None], later: Callable[[], None]) -> None:
        self._number = number
        self._send = send
        self._later = later
        self._loose = TextBuffer()
        self._waiting: dict[TextBuffer, Any] = {}

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the text on the wire."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override, mutable-override]
        """How characters are written that no encoding has."""
        return "backslashreplace"

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return False: nothing here moves a cursor."""
        return False

    def fileno(self) -> int:
        """Return the descriptor below, for subprocesses."""
        return self._number + 1

    def write(self, text: str) -> int:
        """Take text; whole lines go out at once, or in a few milliseconds together with the next."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not text:
            return 0
        call = CURRENT_CALL.get()
        buffer = self._loose
        if call is not None:
            if call.texts is None:
                call.texts = [None, None]
            buffer = call.texts[self._number] or TextBuffer()
            call.texts[self._number] = buffer
        ready = ""
        with buffer.lock:
            buffer.parts.append(text)
            buffer.size += len(text)
            if "\n" in text or buffer.size > FULL:
                now = monotonic()
                if now - buffer.sent_at > _PAUSE or buffer.size > FULL:
                    buffer.sent_at = now
                    ready = buffer.take(False)
                elif buffer not in self._waiting:
                    self._waiting[buffer] = call
                    self._later()
            if ready:
                self._send(call, self._number, ready)
            if "\r" in text and (state := buffer.moved()) is not None:
                self._send(call, self._number | MOVING, state)
        return len(text)

    def flush(self) -> None:
        """Do nothing: lines go out by themselves, and a part of a line cannot be shown beside other writers' lines."""

    def flush_waiting(self) -> None:
        """Send the lines that waited for company."""
        for buffer, call in list(self._waiting.items()):
            self._waiting.pop(buffer, None)
            with buffer.lock:
                buffer.sent_at = monotonic()
                text = buffer.take(False)
                if text:
                    self._send(call, self._number, text)

    def finish(self, call: Any, at_end: bool = True) -> None:
        """Send all that a call has written: it has ended, or shows something. Then a line that moves goes on."""
        buffer = call.texts[self._number] if call.texts is not None else None
        if buffer is not None:
            self._waiting.pop(buffer, None)
            with buffer.lock:
                text = buffer.take(at_end or "\r" not in "".join(buffer.parts).rpartition("\n")[2])
                if text:
                    self._send(call, self._number, text)


def output_frame(rid: int, pid: int, origin: int, number: int, text: str) -> bytes:
    """Return an OUTPUT frame."""
    return pack(OUTPUT, rid, text.encode("utf-8", "backslashreplace"), aux=pid, origin=origin, flags=number)


def rich_frame(rid: int, pid: int, origin: int, msg_type: str, content: Mapping[str, Any]) -> bytes:
    """Return an OUTPUT frame with a rich message; see `frontend.OutputRouter.display`."""
    return pack(OUTPUT, rid, pickle.dumps((msg_type, dict(content)), 5), aux=pid, origin=origin, flags=RICH)


def comm_frame(pid: int, origin: int, message: Update) -> bytes:
    """Return an OUTPUT frame with a message of a comm."""
    return pack(OUTPUT, 0, pickle.dumps(message, 5), aux=pid, origin=origin, flags=COMM)


def last_state(line: str) -> str:
    """Return what a line that overwrites itself shows in the end, as a terminal would."""
    return line.rstrip("\r").rpartition("\r")[2]


# ---- on the master


class Desk:
    """Where all worker output comes together: prefixed line by line, given to the front end, the last lines kept."""

    def __init__(self) -> None:
        self.hook: Callable[[int, str], str | None] | None = None
        self._last: dict[int, deque[str]] = {}
        #: The origin and the number of what each process was asked last.
        self._asked: dict[int, tuple[int, int]] = {}
        self._lock = threading.RLock()
        #: The origins for which something was handed over since the last `flush`.
        self.dirty: set[int] = set()
        # The displays of lines that overwrite themselves, by (pid, request, stream).
        self._moving: dict[tuple[int, int, int], str] = {}

    def text(self, pid: int, origin: int, number: int, text: str, rid: int = 0, call: int = 0) -> None:
        """Show text of worker ``pid``. ``rid`` tells writers apart, ``call`` is the call of this process that wrote."""
        lines = text.removesuffix("\n").split("\n")  # and at nothing else: a bar's \r is no end of a line
        if not text:
            return
        with self._lock:
            if display_id := self._moving.pop((pid, rid, number), ""):
                self._show_moving(pid, origin, display_id, lines.pop(0), "update_display_data")
            lines = [line for line in lines if not _is_wiped(line)]
            if not lines:
                return
            self._last.setdefault(pid, deque(maxlen=_LAST_LINES)).extend(lines[-_LAST_LINES:])
            shown = "".join(self._decorated(pid, line) + "\n" for line in lines)
            router = frontend.router()
            if router is not None:
                router.text(origin, _STREAMS[number], shown, call)
                self.dirty.add(origin)
            else:
                _write_plainly(sys.stdout if number == STDOUT else sys.stderr, shown)

    def frame(self, frame: Frame, sender: int) -> None:
        """Show an OUTPUT frame of worker ``sender``, or of one that this has called, by a number of its own."""
        call = frame.rid if frame.aux == sender else 0
        if frame.flags == RICH:
            msg_type, content = pickle.loads(frame.body)
            self.display(frame.aux, frame.origin, msg_type, content, call)
            return
        if frame.flags == COMM:
            relay = getattr(frontend.router(), "relay", None)
            if relay is not None:  # in a terminal there is nobody to talk to
                relay(frame.aux, pickle.loads(frame.body))
            return
        text = bytes(frame.body).decode("utf-8", "replace")
        if frame.flags & MOVING:
            self.moving(frame.aux, frame.origin, frame.flags & ~MOVING, text, frame.rid)
        else:
            self.text(frame.aux, frame.origin, frame.flags, text, frame.rid, call)

    def moving(self, pid: int, origin: int, number: int, line: str, rid: int) -> None:
        """Show how a line stands that overwrites itself, where it can be; its end comes as text in any case."""
        moves = getattr(frontend.router(), "moves", None)
        if moves is None or not moves(origin):
            return
        with self._lock:
            key = (pid, rid, number)
            kind = "update_display_data" if key in self._moving else "display_data"
            display_id = self._moving.setdefault(key, os.urandom(16).hex())
            self._show_moving(pid, origin, display_id, line, kind)

    def _show_moving(self, pid: int, origin: int, display_id: str, line: str, kind: str) -> None:
        text = self._decorated(pid, line) if last_state(line).strip() else ""
        content = {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": display_id}}
        self.display(pid, origin, kind, content)

    def below(self, pid: int, text: str) -> None:
        """Show what C code and programs of a worker wrote. For whom is not known: for what it was asked last."""
        origin, call = self._asked.get(pid, (0, 0))
        self.text(pid, origin, STDOUT, text, call=call)

    def display(self, pid: int, origin: int, msg_type: str, content: Mapping[str, Any], call: int = 0) -> None:
        """Show a rich message of worker ``pid``. What is text alone is shown as text, with its prefix."""
        data = content.get("data") or {}
        router = frontend.router()
        plain = set(data) == {"text/plain"} and not content.get("transient")
        if msg_type == "display_data" and (router is None or plain):
            self.text(pid, origin, STDOUT, f"{data.get('text/plain', '')}\n", call=call)
        elif router is not None:
            with self._lock:
                router.display(origin, pid, msg_type, content, call)
                self.dirty.add(origin)

    def flush(self) -> None:
        """Have shown what was handed over, before a result is delivered."""
        if self.dirty:
            with self._lock:
                origins, self.dirty = self.dirty, set()
                flush = getattr(frontend.router(), "flush", None)
                if flush is not None:
                    for origin in origins:
                        flush(origin)

    def last_output(self, pid: int) -> str:
        """Return the last lines of a worker."""
        with self._lock:
            return "\n".join(self._last.get(pid, ()))

    def asked(self, pid: int, origin: int, rid: int) -> None:
        """A request of this origin goes to ``pid``."""
        self._asked[pid] = origin, rid

    def latest_origin(self, pid: int) -> int:
        """Return the origin of the latest request to ``pid``; 0: there was none."""
        return self._asked.get(pid, (0, 0))[0]

    def notice(self, text: str, origin: int = 0) -> None:
        """Say something about the cluster itself, in the cell of ``origin`` or else in the running one."""
        router = frontend.router()
        if router is not None:
            router.text(origin or router.origin(), "stderr", text.rstrip() + "\n")
        else:
            _write_plainly(sys.stderr, text.rstrip() + "\n")

    def forget(self, pid: int) -> None:
        """The worker is gone for good."""
        with self._lock:
            self._last.pop(pid, None)
            self._moving = {key: value for key, value in self._moving.items() if key[0] != pid}

    def _decorated(self, pid: int, line: str) -> str:
        if self.hook is not None:
            try:
                told = self.hook(pid, line)
            except Exception:
                told = None  # a hook that fails loses nothing
            if told is not None:
                return told
        # What overwrites itself (a terminal's progress bar) is shown as it stood in the end.
        return f" From worker {pid}:\t{last_state(line)}"


def _is_wiped(line: str) -> bool:
    """Say whether a bar has written the line and wiped it in the end; a lone carriage return is Windows' line end."""
    return "\r" in line and line != "\r" and not last_state(line).strip()


def _write_plainly(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return  # nobody is there to read it
