"""What is said to a widget of a worker is handled there while a cell runs."""

from __future__ import annotations

import pytest

from tests.magics.fronts import FrontEnd
from tests.magics.test_relay import Widgets, sent, updates

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]


def test_a_worker_hears_of_a_move_and_a_click_while_a_cell_runs() -> None:
    with FrontEnd(workers=1) as kernel:
        widgets = Widgets(kernel, 2)
        kernel.run("import threading\ngate = threading.Event()")
        running = kernel.begin("print('waits', flush=True)\ngate.wait(60)").wait_for_text("waits")
        moved = widgets.move(12).wait_for(lambda cell: cell.idle and updates(cell, widgets.slider, "echo_update"))
        assert [content["execution_state"] for content in moved.of_type("status")] == ["busy", "idle"]
        clicked = widgets.click()
        widgets.cell.wait_for(lambda cell: "clicked" in cell.stdout)
        clicked.wait_for(lambda cell: updates(cell, widgets.slider) == [{"value": 13}])
        assert running.reply is None
        kernel.interrupt()
        running.wait()
        assert widgets.ask("slider.value") == 13


def test_a_message_for_no_comm_is_no_harm() -> None:
    with FrontEnd(workers=0) as kernel:
        lost = sent(kernel, "comm_msg", {"comm_id": "nobody", "data": {}})
        assert lost.wait_for(lambda cell: cell.idle).of_type("error") == []
        assert kernel.evaluate("6 * 7") == 42
