"""Comms of a worker, relayed: widgets that live here are seen and moved in the front end.

    here       create_comm -> RelayedComm -> Outbox --OUTPUT--> process 1 -> front end
    front end  -> process 1 --COMM--> Inbox -> a lane of its own -> the comm's callback, and the traits' observers

The package ``comm`` asks whoever runs it for its comms; `enter` gives it these, right after its import. A process that
never imports it has nothing of this.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import date
from functools import partial
from numbers import Integral, Real
from threading import Lock
from types import ModuleType
from typing import Any

import comm
from comm.base_comm import BaseComm, CommManager

from pydist._comm_messages import CLOSE, OPEN, Outbox, Update, merged
from pydist._runtime.current import CURRENT_CALL, current_node
from pydist._runtime.node import Node
from pydist._runtime.output import comm_frame
from pydist._runtime.shield import shield_of_this_thread

__all__ = ["Comms", "Inbox", "RelayedComm", "enter", "plain", "share", "widget_states"]

_NOTHING: dict[str, Any] = {}


def enter(module: ModuleType, be_ready: Callable[[], object]) -> None:
    """Have the package ``comm`` make comms that are relayed.

    Args:
        module: the package.
        be_ready: called before a message of the front end is handled; gives the process its IPython shell.
    """
    node = current_node()
    node.comms = comms = Comms(node, module.get_comm_manager(), be_ready)
    own: Any = module
    own.create_comm = comms.create


def share(module: ModuleType) -> None:
    """Let a kernel that was started in this worker have comms of its own, beside those that are relayed.

    Args:
        module: ``ipykernel.ipkernel``. Its import has put functions of its own into the package ``comm``.
    """
    own: Any = comm
    relayed: Comms = current_node().comms
    manager, of_kernel = own.get_comm_manager(), own.create_comm
    manager.comms.update(relayed.manager.comms)
    manager.targets.update(relayed.manager.targets)
    relayed.manager = manager

    def create(*args: Any, **kwargs: Any) -> Any:
        return (of_kernel if CURRENT_CALL.get() is None else relayed.create)(*args, **kwargs)

    own.create_comm = create


class Comms:
    """The relayed comms of a worker.

    Args:
        node: this process.
        manager: knows all comms of this process.
        be_ready: called before a message of the front end is handled.

    Attributes:
        manager: as above.
        inbox: takes what the front end says.
    """

    def __init__(self, node: Node, manager: CommManager, be_ready: Callable[[], object]) -> None:
        self.manager = manager
        self._be_ready = be_ready
        self._relay = _Relay(node)
        self.inbox = Inbox(node, self._handle)

    def create(self, *args: Any, **kwargs: Any) -> RelayedComm:
        """Make a comm, as ``comm.create_comm`` does."""
        return RelayedComm(self._relay.put, *args, **kwargs)

    def states(self) -> tuple[dict[str, Any], list[list[Any]], list[bytes]]:
        """Return what `widget_states` does."""
        return widget_states()

    def _handle(self, message: Update) -> None:
        """Give a message of the front end to its comm."""
        if message.comm_id not in self.manager.comms:
            return  # closed here, while this was on its way
        self._be_ready()
        whole: dict[str, Any] = {
            "header": message.request,
            "parent_header": {},
            "metadata": dict(message.metadata),
            "content": {"comm_id": message.comm_id, "data": dict(message.data)},
            "buffers": [memoryview(buffer) for buffer in message.buffers],
        }
        token = self._relay.request.set(message.request)
        handle: Any = self.manager.comm_close if message.kind == CLOSE else self.manager.comm_msg
        try:
            handle(None, "", whole)
        finally:
            self._relay.request.reset(token)


class RelayedComm(BaseComm):
    """The worker's end of a comm.

    Args:
        put: takes what it says.
    """

    def __init__(self, put: Callable[[Update], None], *args: Any, **kwargs: Any) -> None:
        self._put = put
        super().__init__(*args, **kwargs)

    def publish_msg(
        self,
        msg_type: str,
        data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[Any] | None = None,
        **keys: Any,
    ) -> None:
        """Send a message to the front end.

        Raises:
            TypeError: JSON cannot write the data.
        """
        target = (keys.get("target_name") or "", keys.get("target_module")) if msg_type == OPEN else ("", None)
        binary = [memoryview(buffer).tobytes() for buffer in buffers or ()]
        self._put(
            Update(msg_type, self.comm_id, plain(data or _NOTHING), plain(metadata or _NOTHING), binary, target=target)
        )


class _Relay:
    """The way from here to process 1."""

    def __init__(self, node: Node) -> None:
        self._node = node
        #: The header of the message that is being handled: what is sent meanwhile is its answer.
        self.request: ContextVar[Mapping[str, Any] | None] = ContextVar("pydist_comm_request", default=None)
        self._outbox = Outbox(self._send, self._later)
        if node.output is not None:
            node.output.others.append(self._outbox.flush)

    def put(self, message: Update) -> None:
        """Send a message, after the lines that were written before."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            call, output = CURRENT_CALL.get(), self._node.output
            if call is not None:
                message = message._replace(origin=call.origin)
                if call.texts is None:
                    call.texts = [None, None]  # so that its end has sent what waits
            if output is not None:
                output.send_lines()
            self._outbox.put(message._replace(request=self.request.get()))
        finally:
            shield.lower()

    def _later(self) -> None:
        if self._node.output is not None:
            self._node.output.later()
        else:
            self._outbox.flush()

    def _send(self, message: Update) -> None:
        # Always on this stream, whoever has called: messages of a comm must not overtake each other.
        master = self._node.peers.get(1)
        if master is not None and master.connection is not None:
            with contextlib.suppress(EOFError):
                master.connection.send(comm_frame(self._node.pid, message.origin, message))


class Inbox:
    """What the front end says to the comms of this worker: handled one after the other, each for the cell of its comm.

    Args:
        node: this process.
        handle: handles one message.
    """

    def __init__(self, node: Node, handle: Callable[[Update], None]) -> None:
        self._node = node
        self._handle = handle
        self._lock = Lock()
        self._queue: deque[Update] = deque()
        self._busy = False

    def put(self, message: Update) -> None:
        """Take a message; in the reader's thread.

        What a slider says that is dragged while its observer works is one message, the last.
        """
        with self._lock:
            both = merged(self._queue[-1], message) if self._queue else None
            if both is not None:
                self._queue[-1] = both
            else:
                self._queue.append(message)
            if self._busy:
                return
            self._busy = True
        self._handle_next()

    def _handle_next(self) -> None:
        with self._lock:
            if not self._queue:
                self._busy = False
                return
            message = self._queue.popleft()
        self._node.executor.aside(partial(self._handle, message), message.origin, self._handle_next)


def widget_states() -> tuple[dict[str, Any], list[list[Any]], list[bytes]]:
    """Return the states of all widgets of this process as a front end wants them that begins anew.

    Returns:
        The states by model id, the places in them where buffers belong, and the buffers.
    """
    from ipywidgets import Widget

    states = Widget.get_manager_state(drop_defaults=False)["state"]
    paths: list[list[Any]] = []
    buffers: list[bytes] = []
    for model_id, model in states.items():
        for buffer in model.pop("buffers", ()):
            paths.append([model_id, "state", *buffer["path"]])
            buffers.append(base64.b64decode(buffer["data"]))
    return plain(states), paths, buffers


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON makes of the data: a copy, which process 1 can read whatever is installed there.

    Raises:
        TypeError: JSON cannot write it.

    >>> plain({"a": (1, 2), "b": {3}})
    {'a': [1, 2], 'b': [3]}
    """
    copy: dict[str, Any] = json.loads(json.dumps(data, default=_writable)) if data else {}
    return copy


def _writable(value: Any) -> Any:
    """Return something that JSON can write in the place of a value that it cannot, as Jupyter's messages do."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"a widget's front end takes what JSON can write, not an object of class {type(value).__name__!r}")
