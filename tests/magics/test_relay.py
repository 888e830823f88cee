"""Widgets that live in workers, as a front end sees them: real kernels, raw messages."""

from __future__ import annotations

import ast
import time
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from pydist._comm_messages import PERIOD
from tests.magics.fronts import FrontEnd, kernels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kernel.driver import Cell

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

LIMIT = 120
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"

kernel = kernels("ours", "plain")

MAKE = """%%everywhere {pid}
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=10**6)
button = ipywidgets.Button(description='more')
def clicked(_):
    print('clicked')
    slider.value += 1
button.on_click(clicked)
print('before')
display(ipywidgets.HBox([slider, button]))
print('after')
"""


class Widgets:
    """A slider and a button of a worker, and the page that shows them."""

    def __init__(self, kernel: FrontEnd, pid: int) -> None:
        self.kernel = kernel
        self.pid = pid
        self.cell = kernel.run(MAKE.format(pid=pid))
        assert self.cell.error is None
        self.slider, self.button = self.ask("(slider.model_id, button.model_id)")

    def ask(self, expression: str) -> Any:
        """Return the value of an expression on the worker."""
        answer = self.kernel.run(f"%fetchfrom {self.pid} {expression}").result
        assert answer is not None
        return ast.literal_eval(answer)

    def say(self, comm_id: str, data: Mapping[str, Any], kind: str = "comm_msg") -> Cell:
        """Send a message of the front end to a comm."""
        return sent(self.kernel, kind, {"comm_id": comm_id, "data": data})

    def move(self, value: int) -> Cell:
        """Move the slider; return when it has moved on the worker, which echoes a change before it makes it."""
        answers = self.say(self.slider, {"method": "update", "state": {"value": value}, "buffer_paths": []})
        answers.wait_for(lambda cell: cell.idle and updates(cell, self.slider, "echo_update"))
        self.state()
        return answers

    def state(self) -> dict[str, Any]:
        """Return what the slider says of itself, after all that it was told before."""
        answers = self.say(self.slider, {"method": "request_state"}).wait_for(lambda cell: updates(cell, self.slider))
        (state,) = updates(answers, self.slider)
        return state

    def click(self) -> Cell:
        return self.say(self.button, {"method": "custom", "content": {"event": "click"}})


def sent(kernel: FrontEnd, kind: str, content: Mapping[str, Any], **metadata: Any) -> Cell:
    """Send a message of the front end; return what is said under it."""
    message = kernel.client.session.msg(kind, dict(content), metadata=metadata)
    answers = kernel.watch(message["header"]["msg_id"])
    kernel.client.shell_channel.send(message)
    return answers


def listed(kernel: FrontEnd) -> dict[str, Any]:
    """Return what the kernel tells a page that is loaded anew of its comms."""
    reply = sent(kernel, "comm_info_request", {}).wait_for(lambda cell: cell.reply).reply
    assert reply is not None
    return dict(reply["comms"])


def updates(cell: Cell, comm_id: str, method: str = "update") -> list[dict[str, Any]]:
    """Return the states that were published for a comm under a request."""
    said = [content for content in cell.of_type("comm_msg") if content["comm_id"] == comm_id]
    return [content["data"]["state"] for content in said if content["data"]["method"] == method]


@pytest.fixture(scope="module")
def widgets(kernel: FrontEnd) -> Widgets:
    return Widgets(kernel, 2)


def test_models_are_opened_before_the_view_that_stands_between_the_prints(widgets: Widgets) -> None:
    kinds = [
        message["content"].get("text", "") + message["msg_type"]
        for message in widgets.cell.messages
        if message["msg_type"] in ("comm_open", "stream", "display_data")
    ]
    first, view, last = (
        kinds.index(" From worker 2:\tbefore\nstream"),
        kinds.index("display_data"),
        kinds.index(" From worker 2:\tafter\nstream"),
    )
    assert first < view < last
    assert "comm_open" not in kinds[view:]
    opened = {content["comm_id"]: content for content in widgets.cell.of_type("comm_open")}
    (shown,) = widgets.cell.of_type("display_data")
    box = opened[shown["data"][VIEW]["model_id"]]
    assert box["data"]["state"]["children"] == [f"IPY_MODEL_{widgets.slider}", f"IPY_MODEL_{widgets.button}"]
    assert opened[widgets.slider]["target_name"] == "jupyter.widget"
    assert opened[widgets.slider]["data"]["state"]["value"] == 3


def test_what_the_front_end_moves_has_moved_on_the_worker_and_is_echoed(widgets: Widgets) -> None:
    answers = widgets.move(40)
    assert updates(answers, widgets.slider, "echo_update") == [{"value": 40}]
    assert widgets.ask("slider.value") == 40


def test_a_click_runs_its_callback_there_and_its_print_is_in_the_cell_of_the_widget(widgets: Widgets) -> None:
    before, value = widgets.cell.stdout.count("clicked"), widgets.ask("slider.value")
    answers = widgets.click()
    widgets.cell.wait_for(lambda cell: cell.stdout.count(" From worker 2:\tclicked\n") == before + 1)
    answers.wait_for(lambda cell: cell.idle and updates(cell, widgets.slider) == [{"value": value + 1}])
    assert answers.stdout == ""


def test_a_callback_that_fails_says_so_in_the_cell_of_the_widget_and_the_next_message_is_heard(
    widgets: Widgets,
) -> None:
    widgets.kernel.run("%%everywhere 2\nwrong = ipywidgets.Button()\nwrong.on_click(lambda _: 1 / 0)")
    widgets.say(widgets.ask("wrong.model_id"), {"method": "custom", "content": {"event": "click"}})
    widgets.move(7)
    assert widgets.ask("slider.value") == 7


def test_a_page_that_is_loaded_again_finds_them_and_is_told_their_state(widgets: Widgets) -> None:
    assert listed(widgets.kernel)[widgets.slider] == {"target_name": "jupyter.widget"}
    value = widgets.ask("slider.value")
    state = widgets.state()
    assert (state["value"], state["_model_name"]) == (value, "IntSliderModel")


def test_a_page_that_asks_for_all_at_once_is_told_of_those_of_workers_too(widgets: Widgets) -> None:
    kernel = widgets.kernel
    kernel.run("import ipywidgets\nown = ipywidgets.IntText(5)")
    own = ast.literal_eval(kernel.run("own.model_id").result or "")
    sent(kernel, "comm_open", {"comm_id": "page", "target_name": "jupyter.widget.control", "data": {}}, version="1.0.0")
    asked = sent(kernel, "comm_msg", {"comm_id": "page", "data": {"method": "request_states"}})
    asked.wait_for(lambda cell: cell.of_type("comm_msg"))
    (told,) = asked.of_type("comm_msg")
    assert told["data"]["method"] == "update_states"
    states = told["data"]["states"]
    assert states[own]["state"]["value"] == 5
    assert states[widgets.slider]["state"]["value"] == widgets.ask("slider.value")


def test_a_loop_of_changes_is_few_messages_and_ends_with_the_last(widgets: Widgets) -> None:
    began = time.monotonic()
    cell = widgets.kernel.run("%%everywhere 2\nfor i in range(100_000):\n    slider.value = i\n")
    most = (time.monotonic() - began) / PERIOD + 5
    states = updates(cell, widgets.slider)
    assert states[-1] == {"value": 99_999}
    assert 1 < len(states) < most
    assert len(cell.of_type("comm_msg")) < 2 * most  # the number beside the slider is no model of its own


def test_interact_shows_what_its_function_prints_in_its_own_place(widgets: Widgets) -> None:
    kernel = widgets.kernel
    cell = kernel.run(
        "%%everywhere 2\nfrom ipywidgets import interact\ndef twice(x):\n    print('twice', 2 * x)\n"
        "twice = interact(twice, x=(0, 10))"
    )
    assert "twice" not in cell.stdout
    number, out = widgets.ask("[w.model_id for w in twice.widget.children]")
    assert [output["text"] for output in widgets.ask("twice.widget.children[1].outputs")] == ["twice 10\n"]
    answers = widgets.say(number, {"method": "update", "state": {"value": 8}, "buffer_paths": []})
    answers.wait_for(lambda cell: "twice 16" in str(updates(cell, out)[-1:]))
    (output,) = updates(answers, out)[-1]["outputs"]
    assert output["text"] == "twice 16\n"


def test_what_is_closed_on_either_side_is_closed_on_both(widgets: Widgets) -> None:
    kernel = widgets.kernel
    cell = kernel.run("%%everywhere 2\nfirst, second = ipywidgets.Text(), ipywidgets.Text()")
    first, second = widgets.ask("(first.model_id, second.model_id)")
    assert cell.error is None
    closing = kernel.run("%%everywhere 2\nfirst.close()")
    assert [content["comm_id"] for content in closing.of_type("comm_close")] == [first]
    widgets.say(second, {}, kind="comm_close").wait_for(lambda cell: cell.idle)
    assert widgets.ask(f"'{second}' in __import__('comm').get_comm_manager().comms") is False
    assert not {first, second} & set(listed(kernel))


def test_a_worker_that_ends_leaves_greyed_out_widgets_and_no_comm(kernel: FrontEnd) -> None:
    lost = Widgets(kernel, 3)
    kept = set(listed(kernel)) - {content["comm_id"] for content in lost.cell.of_type("comm_open")}
    assert lost.slider in listed(kernel)
    assert kernel.run("%rmprocs 3").error is None
    for of in (lost.slider, lost.button):
        lost.cell.wait_for(lambda cell, of=of: {"disabled": True} in updates(cell, of))  # type: ignore[misc]
    assert set(listed(kernel)) == kept
    # A page that still talks to it is no error.
    assert lost.click().wait_for(lambda cell: cell.idle).of_type("error") == []


def test_a_restart_of_the_kernel_leaves_none() -> None:
    with FrontEnd(workers=1) as kernel:
        Widgets(kernel, 2)
        kernel.shut_down(restart=True)
        assert listed(kernel) == {}
        again = Widgets(kernel, 2)
        assert again.slider in listed(kernel)


def test_an_executed_notebook_holds_the_widgets_of_workers() -> None:
    sources = ("%load_ext pydist\n_ = %addprocs 1", MAKE.format(pid=2), "%%everywhere 2\nslider.value = 77")
    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3").execute()
    before, view, after = notebook.cells[1].outputs
    assert (before["text"], after["text"]) == (" From worker 2:\tbefore\n", " From worker 2:\tafter\n")
    models = notebook.metadata.widgets[STATE]["state"]
    box = models[view["data"][VIEW]["model_id"]]
    slider, button = (models[child.removeprefix("IPY_MODEL_")] for child in box["state"]["children"])
    assert slider["model_name"] == "IntSliderModel"
    assert slider["state"]["value"] == 77
    assert button["state"]["description"] == "more"
