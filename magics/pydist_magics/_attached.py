"""An IPython kernel in a thread of a worker, for consoles: what runs on the worker's side of ``%attach``.

It shares the worker's ``__main__``. What it prints goes to the console, what calls print goes to their cells as ever:
which is which, the thread and the call tell. It listens to no signals, and nothing that a console asks ends the worker.
"""

# ipykernel annotates only some of its functions.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipykernel.displayhook import ZMQDisplayHook
from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShell
from jupyter_core.paths import jupyter_runtime_dir
from traitlets import Any as AnyTrait, Type, default
from traitlets.config import Config

from pydist._displays import display_message, publish
from pydist._runtime.current import CURRENT_CALL
from pydist._runtime.shield import shield_of_this_thread, strike

__all__ = ["open_kernel"]

#: So long may a kernel take to be there (seconds).
_PATIENCE = 60.0


class _Divided:
    """A stream that writes elsewhere in the threads of the kernel."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual
        self._own = threading.local()

    def divert(self, stream: Any) -> None:
        """Have what this thread writes go to ``stream``."""
        self._own.stream = stream

    def _stream(self) -> Any:
        # A call of the kernel's own thread (a function that a console has called) has no cell to go to.
        return getattr(self._own, "stream", None) or self._usual

    def write(self, text: str) -> int:
        """Write where this thread writes."""
        return int(self._stream().write(text) or 0)

    def flush(self) -> None:
        """Flush it."""
        self._stream().flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)


class _Publisher(ZMQDisplayPublisher):
    """Shows what a call displays in the call's cell, and all else in the console."""

    def publish(self, data: dict[str, Any], metadata: Any = None, **options: Any) -> None:  # type: ignore[override]
        """Send a display message."""
        if CURRENT_CALL.get() is None:
            super().publish(data, metadata, **options)
            return
        msg_type = "update_display_data" if options.get("update") else "display_data"
        publish(msg_type, display_message(data, metadata, options.get("transient")))

    def clear_output(self, wait: bool = False) -> None:
        """Have the cell or the console cleared."""
        if CURRENT_CALL.get() is None:
            super().clear_output(wait)
        else:
            publish("clear_output", {"wait": wait})


class _Shell(ZMQInteractiveShell):
    display_pub_class = Type(_Publisher)  # type: ignore[mutable-override]

    def run_cell(self, *args: Any, **kwargs: Any) -> Any:
        """Run a cell that an interrupt can reach, in a sleep too."""
        shield = shield_of_this_thread()
        cell = object()
        shield.open(cell)
        self.kernel.running = shield, cell
        try:
            return super().run_cell(*args, **kwargs)
        finally:
            self.kernel.running = None
            shield.close()

    def ask_exit(self) -> None:
        """Let the console go; the kernel stays for the next one."""
        self.exit_now = False
        assert self.payload_manager is not None
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": True})


class _Kernel(IPythonKernel):
    implementation = "pydist-worker"
    shell_class = Type(_Shell)  # type: ignore[mutable-override]
    user_module = AnyTrait()
    running: Any = None

    @default("user_module")
    def _main(self) -> Any:
        return sys.modules["__main__"]

    def pre_handler_hook(self) -> None:
        """Leave the signals alone: they are the worker's."""

    def post_handler_hook(self) -> None:
        """Leave them alone."""

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        self._waiting = (asyncio.get_running_loop(), future)
        try:
            yield
        finally:
            self._waiting = None

    _waiting: Any = None

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Interrupt what the console runs. In the control thread."""
        waiting = self._waiting
        if waiting is not None:
            waiting[0].call_soon_threadsafe(waiting[1].cancel)
        elif (running := self.running) is not None:
            strike(*running)
        self._answer(stream, "interrupt_reply", {"status": "ok"}, parent, ident)

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Say yes and stay: a worker is ended by ``rmprocs``."""
        content = {"status": "ok", "restart": parent["content"].get("restart", False)}
        self._answer(stream, "shutdown_reply", content, parent, ident)

    def _answer(self, stream: Any, kind: str, content: dict[str, Any], parent: Any, ident: Any) -> None:
        assert self.session is not None
        self.session.send(stream, kind, content, parent, ident=ident)


class _App(IPKernelApp):
    """The application, without what belongs to a process of its own."""

    def init_signal(self) -> None:
        """Signals are the worker's."""

    def init_crash_handler(self) -> None:
        """And so are crashes."""

    def init_poller(self) -> None:
        """The worker knows by itself when its master has ended."""

    def init_io(self) -> None:
        """Take the output of this thread, and neither ``sys.stdout`` nor the file descriptors of the worker."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, _Divided):
                stream = _Divided(stream)
                setattr(sys, name, stream)
            stream.divert(OutStream(self.session, self.iopub_thread, name, watchfd=False))
        self.displayhook = ZMQDisplayHook(self.session, self.iopub_socket)

    def reset_io(self) -> None:
        """Nothing was taken."""


class _Attached:
    """The kernel of this process, once there is one."""

    lock = threading.Lock()
    path = ""


def open_kernel(pid: int) -> str:
    """Start the kernel in this process, if it has none yet; return the path of its connection file.

    Args:
        pid: the id of this worker, for the name of the file.

    Raises:
        RuntimeError: it did not start.
    """
    with _Attached.lock:
        if not _Attached.path:
            path = os.path.join(jupyter_runtime_dir(), f"kernel-pydist-worker-{pid}-{os.getpid()}.json")
            ready: list[BaseException | None] = []
            there = threading.Event()
            threading.Thread(
                target=_serve, args=(path, ready, there), name="pydist-attached-kernel", daemon=True
            ).start()
            if not there.wait(_PATIENCE):
                raise RuntimeError(f"the kernel of worker {pid} has not started within {_PATIENCE:g} seconds")
            if ready[0] is not None:
                raise RuntimeError(f"the kernel of worker {pid} does not start: {ready[0]}") from ready[0]
            _Attached.path = path
        return _Attached.path


def _serve(path: str, ready: list[BaseException | None], there: threading.Event) -> None:
    """Be the kernel, as long as the worker lives."""
    try:
        if InteractiveShell.initialized():  # the one that displays what calls show; ours does that from now on
            type(InteractiveShell.instance()).clear_instance()
        asyncio.set_event_loop(asyncio.new_event_loop())
        config = Config()
        config.HistoryManager.hist_file = ":memory:"
        names = vars(sys.modules["__main__"])
        before = set(names)
        hooks = sys.displayhook, sys.excepthook
        app = _App(kernel_class=_Kernel, connection_file=path, log_level=50, user_ns=names, config=config)
        app.initialize([])
        sys.displayhook, sys.excepthook = hooks
        assert app.shell is not None
        for name in before:  # what was there before the console is the user's own, and %who shows it
            app.shell.user_ns_hidden.pop(name, None)
    except BaseException as error:
        ready.append(error)
        there.set()
        return

    def tell() -> None:
        ready.append(None)
        there.set()

    # The kernel answers when its loop runs; only then is it there.
    asyncio.get_event_loop().call_soon(tell)
    app.start()
