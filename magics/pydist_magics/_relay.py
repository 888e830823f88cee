"""Widgets that live in workers, between those workers and the front end.

For the front end they are the kernel's own: the kernel lists them, publishes what they say, and hears what is said to
them, which goes on to the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import comm
from comm.base_comm import BaseComm

import pydist.frontend
from pydist import _stand_ins
from pydist._comm_messages import CLOSE, MESSAGE, OPEN, Outbox, Update, merged
from pydist._runtime.imports import after_import

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from pydist_magics._cells import Cell

__all__ = ["Relay", "WorkerComm"]

#: The targets of ipywidgets: for a widget, and for a page that asks for all of them at once.
WIDGET, CONTROL = "jupyter.widget", "jupyter.widget.control"
#: A page that asks gets the widgets of the workers that answer within this time (seconds); it waits twice as long.
PATIENCE = 2.0


class WorkerComm(BaseComm):
    """The kernel's entry for a comm whose object lives in a worker.

    Attributes:
        worker: the worker's id.
        origin: the cell that has made it.
        can_be_disabled: it is a widget that can be greyed out.
    """

    def __init__(self, worker: int, message: Update) -> None:
        super().__init__(message.target[0], comm_id=message.comm_id, primary=False)
        self.worker = worker
        self.origin = message.origin
        self.can_be_disabled = (message.data.get("state") or {}).get("disabled") is False

    def handle_msg(self, msg: dict[str, Any]) -> None:
        """Give the worker what the front end says. Does not wait."""
        pydist.frontend.tell_comm(self.worker, self._carried(MESSAGE, msg))

    def handle_close(self, msg: dict[str, Any]) -> None:
        """Tell the worker that the front end has closed it."""
        pydist.frontend.tell_comm(self.worker, self._carried(CLOSE, msg))

    def _carried(self, kind: str, msg: Mapping[str, Any]) -> Update:
        data = msg["content"].get("data") or {}
        buffers = [bytes(buffer) for buffer in msg.get("buffers") or ()]
        header = dict(msg["header"])
        return Update(kind, self.comm_id, data, msg.get("metadata") or {}, buffers, header, self.origin)


class Relay:
    """The comms of all workers, for the kernel of a shell. The caller holds the router's lock.

    Args:
        shell: the shell.
        cell_of: returns the cell that a message of an origin belongs to, None if there is none now.
        later: called when something waits, so that `flush` shall be called in a while.
    """

    def __init__(
        self, shell: InteractiveShell, cell_of: Callable[[int], Cell | None], later: Callable[[], None]
    ) -> None:
        self._kernel: Any = getattr(shell, "kernel", None)
        self._cell_of = cell_of
        self._comms: dict[str, WorkerComm] = {}
        self._outbox = Outbox(self._send, later)
        self._kept: list[Update] = []
        if self._kernel is not None:
            _stand_ins.install()

    def take(self, worker: int, message: Update) -> None:
        """Publish a message of a worker."""
        if message.kind == OPEN:
            self._open(worker, message)
        elif message.comm_id not in self._comms:
            return  # the front end has closed it
        self._outbox.put(message)
        if message.kind == CLOSE:
            self._forget(message.comm_id)

    def flush(self, everything: bool = True) -> None:
        """Publish what waits; not ``everything``: what has waited for long enough."""
        self._outbox.flush(everything)

    def begin(self) -> None:
        """Publish what found no cell: one has begun."""
        kept, self._kept = self._kept, []
        for message in kept:
            self._send(message)

    def lose(self, worker: int) -> None:
        """The worker has ended: what is seen of its widgets stays, as something that nothing can be done with."""
        for comm_id in [key for key, one in self._comms.items() if one.worker == worker]:
            lost = self._comms[comm_id]
            self._forget(comm_id)
            cell = self._cell_of(lost.origin)
            if lost.target_name != WIDGET:
                self._send(Update(CLOSE, comm_id, {}, {}, (), origin=lost.origin))
            elif lost.can_be_disabled and cell is not None and cell.live:
                # Its end would take it from the page, and with it what it shows.
                data = {"method": "update", "state": {"disabled": True}, "buffer_paths": []}
                self._send(Update(MESSAGE, comm_id, data, {}, (), origin=lost.origin))

    def close(self) -> None:
        """Have the kernel know none of them any more."""
        for comm_id in list(self._comms):
            self._forget(comm_id)

    def _open(self, worker: int, message: Update) -> None:
        manager: Any = comm.get_comm_manager()
        if message.target[0] == WIDGET and not any(one.target_name == WIDGET for one in self._comms.values()):
            after_import("ipywidgets", self._answer_for_workers)
        self._comms[message.comm_id] = known = WorkerComm(worker, message)
        manager.register_comm(known)

    def _forget(self, comm_id: str) -> None:
        del self._comms[comm_id]
        self._outbox.forget(comm_id)
        manager: Any = comm.get_comm_manager()
        manager.comms.pop(comm_id, None)

    def _send(self, message: Update) -> None:
        if message.request is not None:
            parent: Mapping[str, Any] = {"header": message.request}
        else:
            cell = self._cell_of(message.origin)
            if cell is None or cell.publisher is None:
                self._keep(message)
                return
            parent = cell.publisher.parent
        content: dict[str, Any] = {"comm_id": message.comm_id, "data": message.data}
        if message.kind == OPEN:
            content |= {"target_name": message.target[0], "target_module": message.target[1]}
        # This socket hands over to the thread that owns the real one: it is safe in threads and does not block.
        self._kernel.session.send(
            self._kernel.iopub_socket,
            message.kind,
            content,
            metadata=dict(message.metadata),
            parent=parent,
            ident=f"comm-{message.comm_id}".encode(),
            buffers=list(message.buffers),
        )

    def _keep(self, message: Update) -> None:
        for index in range(len(self._kept) - 1, -1, -1):
            if self._kept[index].comm_id == message.comm_id:
                both = merged(self._kept[index], message)
                if both is not None:
                    self._kept[index] = both
                    return
                break
        self._kept.append(message)

    # ---- a page that is loaded again

    def _answer_for_workers(self, ipywidgets: ModuleType) -> None:
        """Have a page that asks for all widgets told of the workers' ones too.

        Without ipywidgets in this process nobody answers such a page, and it asks each comm that the kernel lists.
        """

        def open_control(control: Any, message: Any) -> None:
            ipywidgets.Widget.handle_control_comm_opened(control, message)
            control.send = partial(self._send_states, control.send)

        manager: Any = comm.get_comm_manager()
        manager.targets[CONTROL] = open_control

    def _send_states(
        self, send: Callable[..., None], data: Any = None, metadata: Any = None, buffers: Sequence[Any] | None = None
    ) -> None:
        if (data or {}).get("method") == "update_states":
            workers = sorted({one.worker for one in list(self._comms.values())})
            data, buffers = {**data, "states": dict(data["states"])}, list(buffers or ())
            data["buffer_paths"] = list(data.get("buffer_paths") or ())
            for states, paths, its_buffers in pydist.frontend.widget_states(workers, PATIENCE):
                data["states"].update(states)
                data["buffer_paths"] += paths
                buffers += its_buffers
        send(data, metadata, buffers)
