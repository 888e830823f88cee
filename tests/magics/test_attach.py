"""Consoles in workers: real kernels, and clients that come by the connection file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.magics.fronts import FrontEnd, kernels

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

PATIENCE = 60.0
WAIT = "import threading; gate = threading.Event()\nprint('waits')\nfound = gate.wait(60)"

kernel = kernels("plain", "ours", first=("import pydist",))


class Console:
    """A client of the kernel in a worker.

    Without ``stop_on_error=False`` an ipykernel refuses what arrives within a moment after the reply to a failed cell,
    and a client that sends its next request as soon as it has the reply is sometimes that fast.
    """

    def __init__(self, path: str) -> None:
        self._client = BlockingKernelClient(connection_file=path)
        self._client.load_connection_file()

    def __enter__(self) -> Self:
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()

    def run(self, code: str) -> tuple[str, Any]:
        """Run code; return what it has written, and its result or the name of its error."""
        written: list[str] = []
        result: list[Any] = [None]

        def see(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                written.append(content["text"])
            elif message["msg_type"] == "execute_result":
                result[0] = content["data"]["text/plain"]
            elif message["msg_type"] == "error":
                result[0] = content["ename"]

        answer = self._client.execute_interactive(
            code, output_hook=see, timeout=PATIENCE, allow_stdin=False, stop_on_error=False
        )
        assert answer["content"]["status"] != "aborted"
        return "".join(written), result[0]

    def begin(self, code: str, *, ask: bool = False) -> str:
        """Send code, and return its number; ``ask``: it may ask this console for input."""
        # A cell that fails would have the kernel give up, for a moment, what is asked next.
        return str(self._client.execute(code, allow_stdin=ask, stop_on_error=False))

    def answer(self, text: str) -> str:
        """Wait until the console is asked, and answer; return the question."""
        question = str(self._client.get_stdin_msg(timeout=PATIENCE)["content"]["prompt"])
        self._client.input(text)
        return question

    def reply(self, number: str) -> dict[str, Any]:
        """Wait for the reply to what was begun."""
        while True:
            message: dict[str, Any] = self._client.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"]["msg_id"] == number:
                content: dict[str, Any] = message["content"]
                return content

    def wait_for_text(self, text: str) -> None:
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return

    def ask_control(self, kind: str) -> str:
        """Send a request to the control channel, and return the kind of the reply."""
        message = self._client.session.msg(kind, {"restart": False} if kind == "shutdown_request" else {})
        self._client.control_channel.send(message)
        return str(self._client.get_control_msg(timeout=PATIENCE)["msg_type"])


def attach(kernel: FrontEnd, pid: int) -> str:
    cell = kernel.run(f"path = %attach {pid}\npath")
    assert cell.result is not None
    path = str(cell.result).strip("'")
    assert cell.stdout == f"{path}\njupyter console --existing {Path(path).name}\n"
    return path


def test_a_console_sees_the_worker_and_a_second_one_too(kernel: FrontEnd) -> None:
    kernel.run("%everywhere shared = 41")
    path = attach(kernel, 2)
    assert Path(path).stat().st_mode & 0o077 == 0
    with Console(path) as console:
        assert console.run("shared + 1") == ("", "42")
        assert console.run("import pydist\nprint('here')\npydist.myid()") == ("here\n", "2")
        assert console.run("made = 5\n1 / 0")[1] == "ZeroDivisionError"
        assert console.run("import asyncio\nawait asyncio.sleep(0, 'late')") == ("", "'late'")
        console.run("exit")
    assert attach(kernel, 2) == path
    with Console(path) as console:
        assert console.run("made") == ("", "5")
    assert kernel.run("%fetchfrom 2 made").result == "5"


def test_calls_go_on_while_a_console_computes_and_write_into_their_cells(kernel: FrontEnd) -> None:
    with Console(attach(kernel, 2)) as console:
        number = console.begin(WAIT)
        console.wait_for_text("waits")
        cell = kernel.run("%fetchfrom 2 [print('from a call'), gate.set()]")
        assert cell.stdout == " From worker 2:\tfrom a call\n"
        assert console.reply(number)["status"] == "ok"
        assert console.run("found") == ("", "True")


def test_what_a_call_displays_stays_in_its_cell(kernel: FrontEnd) -> None:
    kernel.run("from IPython.display import HTML, display")
    kernel.run("%fetchfrom 3 display(HTML('<b>before</b>'))")
    with Console(attach(kernel, 3)) as console:
        cell = kernel.run("%fetchfrom 3 display(HTML('<b>after</b>'))")
        (data,) = [m["content"]["data"] for m in cell.messages if m["msg_type"] == "display_data"]
        assert data["text/html"] == "<b>after</b>"
        assert console.run("get_ipython().__class__.__name__")[1] == "'_Shell'"


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time; time.sleep(600)", "import asyncio; await asyncio.sleep(60)"]
)
def test_a_console_can_interrupt_what_it_runs(code: str, kernel: FrontEnd) -> None:
    with Console(attach(kernel, 2)) as console:
        number = console.begin(f"print('begun', flush=True)\n{code}")
        console.wait_for_text("begun")
        assert console.ask_control("interrupt_request") == "interrupt_reply"
        assert console.reply(number)["status"] == "error"
        assert console.run("1 + 1") == ("", "2")


def test_no_console_ends_the_worker(kernel: FrontEnd) -> None:
    path = attach(kernel, 2)
    with Console(path) as console:
        assert console.ask_control("shutdown_request") == "shutdown_reply"
    assert kernel.run("pydist.fetchfrom(2, pydist.myid)").result == "2"
    with Console(path) as console:
        assert console.run("2 + 2") == ("", "4")


def test_exit_leaves_the_console_and_calls_have_what_they_had(kernel: FrontEnd) -> None:
    look = "__import__('builtins').exit, __import__('builtins').quit, {'exit', 'quit'} & set(globals())"
    look = f"print(pydist.remotecall_eval('__main__', 3, \"list(map(repr, [{look}]))\"))"
    before = kernel.run(look).stdout
    assert before.count("rmprocs(3) ends this worker") == 2
    assert "set()" in before
    path = attach(kernel, 3)
    assert kernel.run(look).stdout == before
    with Console(path) as console:
        for code in ("exit", "quit", "exit()", "quit()"):
            reply = console.reply(console.begin(code))
            assert [(one["source"], one["keepkernel"]) for one in reply["payload"]] == [("ask_exit", True)], (
                code,
                reply,
            )
        # While a console's cell runs, too.
        number = console.begin(WAIT)
        console.wait_for_text("waits")
        assert kernel.run(look).stdout == before
        cell = kernel.run("pydist.remotecall_eval('__main__', 3, 'exit()')")
        assert "SystemExit" in str([one["content"] for one in cell.messages])
        kernel.run("pydist.remotecall_eval('__main__', 3, 'gate.set()')")
        assert console.reply(number)["status"] == "ok"
    assert kernel.run("pydist.fetchfrom(3, pydist.myid)").result == "3"


def test_input_of_a_call_asks_no_console(kernel: FrontEnd) -> None:
    with Console(attach(kernel, 2)) as console:
        number = console.begin(WAIT, ask=True)
        console.wait_for_text("waits")
        cell = kernel.run("%fetchfrom 2 input('who? ')")
        assert "worker 2 has no keyboard: call input() in process 1" in str(cell.messages)
        kernel.run("%fetchfrom 2 gate.set()")
        assert console.reply(number)["status"] == "ok"
        number = console.begin("answer = input('who? ')", ask=True)
        assert console.answer("me") == "who? "
        assert console.reply(number)["status"] == "ok"
        assert console.run("answer") == ("", "'me'")


def test_what_a_call_looks_up_or_runs_shows_in_its_cell(kernel: FrontEnd) -> None:
    attach(kernel, 3)
    assert "Return the number of items in a container" in kernel.run("%%everywhere 3\n%pinfo len").stdout
    cell = kernel.run("%%everywhere 3\nget_ipython().safe_execfile('/nowhere.py', {})\n%run -n /nowhere.py")
    assert "nowhere.py" in cell.stdout + cell.stderr


def test_the_users_ipython_does_not_run_in_a_worker(tmp_path: Path) -> None:
    profile = tmp_path / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00-mine.py").write_text("import os\nfrom_startup = os.getpid()\n")
    (profile / "ipython_kernel_config.py").write_text("c.InteractiveShellApp.exec_lines = ['from_config = 1']\n")
    (profile / "ipython_config.py").write_text("c.InteractiveShell.ast_node_interactivity = 'none'\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path))
        with FrontEnd() as kernel:
            kernel.run("import os, pydist")
            assert kernel.run("print((from_startup == os.getpid(), from_config))").stdout == "(True, 1)\n"
            names = "{'from_startup', 'from_config', 'exit', 'quit', 'open'} & set(globals())"
            look = f"print(pydist.fetchfrom(2, lambda: [{names}, dict(os.environ)]) == before)"
            kernel.run(f"before = pydist.fetchfrom(2, lambda: [{names}, dict(os.environ)])")
            assert kernel.run("print(before[0])").stdout == "set()\n"
            kernel.run("path = %attach 2")
            assert kernel.run(look).stdout == "True\n"
            with Console(kernel.run("print(path)").stdout.strip()) as console:
                assert console.run("6 * 7") == ("", "42")


def test_the_file_goes_with_the_worker(kernel: FrontEnd) -> None:
    kernel.run("new = pydist.addprocs(1)[0]")
    cell = kernel.run("path = %attach new\npath")
    path = Path(str(cell.result).strip("'"))
    assert path.exists()
    kernel.run("pydist.rmprocs(new)")
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%attach", "it needs the id of one worker, as in %attach 2"),
        ("%attach 2 3", "it needs the id of one worker, as in %attach 2"),
        ("%attach all", "it needs the id of one worker, not all"),
        ("%attach 1", "process 1 is this kernel: %connect_info says how to attach a console to it"),
        ("%attach 99", "no process with id 99 exists"),
    ],
)
def test_a_slip_is_one_sentence(line: str, sentence: str, kernel: FrontEnd) -> None:
    cell = kernel.run(line)
    assert cell.stderr.startswith(f"UsageError: %attach: {sentence}")
    assert cell.stderr.count("\n") == 1
