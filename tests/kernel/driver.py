"""A real kernel for tests, and all that it says.

    with LiveKernel(workers=2) as kernel:
        cell = kernel.begin("import time; time.sleep(60)")
        cell.wait_until_running()
        kernel.interrupt()
        assert cell.wait().error == "KeyboardInterrupt"

Each message is kept with the cell it belongs to, so a test may look at several cells at once. There is no thread: the
messages wait in the sockets until somebody waits for one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

__all__ = ["Cell", "LiveKernel", "Specs"]

# Much longer than anything takes, on a machine that does something else at the same time.
PATIENCE = 60.0

Message = dict[str, Any]


class Specs(KernelSpecManager):
    """Knows one kernel: the one of this interpreter, with these arguments."""

    def __init__(self, *arguments: str, module: str = "pydist_kernel") -> None:
        super().__init__()
        self._argv = [sys.executable, "-Xfrozen_modules=off", "-m", module, "-f", "{connection_file}", *arguments]

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(argv=self._argv, display_name=kernel_name, language="python", interrupt_mode="message")


class Cell:
    """A cell that was sent, and what the kernel says of it."""

    def __init__(self, receive: Callable[[float], None]) -> None:
        self._receive = receive
        self.messages: list[Message] = []
        self.reply: Message | None = None

    def wait_for(self, condition: Callable[[Cell], object], timeout: float = PATIENCE) -> Self:
        """Wait until ``condition(cell)`` holds."""
        end = time.monotonic() + timeout
        while not condition(self):
            if (left := end - time.monotonic()) <= 0:
                seen = [(message["msg_type"], message["content"]) for message in self.messages]
                raise TimeoutError(f"nothing more came after {seen}, reply {self.reply}")
            self._receive(left)
        return self

    def wait_until_running(self) -> Self:
        return self.wait_for(lambda cell: cell.of_type("execute_input"))

    def wait_for_text(self, text: str) -> Self:
        return self.wait_for(lambda cell: text in cell.stdout + cell.stderr)

    def wait(self, timeout: float = PATIENCE) -> Self:
        """Wait for the reply and the end of the output."""
        return self.wait_for(lambda cell: cell.reply is not None and cell.idle, timeout)

    def of_type(self, *kinds: str) -> list[Message]:
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    @property
    def idle(self) -> bool:
        return any(content["execution_state"] == "idle" for content in self.of_type("status"))

    @property
    def stdout(self) -> str:
        return "".join(content["text"] for content in self.of_type("stream") if content["name"] == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(content["text"] for content in self.of_type("stream") if content["name"] == "stderr")

    @property
    def result(self) -> str | None:
        results = self.of_type("execute_result")
        return results[-1]["data"]["text/plain"] if results else None

    @property
    def status(self) -> str | None:
        return None if self.reply is None else self.reply["status"]

    @property
    def error(self) -> str | None:
        """The name of the error, which reply and output must agree about."""
        shown = [content["ename"] for content in self.of_type("error")]
        replied = None if self.reply is None else self.reply.get("ename")
        assert shown == ([replied] if replied else []), (shown, replied)
        return replied


class LiveKernel:
    """A kernel in a process of its own, with a client that keeps everything."""

    def __init__(
        self,
        *arguments: str,
        workers: int | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        specs: KernelSpecManager | None = None,
        name: str = "pydist",
    ) -> None:
        if workers is not None:
            arguments = (*arguments, "--workers", str(workers))
        self.manager = KernelManager(kernel_name=name, kernel_spec_manager=specs or Specs(*arguments))
        self.client: BlockingKernelClient
        self._start = {"env": {**os.environ, **(environment or {})}, "cwd": str(folder) if folder else None}
        self._cells: dict[str, Cell] = {}

    def __enter__(self) -> Self:
        self.manager.start_kernel(**self._start)
        try:
            self._connect()
        except BaseException:
            self._end(now=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(now=kind is not None)

    @property
    def ospid(self) -> int:
        """The process id of the kernel."""
        pid: int = self.manager.provisioner.pid  # type: ignore[union-attr]
        return pid

    def begin(self, code: str, **options: Any) -> Cell:
        """Send a cell."""
        return self.watch(self.client.execute(code, **options))

    def run(self, code: str, **options: Any) -> Cell:
        """Send a cell, and wait until it is done."""
        return self.begin(code, **options).wait()

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, which a literal must be able to write."""
        import ast

        cell = self.run(expression)
        assert cell.status == "ok", (expression, cell.reply)
        return None if cell.result is None else ast.literal_eval(cell.result)

    def interrupt(self) -> Cell:
        """Press the button. What is returned has a reply once the kernel has heard it."""
        message = self.client.session.msg("interrupt_request", {})
        heard = self.watch(message["header"]["msg_id"])
        self.client.control_channel.send(message)
        return heard

    def watch(self, msg_id: str) -> Cell:
        """Keep what the kernel will say of a message that the test sends itself."""
        return self._cells.setdefault(msg_id, Cell(self._receive))

    def info(self) -> Message:
        """Ask what kernel this is."""
        answer = self.watch(self.client.kernel_info())
        reply = answer.wait_for(lambda cell: cell.reply is not None).reply
        assert reply is not None
        return reply

    def shut_down(self, *, restart: bool = False) -> None:
        """End the kernel as a front end does, or restart it."""
        if restart:
            self._disconnect()
            self.manager.restart_kernel()
            self._connect()
        else:
            self._end(now=False)

    def _connect(self) -> None:
        self._cells.clear()  # a new client numbers its messages from 1 again
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self._poller = zmq.Poller()
        for channel in (self.client.iopub_channel, self.client.shell_channel, self.client.control_channel):
            self._poller.register(channel.socket, zmq.POLLIN)

    def _receive(self, timeout: float) -> None:
        """Take what is there; wait for something if nothing is."""
        for socket, _ in self._poller.poll(int(timeout * 1000) + 1):
            _, message = self.client.session.recv(socket, mode=0)
            assert message is not None
            cell = self._cells.get(message["parent_header"].get("msg_id", ""))
            if cell is None:
                continue
            if message["msg_type"].endswith("_reply"):
                cell.reply = message["content"]
            else:
                cell.messages.append(message)

    def _disconnect(self) -> None:
        self.client.stop_channels()

    def _end(self, now: bool) -> None:
        if self.manager.has_kernel:
            self._disconnect()
            self.manager.shutdown_kernel(now=now)
        self.manager.cleanup_resources()
