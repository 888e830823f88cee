"""Another front end, or a widget's button, has its requests answered while a cell runs: in a subshell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.driver import Cell, LiveKernel

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]


class Subshell:
    """A second shell channel of a kernel."""

    def __init__(self, kernel: LiveKernel) -> None:
        self._kernel = kernel
        reply = self._send("control", "create_subshell_request", {}).wait_for(lambda cell: cell.reply).reply
        assert reply is not None
        self._name = reply["subshell_id"]

    def run(self, code: str) -> Cell:
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        return self._send("shell", "execute_request", content).wait()

    def _send(self, channel: str, msg_type: str, content: dict[str, object]) -> Cell:
        client = self._kernel.client
        message = client.session.msg(msg_type, content)
        if channel == "shell":
            message["header"]["subshell_id"] = self._name
        cell = self._kernel.watch(message["header"]["msg_id"])
        getattr(client, f"{channel}_channel").send(message)
        return cell


@pytest.fixture(scope="module")
def kernel() -> Iterator[LiveKernel]:
    with LiveKernel(workers=2) as kernel:
        code = "import time, pydist\ndef work():\n    print('at work', flush=True)\n    time.sleep(600)\n"
        assert kernel.run(code).status == "ok"
        yield kernel


def test_workers_are_shown_and_interrupted_while_a_cell_waits_for_them(kernel: LiveKernel) -> None:
    shell = Subshell(kernel)
    running = kernel.begin("pydist.remotecall_fetch(work, 2)").wait_for_text("at work")
    table = shell.run("%workers")
    assert table.status == "ok"
    (shown,) = table.of_type("display_data", "execute_result")
    assert "busy" in shown["data"]["text/plain"]
    assert shell.run("%fetchfrom 3 6 * 7").result == "42"
    assert running.reply is None
    assert shell.run("%interrupt 2").status == "ok"
    assert "KeyboardInterrupt" in str(running.wait().error)
    assert kernel.evaluate("pydist.remotecall_fetch(abs, 2, -5)") == 5


def test_workers_are_added_restarted_and_removed_while_a_cell_runs(kernel: LiveKernel) -> None:
    shell = Subshell(kernel)
    running = kernel.begin("pydist.remotecall_fetch(work, 2)").wait_for_text("at work")
    assert shell.run("%addprocs 1").result == "[4]"
    assert shell.run("%restart 4").status == "ok"
    assert shell.run("%fetchfrom 4 pydist.myid()").result == "4"
    assert shell.run("%rmprocs 4").status == "ok"
    assert shell.run("%rmprocs 2 --waitfor 0.1").status == "ok"
    assert running.wait().status == "error"
    assert kernel.evaluate("pydist.workers()") == [3]
