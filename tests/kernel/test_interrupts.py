"""The interrupt button: it stops the cell, and the front end always hears about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.driver import LiveKernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

SOON = 20.0  # seconds; without the interrupt, the cells below take ten minutes


@pytest.fixture(scope="module")
def kernel() -> Iterator[LiveKernel]:
    with LiveKernel() as kernel:
        kernel.run("import asyncio, time")
        yield kernel


@pytest.mark.parametrize(
    "code",
    [
        "print('here'); time.sleep(600)",
        "print('here')\nwhile True: pass",
        "print('here'); time.sleep(600)\n'the value'",
        "print('here'); await asyncio.sleep(600)",
        "print('here'); await asyncio.gather(asyncio.sleep(600), asyncio.sleep(700))",
        # A blocking call in a cell that also awaits: cancelling the cell's task would wait for the call.
        "await asyncio.sleep(0); print('here'); time.sleep(600)",
    ],
)
def test_a_cell_is_interrupted(kernel: LiveKernel, code: str) -> None:
    cell = kernel.begin(code).wait_for_text("here")
    kernel.interrupt()
    assert cell.wait(SOON).error == "KeyboardInterrupt"
    assert kernel.evaluate("1 + 1") == 2


def test_a_cell_may_deal_with_its_interrupt_itself(kernel: LiveKernel) -> None:
    cell = kernel.begin("try:\n    print('here'); time.sleep(600)\nexcept KeyboardInterrupt:\n    print('caught')")
    cell.wait_for_text("here")
    kernel.interrupt()
    assert cell.wait(SOON).status == "ok"
    assert cell.stdout == "here\ncaught\n"


@pytest.mark.parametrize("code", ["time.sleep(1)", "await asyncio.sleep(1)", "1/0", "for i in range(10**6): pass"])
def test_fast_presses_never_lose_the_reply(kernel: LiveKernel, code: str) -> None:
    for presses in range(1, 16):
        cell = kernel.begin(code).wait_until_running()
        pressed = [kernel.interrupt() for _ in range(presses)]
        assert cell.wait(SOON).status in ("ok", "error")
        for press in pressed:  # they must not hit the next cell
            press.wait_for(lambda press: press.reply)
    assert kernel.evaluate("1 + 1") == 2


def test_a_press_between_two_statements_is_not_lost(kernel: LiveKernel) -> None:
    # IPython compiles the last expression of a cell apart; a press that comes meanwhile has to wait for its moment.
    for _ in range(10):
        cell = kernel.begin("import time\ntime.sleep(600)").wait_until_running()
        kernel.interrupt()
        assert cell.wait(SOON).error == "KeyboardInterrupt"


def test_an_interrupt_of_an_idle_kernel_is_harmless(kernel: LiveKernel) -> None:
    for press in [kernel.interrupt() for _ in range(5)]:
        assert press.wait().status == "ok"
    assert kernel.evaluate("1 + 1") == 2


def test_a_hook_that_hangs_is_interrupted(kernel: LiveKernel) -> None:
    kernel.run(
        "def hang(result):\n"
        "    get_ipython().events.unregister('post_run_cell', hang)\n"
        "    print('hanging', flush=True); time.sleep(600)\n"
        "def arm(): get_ipython().events.register('post_run_cell', hang)\n"
    )
    cell = kernel.begin("arm()").wait_for_text("hanging")
    kernel.interrupt()
    assert cell.wait(SOON).status == "ok"
    assert "KeyboardInterrupt" in str(cell.messages)
    assert kernel.evaluate("1 + 1") == 2


def test_a_comm_that_blocks_the_kernel_is_interrupted(kernel: LiveKernel) -> None:
    kernel.run(
        "def serve(comm, message):\n"
        "    print('serving', flush=True); time.sleep(600)\n"
        "get_ipython().kernel.comm_manager.register_target('serve', serve)\n"
    )
    message = kernel.client.session.msg("comm_open", {"comm_id": "1", "target_name": "serve", "data": {}})
    comm = kernel.watch(message["header"]["msg_id"])
    kernel.client.shell_channel.send(message)
    comm.wait_for_text("serving")
    kernel.interrupt()
    comm.wait_for(lambda cell: cell.idle, SOON)
    assert kernel.evaluate("1 + 1") == 2


def test_children_of_the_cell_are_interrupted_too(kernel: LiveKernel) -> None:
    cell = kernel.begin("!echo here; sleep 600").wait_for_text("here")
    kernel.interrupt()
    assert cell.wait(SOON).status in ("ok", "error")
