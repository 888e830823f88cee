"""Widgets that are sent to another process: what comes out there, and what it can do."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.magics.fronts import FrontEnd, kernels

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

VIEW = "application/vnd.jupyter.widget-view+json"

kernel = kernels(
    "ours",
    first=(
        "%%everywhere 2\nimport ipywidgets\nslider = ipywidgets.IntSlider(value=3)",
        "import ipywidgets, pydist\nown = ipywidgets.IntText(5)",
        "far = %fetchfrom 2 slider",
    ),
)


def value(kernel: FrontEnd, expression: str) -> Any:
    return kernel.evaluate(expression)


def on_worker(kernel: FrontEnd, expression: str, pid: int = 2) -> Any:
    answer = kernel.run(f"%fetchfrom {pid} {expression}")
    assert answer.error is None
    assert answer.result is not None
    return ast.literal_eval(answer.result)


def test_the_value_of_a_cell_is_shown_as_the_widget(kernel: FrontEnd) -> None:
    (shown,) = kernel.run("%fetchfrom 2 slider").of_type("execute_result")
    assert shown["data"]["text/plain"] == "<IntSlider of process 2>"
    assert shown["data"][VIEW]["model_id"] == on_worker(kernel, "slider.model_id")


def test_a_link_of_either_side_names_both_models(kernel: FrontEnd) -> None:
    models = [f"IPY_MODEL_{value(kernel, 'own.model_id')}", f"IPY_MODEL_{on_worker(kernel, 'slider.model_id')}"]
    for code in (
        "link = ipywidgets.jslink((own, 'value'), (far, 'value'))",
        "link = %fetchfrom 2 ipywidgets.jsdlink((own, 'value'), (slider, 'value'))",
    ):
        cell = kernel.run(code)
        assert cell.error is None
        state = cell.of_type("comm_open")[-1]["data"]["state"]
        assert [state["source"], state["target"]] == [[models[0], "value"], [models[1], "value"]]


def test_it_stands_in_a_box(kernel: FrontEnd) -> None:
    box = kernel.run("ipywidgets.HBox([own, far])")
    assert box.error is None
    state = box.of_type("comm_open")[-1]["data"]["state"]
    assert state["children"][1] == f"IPY_MODEL_{on_worker(kernel, 'slider.model_id')}"


def test_sent_back_it_is_itself_also_by_a_third_process(kernel: FrontEnd) -> None:
    assert on_worker(kernel, "far is slider") is True
    kernel.run("f = %spawnat 3 far\nthird = f.fetch()")
    assert value(kernel, "pydist.remotecall_fetch(lambda w: w is slider, 2, third)") is True
    assert value(kernel, "pydist.remotecall_fetch(lambda w: (w.model_id, repr(w)), 3, own)") == (
        value(kernel, "own.model_id"),
        "<IntText of process 1>",
    )


@pytest.mark.parametrize("code", ["far.value", "far.value = 7", "far.observe(print, 'value')"])
def test_what_it_has_is_said_to_be_elsewhere(kernel: FrontEnd, code: str) -> None:
    cell = kernel.run(code)
    assert cell.error == "AttributeError"
    assert cell.reply is not None
    assert cell.reply["evalue"].startswith("this IntSlider lives on process 2: ")
    assert on_worker(kernel, "slider.value") == 3


def test_one_that_is_closed_is_refused(kernel: FrontEnd) -> None:
    kernel.run("%%everywhere 2\nlost = ipywidgets.Text()")
    kernel.run("gone = %fetchfrom 2 lost")
    kernel.run("%%everywhere 2\nlost.close()")
    cell = kernel.run("%fetchfrom 2 lost")
    assert cell.error is not None
    assert cell.reply is not None
    assert "this Text is closed; only an open widget can be sent" in cell.reply["evalue"]
    cell = kernel.run("pydist.remotecall_fetch(repr, 2, gone)")
    assert cell.error is not None
    assert cell.reply is not None
    assert "this Text has been closed on process 2" in cell.reply["evalue"]


def test_a_pickle_of_the_users_own_is_as_it_was(kernel: FrontEnd) -> None:
    cell = kernel.run("import pickle\npickle.dumps(own)")
    assert cell.error == "TypeError"
