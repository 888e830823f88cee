"""An IPython kernel in a thread of a worker, for consoles: what runs on the worker's side of ``%attach``.

It shares the worker's ``__main__``. What it prints goes to the console, what calls print goes to their cells as ever:
which is which, the thread and the call tell. It listens to no signals, and nothing that a console asks ends the worker.

What IPython changes in a process of its own, this process is spared, for calls would see it: the environment, the ways
out in ``__main__``, ``input``, ``pdb``. Nor does the user's IPython configuration run here, which is for sessions.
"""

# ipykernel annotates only some of its functions.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import builtins
import getpass
import os
import sys
import threading
from collections.abc import Callable, Iterator
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
from pydist._worker_shell import show_figures

__all__ = ["open_kernel"]

#: So long may a kernel take to be there (seconds).
_PATIENCE = 60.0
_WAYS_OUT = ("exit", "quit")
#: What IPython would put into ``__main__`` and calls would take for Python's own.
_OF_PYTHON = (*_WAYS_OUT, "open")
#: Has an attribute ``console`` in the thread of the kernel.
_here = threading.local()


def _by_thread(usual: Callable[..., Any], console: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is ``console`` in the thread of the kernel, and ``usual`` in all others."""

    def function(*args: Any, **options: Any) -> Any:
        return (console if hasattr(_here, "console") else usual)(*args, **options)

    return function


class _WayOut:
    """``exit``: leaves the console; for calls it is what it has always been."""

    def __init__(self, usual: Any, leave: Callable[[], None]) -> None:
        self._call = _by_thread(usual, lambda *_, **__: leave())
        self._usual = usual

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)

    def __repr__(self) -> str:
        return repr(self._usual)


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

    def init_environment(self) -> None:
        """Leave the variables alone: programs that calls start have them."""

    def init_user_ns(self) -> None:
        """Give ``__main__`` what consoles need, and nothing that hides what is Python's or the user's."""
        shared, self.user_ns = self.user_ns, {}
        try:
            super().init_user_ns()
            names = self.user_ns
        finally:
            self.user_ns = shared
        for name in _OF_PYTHON:
            del names[name]
            self.user_ns_hidden.pop(name, None)
        shared.update(names)

    def init_builtins(self) -> None:
        """Have the ways out be those of Python for calls, while a console's cell runs too."""
        super().init_builtins()
        self.builtin_trap.auto_builtins.clear()
        for name in _WAYS_OUT:
            if (usual := getattr(builtins, name, None)) is not None:
                setattr(builtins, name, _WayOut(usual, self.ask_exit))

    def init_prefilter(self) -> None:
        """Know the ways out without brackets, which IPython looks for in ``__main__`` only."""
        super().init_prefilter()
        self.input_transformers_post.append(self._call_way_out)

    def _call_way_out(self, lines: list[str]) -> list[str]:
        text = "".join(lines).strip()
        return [f"{text}()\n"] if text in _WAYS_OUT and text not in self.user_ns else lines

    def enable_gui(self, gui: Any = None) -> None:
        """Let the console have its event loop; calls open no window."""
        if CURRENT_CALL.get() is None:
            super().enable_gui(gui)

    def payloadpage_page(self, strg: Any, *args: Any, **options: Any) -> None:
        """Page in the console; what a call looks up is written into its cell."""
        if CURRENT_CALL.get() is None:
            super().payloadpage_page(strg, *args, **options)
        else:
            print(strg["text/plain"] if isinstance(strg, dict) else strg)  # noqa: T201

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        if CURRENT_CALL.get() is None:
            super()._showtraceback(etype, evalue, stb)
        else:
            InteractiveShell._showtraceback(self, etype, evalue, stb)

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

    def share_input(self) -> None:
        """Have ``input`` ask the console in its own thread, and in all others be what it was."""
        builtins.input = _by_thread(builtins.input, self.raw_input)
        getpass.getpass = _by_thread(getpass.getpass, self.getpass)

    def _forward_input(self, allow_stdin: bool = False) -> None:
        self._allow_stdin = allow_stdin

    def _restore_input(self) -> None:
        pass

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

    def load_config_file(self, suppress_errors: bool | None = None) -> None:  # type: ignore[override]  # as IPython's
        """Read none: what a user has set up for sessions is not for the calls of a worker."""

    def init_pdb(self) -> None:
        """Leave ``pdb`` alone."""

    def init_path(self) -> None:
        """Modules are found as ever."""

    def init_gui_pylab(self) -> None:
        """Figures have a way already."""

    def init_extensions(self) -> None:
        """None is wanted."""

    def init_code(self) -> None:
        """Run no startup files."""

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
        _here.console = True
        names = vars(sys.modules["__main__"])
        hooks = sys.displayhook, sys.excepthook
        app = _App(kernel_class=_Kernel, connection_file=path, log_level=50, user_ns=names, config=config)
        app.initialize([])
        sys.displayhook, sys.excepthook = hooks
        assert app.shell is not None
        app.kernel.share_input()
        show_figures(app.shell)
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
