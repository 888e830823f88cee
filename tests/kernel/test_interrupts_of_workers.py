"""The interrupt button stops what the cell started on workers, and only that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.driver import LiveKernel

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

SOON = 20.0  # seconds; without the interrupt, the cells below take ten minutes

PREPARE = """
import asyncio, time, pydist
def work(path=None):
    print('at work', flush=True)
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        print('stopped', flush=True)
        raise
def listen(path):
    return open(path).read()
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[LiveKernel]:
    with LiveKernel(workers=3) as kernel:
        assert kernel.run(PREPARE).status == "ok"
        yield kernel


@pytest.mark.parametrize(
    ("code", "calls", "where"),
    [
        ("pydist.remotecall_fetch(work, 2)", "1 call", "worker 2"),
        ("f = pydist.remotecall(work, 3); f.fetch()", "1 call", "worker 3"),
        ("f = pydist.remotecall(work, 3); f.wait()", "1 call", "worker 3"),
        ("f = pydist.remotecall(work, 2); await f", "1 call", "worker 2"),
        ("fs = [pydist.remotecall(work, p) for p in (2, 4)]; await asyncio.gather(*fs)", "2 calls", "workers 2, 4"),
        # Nobody waits for them, and still the cell has started them.
        ("fs = [pydist.remotecall(work, p) for p in (2, 3, 4)]; time.sleep(600)", "3 calls", "workers 2-4"),
        ("pydist.pmap(lambda _: work(), range(30), progress=False)", "3 calls", "workers 2-4"),
        ("pydist.everywhere('work()', [2, 3])", "2 calls", "workers 2-3"),
    ],
)
def test_what_the_cell_started_is_stopped_and_told(kernel: LiveKernel, code: str, calls: str, where: str) -> None:
    cell = kernel.begin(code).wait_for(lambda cell: cell.stdout.count("at work") == int(calls[0]))
    kernel.interrupt()
    assert cell.wait(SOON).error == "KeyboardInterrupt"
    assert f"Interrupted: {calls} stopped on {where}\n" in cell.stderr
    # The workers are free again.
    assert kernel.evaluate("[pydist.remotecall_fetch(abs, p, -p) for p in pydist.workers()]") == [2, 3, 4]
    assert kernel.evaluate("pydist.frontend.running()") == {}


@pytest.mark.parametrize(
    "deaf",
    ["hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)", "sum(range(10**12))"],
    ids=["C code", "C code that keeps the interpreter"],
)
def test_a_call_that_does_not_listen_is_told(deaf: str) -> None:
    with LiveKernel(workers=2) as kernel:  # its own: the restarted worker ends with it
        kernel.run(f"{PREPARE}\ndef deaf():\n    import hashlib\n    print('at work', flush=True)\n    {deaf}")
        cell = kernel.begin("fs = [pydist.remotecall(deaf, 3), pydist.remotecall(work, 2)]; time.sleep(600)")
        cell.wait_for(lambda cell: cell.stdout.count("at work") == 2)
        kernel.interrupt()
        assert cell.wait(SOON).error == "KeyboardInterrupt"
        assert (
            "Interrupted: 1 call stopped on worker 2, "
            "1 call on worker 3 does not listen and goes on; %restart 3 ends it\n"
        ) in cell.stderr
        assert kernel.run("%restart 3").status == "ok"
        assert kernel.evaluate("[pydist.remotecall_fetch(abs, p, -p) for p in pydist.workers()]") == [2, 3]


def test_what_another_cell_started_goes_on(kernel: LiveKernel, tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    kernel.run(f"import os; os.mkfifo({str(letter)!r}); other = pydist.remotecall(listen, 2, {str(letter)!r})")
    cell = kernel.begin("pydist.remotecall_fetch(work, 3)").wait_for_text("at work")
    kernel.interrupt()
    assert cell.wait(SOON).error == "KeyboardInterrupt"
    assert "1 call stopped on worker 3\n" in cell.stderr
    letter.write_text("still here")
    assert kernel.evaluate("other.fetch()") == "still here"


def test_a_cell_that_deals_with_its_interrupt_keeps_its_other_calls(kernel: LiveKernel, tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    cell = kernel.begin(
        f"import os; os.mkfifo({str(letter)!r}); other = pydist.remotecall(listen, 2, {str(letter)!r})\n"
        "try:\n    pydist.remotecall_fetch(work, 3)\nexcept KeyboardInterrupt:\n    print('caught')\n"
    ).wait_for_text("at work")
    kernel.interrupt()
    assert cell.wait(SOON).status == "ok"
    assert "caught\n" in cell.stdout
    assert "Interrupted" not in cell.stderr
    letter.write_text("still here")
    assert kernel.evaluate("other.fetch()") == "still here"


def test_nothing_is_said_when_nothing_was_stopped(kernel: LiveKernel) -> None:
    cell = kernel.begin("print('at work', flush=True); time.sleep(600)").wait_for_text("at work")
    kernel.interrupt()
    assert cell.wait(SOON).error == "KeyboardInterrupt"
    assert "Interrupted" not in cell.stderr


def test_fast_presses_keep_the_reply_and_the_cluster(kernel: LiveKernel) -> None:
    for presses in range(1, 8):
        cell = kernel.begin("pydist.pmap(lambda _: work(), range(30), progress=False)").wait_for_text("at work")
        pressed = [kernel.interrupt() for _ in range(presses)]
        assert cell.wait(SOON).error == "KeyboardInterrupt"
        for press in pressed:
            press.wait_for(lambda press: press.reply)
        assert kernel.evaluate("[pydist.remotecall_fetch(abs, p, -p) for p in pydist.workers()]") == [2, 3, 4]
