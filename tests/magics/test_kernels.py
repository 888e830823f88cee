"""Output of workers in real kernels, seen from the wire."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.magics.fronts import FrontEnd, kernels

if TYPE_CHECKING:
    from tests.kernel.driver import Cell

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

live = kernels("plain", "ours")
headless = kernels("plain headless", "ours headless")


def order(cell: Cell) -> list[str]:
    """Return what a cell shows, in order, its texts joined."""
    seen: list[str] = []
    for message in cell.messages:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            seen += content["text"].splitlines()
        elif kind in ("execute_result", "display_data"):
            seen.append(content["data"]["text/plain"])
    return seen


def check_order(kernel: FrontEnd) -> None:
    cell = kernel.run('print("a")\nx = %fetchfrom 2 print("w")\nprint("b")\n%fetchfrom 3 [print("v"), 7][1]')
    assert order(cell) == ["a", " From worker 2:\tw", "b", " From worker 3:\tv", "7"]


def test_text_stands_before_what_follows_the_call_live(live: FrontEnd) -> None:
    check_order(live)


def test_text_stands_before_what_follows_the_call_headless(headless: FrontEnd) -> None:
    check_order(headless)


def test_text_is_seen_while_the_call_goes_on(live: FrontEnd) -> None:
    cell = live.begin("import threading\n%fetchfrom 2 [print('on my way'), threading.Event().wait(60)]")
    cell.wait_for_text("on my way")
    assert cell.reply is None
    live.interrupt()
    cell.wait()


def test_text_is_seen_soon(live: FrontEnd) -> None:
    cell = live.run("import time\nt = %fetchfrom 2 [time.time(), print('now')][0]\nt")
    first = next(message for message in cell.messages if message["msg_type"] == "stream")
    assert cell.result is not None
    assert first["header"]["date"].timestamp() - float(cell.result) < 0.5


def test_a_call_that_outlives_its_cell_writes_into_it_live(live: FrontEnd) -> None:
    live.run("%everywhere import threading; gate = threading.Event()")
    late = live.run("f = %spawnat 2 [gate.wait(60), print('late')]")
    opener = live.run("%fetchfrom 2 gate.set()\n%fetch f")
    late.wait_for_text("late")
    assert opener.stdout == ""


def late_texts(late: Cell, *others: Cell) -> list[str]:
    """Return what a cell says of its block of late text, and others after it."""
    (block,) = late.of_type("display_data")
    updates = [content for cell in others for content in cell.of_type("update_display_data")]
    return [
        content["data"]["text/plain"]
        for content in (block, *updates)
        if content["transient"]["display_id"] == block["transient"]["display_id"]
    ]


def test_a_call_that_outlives_its_cell_writes_into_a_block_of_it_headless(headless: FrontEnd) -> None:
    headless.run("%everywhere import threading; gate = threading.Event()")
    late = headless.run("f = %spawnat 2 [print('early'), gate.wait(60), print('late'), 5][3]\nprint('own')")
    opener = headless.run("%fetchfrom 2 gate.set()\n%fetch f")
    assert order(late)[0] == late.stdout.strip() == "own"
    (reserved,) = late_texts(late)
    assert reserved in ("", " From worker 2:\tearly")
    assert late_texts(late, opener)[-1] == " From worker 2:\tearly\n From worker 2:\tlate"
    assert (opener.stdout, opener.result) == ("", "5")


def test_a_cell_that_has_waited_for_its_calls_leaves_nothing_behind_headless(headless: FrontEnd) -> None:
    cell = headless.run("f = %spawnat 2 print('x')\n%fetch f\nprint('own')")
    assert order(cell) == [" From worker 2:\tx", "own"]
    assert cell.of_type("display_data") == []


def test_text_between_two_cells_waits_for_the_next_headless(headless: FrontEnd) -> None:
    headless.run("%everywhere import threading; gate = threading.Event()")
    late = headless.run(
        "import threading, pydist\n"
        "f = %spawnat 2 [gate.wait(60), print('between')]\n"
        "done = threading.Event(); f.add_done_callback(lambda f: done.set())"
    )
    opening = headless.run("pydist.remote_do(lambda: gate.set(), 2)")
    cell = headless.run("done.wait(60), print('own')")
    # The text may be quicker than the end of the cell that let it out.
    assert cell.stdout == "own\n"
    assert late_texts(late, opening, cell) == ["", " From worker 2:\tbetween"]


def test_output_of_a_thread_that_the_cell_started_is_the_cells(live: FrontEnd) -> None:
    cell = live.run(
        "import threading, pydist\n"
        "t = threading.Thread(target=lambda: pydist.remotecall_fetch(print, 2, 'from a thread')); t.start(); t.join()"
    )
    assert cell.stdout == " From worker 2:\tfrom a thread\n"


def test_capture_captures_workers_too(live: FrontEnd) -> None:
    cell = live.run("%%capture caught\n%fetchfrom 2 print('w')")
    assert cell.stdout == ""
    assert live.run("caught.stdout").result == repr(" From worker 2:\tw\n")


def test_a_flood_leaves_the_kernel_responsive(live: FrontEnd) -> None:
    cell = live.run("%%everywhere --workers\nfor i in range(50_000): print('x' * 20, i)")
    assert cell.status == "ok"
    texts = [message for message in cell.messages if message["msg_type"] == "stream"]
    assert len(cell.stdout) < 1_100_000
    assert "bytes (" in cell.stdout.splitlines()[-1]
    assert len(texts) < 200
    assert live.run("1 + 1").result == "2"


def test_an_error_of_a_worker_looks_like_one_of_the_notebook(live: FrontEnd) -> None:
    live.run("def f(x):\n    return 1 / x")
    cell = live.run("%fetchfrom 2 f(0)")
    (content,) = cell.of_type("error")
    text = "\n".join(content["traceback"])
    assert cell.reply is not None
    assert cell.reply["traceback"] == content["traceback"]
    assert "On worker 2" in text
    assert "division by zero" in text
    assert "pydist_magics" not in text
    assert "multiprocessing" not in text


@pytest.mark.parametrize(
    "waiting",
    [
        "pydist.remotecall_fetch(loud, 2)",
        "pydist.fetch(pydist.spawnat(2, loud))",
        "pydist.pmap(loud, [1])",
        "with pydist.sync(): pydist.spawnat(2, loud)",
    ],
)
def test_an_interrupt_shows_the_cell_and_not_how_it_has_waited(live: FrontEnd, waiting: str) -> None:
    live.run("import pydist, threading\ndef loud(x=0):\n    print('on my way')\n    threading.Event().wait(60)")
    cell = live.begin(waiting).wait_for_text("on my way")
    live.interrupt()
    assert cell.wait().error == "KeyboardInterrupt"
    (content,) = cell.of_type("error")
    _, _, own, last = content["traceback"]
    assert "line 1" in plain(own)
    assert plain(last) == "KeyboardInterrupt: "


def test_an_interrupt_shows_where_in_a_library_it_came(live: FrontEnd) -> None:
    cell = live.begin("import subprocess\nprint('own')\nsubprocess.run(['sleep', '60'])").wait_for_text("own")
    live.interrupt()
    (content,) = cell.wait().of_type("error")
    files = [plain(part).split(" ")[1] for part in content["traceback"] if plain(part).startswith("File ")]
    assert files
    assert all("subprocess.py:" in file for file in files)


def test_a_cell_that_awaits_is_interrupted_like_others() -> None:
    with FrontEnd() as kernel:
        cell = kernel.begin("f = %spawnat 2 [print('on my way'), __import__('threading').Event().wait(60)]\nawait f")
        cell.wait_for_text("on my way")
        kernel.interrupt()
        assert cell.wait().error == "KeyboardInterrupt"
    (content,) = cell.of_type("error")
    assert len(content["traceback"]) == 4
    assert "Interrupted: 1 call stopped on worker 2" in cell.stderr


def test_an_error_has_the_name_that_the_user_knows(live: FrontEnd) -> None:
    assert live.run("%fetchfrom 2 open('/nowhere')").error == "FileNotFoundError"


def test_a_function_may_mention_exit(live: FrontEnd) -> None:
    cell = live.run("def f(x):\n    return quit() if x > 5 else x\n%fetchfrom 2 f(3)")
    assert (cell.error, cell.result) == (None, "3")


def test_an_exit_of_the_users_own_goes_along(live: FrontEnd) -> None:
    cell = live.run("def exit(x): return x\nr = %fetchfrom 2 exit(7)\ndel exit\nr")
    assert (cell.error, cell.result) == (None, "7")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_syntax_error_stands_at_its_line_and_nothing_is_sent(live: FrontEnd) -> None:
    cell = live.run("%%everywhere\nsent = 1\nx = = 2")
    (content,) = cell.of_type("error")
    assert cell.error == "SyntaxError"
    assert "line 3" in "\n".join(content["traceback"])
    assert "site-packages" not in "\n".join(content["traceback"])
    assert live.run("%fetchfrom 2 'sent' in globals()").result == "False"


def test_a_mistake_is_one_sentence(live: FrontEnd) -> None:
    cell = live.run("%spawnat nope 1")
    assert cell.stderr == "UsageError: %spawnat: 'nope' does not name a process: name 'nope' is not defined\n"
    assert cell.status == "error"


def test_unload_and_load_leave_the_cluster_as_it_is(live: FrontEnd) -> None:
    before = live.evaluate("pydist.procs()")
    assert live.run("%reload_ext pydist").stderr == ""
    assert live.run("%fetchfrom 2 print('again')").stdout == " From worker 2:\tagain\n"
    assert live.run("%unload_ext pydist").status == "ok"
    assert live.run("import pydist; pydist.procs()").result == repr(before)
    assert "not found" in live.run("%fetchfrom 2 1").stderr
    assert live.run("%load_ext pydist").stderr == ""
    assert live.run("%fetchfrom 2 1").result == "1"


def test_await_cells_have_their_output_too(live: FrontEnd) -> None:
    cell = live.run("import asyncio\nf = %spawnat 2 [print('async'), 3][1]\nawait f")
    assert order(cell) == [" From worker 2:\tasync", "3"]
