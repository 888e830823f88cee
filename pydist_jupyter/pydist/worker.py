"""A worker process: what it does from its start on. A helper forks it, see _runtime/prefork.py."""

from __future__ import annotations

import functools
import os
import socket
import sys
import time
import types
from array import array
from collections.abc import Callable
from typing import Any

from pydist import _lazy_shell, _refs, _remote_channels
from pydist._runtime import keyboard, shield, sleeping
from pydist._runtime.current import set_default_node
from pydist._runtime.handshaking import accept
from pydist._runtime.joining import greet_peer, join, shared_memory
from pydist._runtime.lanes import MainLane
from pydist._runtime.node import Node
from pydist._runtime.output import STDERR, STDOUT, CallStream, output_frame

__all__ = ["serve"]

#: Threads of a worker take turns this often (seconds): a busy call delays the answer of another by no more.
_SWITCH_INTERVAL = 0.0003
#: A worker whose master does not finish the handshake within this time leaves.
_PATIENCE = 60.0


class _Output:
    """The output of a worker: the two streams, and the pipe below them."""

    def __init__(self, node: Node, pipe: int | None) -> None:
        self._node = node
        self._pipe = pipe
        self._count = array("i", [0])
        if pipe is not None:
            import fcntl  # not on Windows, where there is no such pipe
            import termios

            self._ioctl, self._unread = fcntl.ioctl, termios.FIONREAD
        self.later: Any = lambda: None
        #: Send what else waits: all of it at the end of a call, or what has waited for long enough.
        self.others: list[Callable[[bool], None]] = []
        self.streams = (CallStream(STDOUT, self._send, self._later), CallStream(STDERR, self._send, self._later))

    def _later(self) -> None:
        self.later()

    def _send(self, call: Any, number: int, text: str) -> None:
        connection = call.connection if call is not None else None
        if connection is None or connection.closed:
            master = self._node.peers.get(1)
            connection = None if master is None else master.connection
        if connection is not None:
            rid, origin = (call.rid, call.origin) if call is not None else (0, 0)
            try:
                connection.send(output_frame(rid, self._node.pid, origin, number, text))
            except EOFError:
                return

    def finish(self, call: Any, at_end: bool = True) -> None:
        """Send what a call has written."""
        for stream in self.streams:
            stream.finish(call, at_end)
        if at_end:
            for send in self.others:
                send(True)

    def send_lines(self) -> None:
        """Send the lines that wait for company."""
        for stream in self.streams:
            stream.flush_waiting()

    def flush(self) -> None:
        """Send what has waited for long enough."""
        self.send_lines()
        for send in self.others:
            send(False)

    def wrote_below(self) -> bool:
        """Say whether C code or a subprocess has written what the master has not read yet."""
        if self._pipe is None:
            return False
        self._ioctl(self._pipe, self._unread, self._count)
        return bool(self._count[0])


def serve(sock: socket.socket, cookie: str, pipe: int | None = None) -> None:
    """Be a worker of the master at the other end of ``sock``; never returns.

    Args:
        sock: the stream to the master.
        cookie: the cluster's secret.
        pipe: the reading end of this process's file descriptors 1 and 2, only to ask whether something is in it.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    _fresh_main()
    node = Node(0, cookie)
    listener, address = greet_peer(node)
    details = {
        "ospid": os.getpid(),
        "host": socket.gethostname(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "address": address,
        "started": time.time(),
    }
    welcome = accept(sock, cookie, details, _PATIENCE, functools.partial(shared_memory, node, sock))
    node.pid = int(welcome["pid"])
    set_default_node(node)
    node.on_exit = leave
    node.on_lost = _lost
    node.verbs.update({**_refs.VERBS, **_remote_channels.VERBS})
    output = _Output(node, pipe)
    node.output = output
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for the life of the process
    sys.stdout, sys.stderr = output.streams
    main = MainLane(node.lanes, node.reader, node.executor, output.flush)
    output.later = main.flush_soon
    sleeping.install()
    keyboard.install()
    _lazy_shell.install()
    shield.strike_again_if_swallowed()
    shield.install_for_lane(node.executor.cancel_all)
    join(node, sock, welcome, listener)
    main.run()


def _fresh_main() -> None:
    """Give the user's code a ``__main__`` of its own, free of what started this process."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main


def _lost(node: Node, connection: Any) -> None:
    if connection.pid == 1:
        leave()
    from pydist._errors import ProcessExitedException

    # Only the stream is known to be gone; the master will tell if it was the process.
    node.peers.detach(connection)
    node.fail_pending(connection, ProcessExitedException(connection.pid))


def leave() -> None:
    """End this process now, in the middle of whatever it does: nobody is there for it any more."""
    os._exit(0)
