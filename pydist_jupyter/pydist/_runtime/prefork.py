"""The helper process: imports once, forks often.

It is single-threaded on purpose: forking is safe then, and the death signal of its children follows the death of this
very thread. It leaves when the master's end of the control stream closes, and takes its children along.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from typing import Any

from pydist._protocol.handshake import proof

__all__ = ["main"]

_LENGTH = struct.Struct("<I")
_PR_SET_PDEATHSIG = 1
#: The system passes no more with one message.
_MOST_FDS = 253


def main(fd: int) -> None:
    """Serve the control stream ``fd`` until it closes."""
    _import()
    # The mask of the thread that started us is inherited, and a worker must hear its interrupts.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    control = socket.socket(fileno=fd)
    # SIGCHLD must interrupt the wait: a handler in Python's own style, waking through a pipe.
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What has been loaded stays: a collection in a worker would only write to pages that all share.
    gc.freeze()
    gc.enable()
    children: set[int] = set()
    try:
        while True:
            ready, _, _ = select.select([control.fileno(), read], [], [])
            if read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(read, 4096)
                _reap(control, children)
            if control.fileno() in ready:
                message, fds = _receive(control)
                if message is None:
                    return
                _fork_all(control, message, fds, children, (read, write))
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            _end_group(child)
        # Wait for them, so that whoever waits for this process knows that all are gone.
        for child in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _import() -> None:
    """Import, once for all forks, what a worker needs, but nothing that starts threads or reads the environment."""
    import importlib

    # By name: the names themselves are not wanted here.
    for name in ("pydist.worker", "cloudpickle.cloudpickle"):
        importlib.import_module(name)
    proof("", "", "", "")  # OpenSSL is loaded, and sets itself up, when it is first used


def _receive(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    try:
        head, ancillary, _, _ = control.recvmsg(_LENGTH.size, socket.CMSG_SPACE(_MOST_FDS * 4))
    except OSError:
        return None, []
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    data = head
    while head and len(data) < _LENGTH.size:
        head = control.recv(_LENGTH.size - len(data))
        data += head
    if not head:
        return None, []
    (size,) = _LENGTH.unpack(data)
    body = b""
    while len(body) < size:
        more = control.recv(size - len(body))
        if not more:
            return None, []
        body += more
    return json.loads(body), list(fds)


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _reap(control: socket.socket, children: set[int]) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        children.discard(pid)
        _end_group(pid)
        _tell(control, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _end_group(worker: int) -> None:
    """End what a worker has started and left, unless that has a session or group of its own.

    The number of a group is not given to another process as long as one of the group lives.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)


def _fork_all(
    control: socket.socket, message: dict[str, Any], fds: list[int], children: set[int], own: tuple[int, int]
) -> None:
    """Fork as many workers as were ordered; tell of each, in their order. After one that fails the rest fails."""
    failure = ""
    for i in range(message["workers"]):
        ticket, ends = message["first"] + i, fds[3 * i : 3 * i + 3]
        if len(ends) < 3:
            failure = failure or "could not fork a worker: too many open files"
        pid = 0
        if not failure:
            try:
                pid = _fork(control, message, ends, [*own, *fds[3 * i + 3 :]])
            except OSError as error:
                failure = f"could not fork a worker: {error.strerror}"
        for fd in ends:
            os.close(fd)
        if pid:
            children.add(pid)
            _tell(control, {"ticket": ticket, "forked": pid})
        else:
            _tell(control, {"ticket": ticket, "error": failure})


def _fork(control: socket.socket, message: dict[str, Any], ends: list[int], others: list[int]) -> int:
    """Fork a worker that owns ``ends`` and none of ``others``; return its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            control.close()
            for fd in others:
                os.close(fd)
            _become_worker(message, ends, parent)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def _become_worker(message: dict[str, Any], fds: list[int], parent: int) -> None:
    import pydist.worker

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    die_with_parent(parent)
    stream, write, read = fds
    os.dup2(write, 1)
    os.dup2(write, 2)
    os.close(write)
    os.environ.clear()
    os.environ.update(message["env"])
    sys.path[:] = message["path"]
    os.chdir(message["dir"])
    pydist.worker.serve(socket.socket(fileno=stream), message["cookie"], read)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux; elsewhere the end of the stream must do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
