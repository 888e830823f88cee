"""Messages of comms (Jupyter's word for the line between a widget's object and its picture), and their pace.

Nothing here knows where a message goes: a worker uses this on the way to the kernel, the kernel on the way to the front
end, where messages of all workers come together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

__all__ = ["CLOSE", "MESSAGE", "OPEN", "Outbox", "Update", "merged"]

OPEN, MESSAGE, CLOSE = "comm_open", "comm_msg", "comm_close"

#: Updates of one comm are sent this often (seconds) at most; what comes between is one message.
PERIOD = 0.05
#: So many updates of all comms together are sent within a period: a notebook server drops what exceeds a thousand
#: messages a second.
MOST = 25


class Update(NamedTuple):
    """One message of a comm, with what it takes to send it on.

    Attributes:
        kind: ``"comm_open"``, ``"comm_msg"`` or ``"comm_close"``.
        comm_id: which comm.
        data: what JSON can write.
        metadata: the same.
        buffers: binary data that ``data`` refers to.
        request: the header of the front end's message that this is an answer to; None: no answer.
        origin: the cell in which it was sent; see `pydist.frontend`.
        target: for ``"comm_open"``: the names of the target and of its module.
    """

    kind: str
    comm_id: str
    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    buffers: Sequence[bytes]
    request: Mapping[str, Any] | None = None
    origin: int = 0
    target: tuple[str, str | None] = ("", None)

    @property
    def is_update(self) -> bool:
        """Whether it sets traits of a widget and does nothing else."""
        return self.kind == MESSAGE and not self.metadata and self.data.get("method") == "update"


def merged(earlier: Update, later: Update) -> Update | None:
    """Return one message in the place of two that follow each other on a comm, or None if they cannot be one."""
    if not (earlier.is_update and later.is_update and earlier.comm_id == later.comm_id):
        return None
    state = later.data.get("state") or {}
    later_paths = later.data.get("buffer_paths") or []
    anew = {*state, *(path[0] for path in later_paths)}
    kept = [
        (path, buffer)
        for path, buffer in zip(earlier.data.get("buffer_paths") or [], earlier.buffers, strict=False)
        if path[0] not in anew
    ]
    old = {name: value for name, value in (earlier.data.get("state") or {}).items() if name not in anew}
    data = {
        **later.data,
        "state": {**old, **state},
        "buffer_paths": [*(path for path, _ in kept), *later_paths],
    }
    return later._replace(data=data, buffers=[*(buffer for _, buffer in kept), *later.buffers])


class Outbox:
    """Lets messages through in their order; updates of one comm that follow each other fast become one.

    Args:
        send: sends one message.
        later: called when something waits, so that `flush` shall be called in a while.
        period: seconds between two updates of one comm.
    """

    def __init__(self, send: Callable[[Update], None], later: Callable[[], None], period: float = PERIOD) -> None:
        self._send = send
        self._later = later
        self._period = period
        # A widget that is collected sends its end from wherever that happens, perhaps from in here.
        self._lock = threading.RLock()
        self._waiting: dict[str, Update] = {}
        self._sent_at: dict[str, float] = {}
        #: How many updates have been sent since when.
        self._passed, self._since = 0, 0.0

    def put(self, message: Update) -> None:
        """Send a message, now or soon."""
        with self._lock:
            if not message.is_update:
                self.flush()  # it may refer to what was set before
                if message.kind == CLOSE:
                    self._sent_at.pop(message.comm_id, None)
                self._send(message)
                return
            before = self._waiting.get(message.comm_id)
            if before is not None and before.request == message.request:
                self._waiting[message.comm_id] = merged(before, message) or message
                return
            if before is not None:
                self._pass(message.comm_id)
            self._waiting[message.comm_id] = message
            if self._is_due(message.comm_id, monotonic()):
                self._pass(message.comm_id)
            else:
                self._later()

    def flush(self, everything: bool = True) -> None:
        """Send what waits; not ``everything``: what has waited for long enough."""
        if not self._waiting:
            return
        with self._lock:
            now = monotonic()
            for comm_id in list(self._waiting):
                if everything or self._is_due(comm_id, now):
                    self._pass(comm_id)
            if self._waiting:
                self._later()

    def forget(self, comm_id: str) -> None:
        """The comm is gone; what waits of it is of no use."""
        with self._lock:
            self._waiting.pop(comm_id, None)
            self._sent_at.pop(comm_id, None)

    def _is_due(self, comm_id: str, now: float) -> bool:
        if now - self._since >= self._period:
            self._passed, self._since = 0, now
        return self._passed < MOST and now - self._sent_at.get(comm_id, 0.0) >= self._period

    def _pass(self, comm_id: str) -> None:
        message = self._waiting.pop(comm_id, None)
        if message is not None:
            self._sent_at[comm_id] = monotonic()
            self._passed += 1
            self._send(message)
