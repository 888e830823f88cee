"""Where the output of workers goes: into the cell that started the call, if that is still possible.

    the cell runs                       there
    it has ended, the front end is live there all the same: JupyterLab shows it and saves it there
    it has ended, nobody looks on       text into the block that the cell has for it, see `_late_block`; anything else
                                        into the cell that runs now; if none does, kept until the next one starts

nbclient and papermill throw away what is sent for a cell that has ended, which is why there are two rules.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pydist.frontend
from pydist._comm_messages import Update
from pydist_magics._cells import Cell, Cells
from pydist_magics._held_output import HeldOutput, writer_of
from pydist_magics._late_block import LateBlock
from pydist_magics._live_output import LiveOutput
from pydist_magics._outlog import OutputLog
from pydist_magics._pacer import BRISK, Pacer
from pydist_magics._relay import Relay
from pydist_magics._streams import flush_streams

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Router"]

#: A page draws so much text (bytes) of a cell anew within some milliseconds.
_QUICKLY_DRAWN = 30_000


class Router:
    """The `pydist.frontend.OutputRouter` of a shell.

    Args:
        shell: The shell whose cells are followed.
        log: Counts the text, limits it and keeps it.
    """

    def __init__(self, shell: InteractiveShell, log: OutputLog | None = None) -> None:
        self.log = log or OutputLog()
        self._shell = shell
        self._lock = threading.RLock()
        self._cells = Cells(shell, self._lock)
        self._here: contextvars.ContextVar[int] = contextvars.ContextVar("pydist_origin", default=0)
        # The origin for threads that no cell has left its mark in, kept ready because each call asks for it.
        self._running_origin = 0
        self._kept: list[tuple[str, str, Mapping[str, Any] | None, int]] = []
        #: The cells in whose blocks text has come that they do not show yet.
        self._behind: dict[int, Cell] = {}
        self._pacer = Pacer(self._flush_pending)
        #: What was written since the last flush takes a page its time.
        self._slow = False
        self._relay = Relay(shell, self._destination, self._pacer.poke)
        self._forget_departures: Callable[[], None] | None = None

    # ---- the life of cells

    def attach(self) -> None:
        """Begin to follow the shell's cells, with the one that is running."""
        events = self._shell.events
        events.register("pre_run_cell", self._begin)
        events.register("post_run_cell", self._end)
        atexit.register(self.close)
        if self._cells.executing():
            self._begin()

    def detach(self) -> None:
        """Leave the shell alone."""
        events = self._shell.events
        events.unregister("pre_run_cell", self._begin)
        events.unregister("post_run_cell", self._end)
        atexit.unregister(self.close)
        self.close()
        if self._forget_departures is not None:
            self._forget_departures()
            self._forget_departures = None
        with self._lock:
            self._relay.close()

    def close(self) -> None:
        """Show what still waits: there will be no other cell."""
        self._pacer.stop()
        with self._lock:
            if self._cells.current is not None:
                self._cells.current.output.flush()
                self._update_blocks(self._cells.current)
            kept, self._kept = self._kept, []
            behind, self._behind = self._behind, {}
        texts = [text for _, text, _, _ in kept] + [
            cell.late.rest() for cell in behind.values() if cell.late is not None
        ]
        file = sys.__stderr__
        if file is not None:
            for text in texts:
                file.write(text)

    def _begin(self, info: object = None) -> None:
        with self._lock:
            cell = self._cells.begin()
            self._running_origin = cell.origin
            kept, self._kept = self._kept, []
            for stream, text, content, pid in kept:
                if content is None:
                    cell.output.write(stream, text)
                else:
                    cell.output.display(stream, content, pid)
            if kept:
                cell.output.flush()
            self._update_blocks(cell)
            self._relay.begin()
        self._here.set(cell.origin)

    def _end(self, result: object = None) -> None:
        with self._lock:
            self._relay.flush()
            cell = self._cells.end()
            current = self._cells.current
            self._running_origin = current.origin if current is not None else 0
            if cell is None:
                return
            cell.output.flush()
            if note := self.log.note(cell.origin):
                cell.output.write("stdout", note)
            cell.output.finish()
            self._update_blocks(cell)
            self._leave_block(cell)

    def _leave_block(self, cell: Cell) -> None:
        """Have a place for what the calls of a cell that ends will write, if they may."""
        output = cell.output
        if not isinstance(output, HeldOutput) or output.paced or cell.publisher is None:
            return
        leaves = pydist.frontend.leaves_calls(cell.origin)
        if leaves or output.left():
            flush_streams()  # it stands behind what the cell has printed
            cell.late = LateBlock(output.left(), fold=output.fold)
            cell.late.reserve(cell.publisher)

    def _update_blocks(self, running: Cell, *, now: bool = True) -> None:
        for cell in [*self._behind.values()]:
            assert cell.late is not None
            if running.publisher is not None:
                cell.late.update(running.publisher, now=now)
            if not cell.late.pending:
                del self._behind[cell.origin]

    # ---- what the runtime calls

    def origin(self) -> int:
        """See `pydist.frontend.OutputRouter.origin`."""
        # Before Python 3.14 a thread does not inherit the context of the cell that started it: the running cell it is.
        return self._here.get() or self._running_origin

    def text(self, origin: int, stream: str, text: str, call: int = 0) -> None:
        """See `pydist.frontend.OutputRouter.text`."""
        with self._lock:
            cell = self._cells.get(origin)
            if cell is not None and cell.late is not None:
                self._write_late(cell, cell.late, stream, text, call)
                return
            cell = self._destination(origin)
            owner = origin or (cell.origin if cell is not None else 0)
            visible = self.log.admit(owner, text)
            if cell is None or not cell.running:
                visible += self.log.note(owner, ended=False)
            if not visible:
                return
            if cell is None:
                self._kept.append((stream, visible, None, 0))
                return
            cell.output.write(stream, visible, call)
            paced = cell.output.pending
            # What waits for equal lines of other workers is to wait for its time.
            if self.log.shown(owner) > _QUICKLY_DRAWN or not isinstance(cell.output, LiveOutput):
                self._slow = True
        if paced:
            self._pacer.poke()

    def _write_late(self, cell: Cell, late: LateBlock, stream: str, text: str, call: int) -> None:
        visible = self.log.admit(cell.origin, text)
        if visible != text:
            late.note = self.log.left_out(cell.origin)
        late.write((writer_of(text), call), stream, visible)
        self._behind[cell.origin] = cell
        if self._cells.current is not None:
            self._pacer.poke()

    def display(self, origin: int, pid: int, msg_type: str, content: Mapping[str, Any], call: int = 0) -> None:
        """See `pydist.frontend.OutputRouter.display`."""
        paced = False
        with self._lock:
            cell = self._destination(origin)
            if msg_type == "update_display_data" and cell is not None and not cell.running:
                # The front end finds it by its id wherever it is, but a headless one hears only the running cell.
                cell = self._cells.current or cell
            if cell is not None:
                cell.output.display(msg_type, content, pid, call)
                paced = cell.output.pending
                self._slow = self._slow or paced
            elif msg_type != "clear_output":
                self._kept.append((msg_type, "", content, pid))
        if paced:
            self._pacer.poke()

    def relay(self, pid: int, message: Update) -> None:
        """See `pydist.frontend.OutputRouter`: without a kernel there is no front end."""
        if getattr(self._shell, "kernel", None) is None:
            return
        with self._lock:
            self._relay.take(pid, message)
            if self._forget_departures is None:
                self._forget_departures = pydist.frontend.on_departure(self._lose)

    def _lose(self, pid: int) -> None:
        with self._lock:
            self._relay.lose(pid)

    def moves(self, origin: int) -> bool:
        """See `pydist.frontend.OutputRouter`: in a terminal and for nobody, a line comes once, as it ends."""
        with self._lock:
            cell = self._destination(origin)
            return cell is not None and isinstance(cell.output, LiveOutput)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """See `pydist.frontend.together`."""
        with self._lock:
            cell = self._cells.get(self.origin())
            output = cell.output if cell is not None else None
            if isinstance(output, HeldOutput):
                output.together += 1
        try:
            yield
        finally:
            if isinstance(output, HeldOutput):
                with self._lock:
                    output.together -= 1

    def fold(self, wanted: bool) -> None:
        """Say whether cells that start from now on fold equal lines of several workers."""
        with self._lock:
            self._cells.fold = wanted

    def flush(self, origin: int, pid: int | None = None) -> None:
        """See to the order: a call of ``origin`` (on ``pid``, if that is known) is done, and its result is next."""
        with self._lock:
            cell = self._destination(origin)
            if cell is not None:
                cell.output.settle(pid)

    # ---- inside

    def _destination(self, origin: int) -> Cell | None:
        cell = self._cells.get(origin)
        if cell is not None and (cell.running or cell.live):
            return cell
        if self._cells.current is not None:
            return self._cells.current
        latest = self._cells.latest
        return latest if latest is not None and latest.live else None

    def _flush_pending(self) -> float | None:
        with self._lock:
            rest, self._slow = None if self._slow else BRISK, False
            for cell in self._cells.pending():
                cell.output.send_late()
                if cell.output.pending:
                    self._pacer.poke()
            self._relay.flush(everything=False)
            running = self._cells.current
            if running is not None:
                self._update_blocks(running, now=False)
                if self._behind:
                    self._pacer.poke()
        # This waits for the thread that sends, and the reader must not wait for it in `text`: so not under the lock.
        # What a cell has put in the place of its streams may be closed by now, or fail as it likes.
        if running is not None:
            with contextlib.suppress(Exception):
                flush_streams()
        return rest
