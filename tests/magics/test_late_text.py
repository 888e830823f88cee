"""Text of calls that outlive their cell, in notebooks that nbclient has executed."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

LIMIT = 120
LOAD = "%load_ext pydist\n_ = %addprocs 3"
GATE = "%everywhere import threading; gate = threading.Event()"


def executed(*cells: str) -> Any:
    """Return a notebook that nbclient has executed on the plain kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (LOAD, GATE, *cells)])
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3").execute()
    return notebook


def outputs(notebook: Any) -> list[list[dict[str, Any]]]:
    return [cell.outputs for cell in notebook.cells[2:]]


def block(text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {"pydist": "late"}, "data": {"text/plain": text}}


def test_text_is_in_the_cell_that_started_the_call_and_each_run_gives_the_same_bytes() -> None:
    cells = (
        "f = %spawnat 2 [print('early'), gate.wait(60), print('late'), 5][3]\nprint('own')",
        "%everywhere --workers gate.set()\n%fetch f",
    )
    first = executed(*cells)
    own, shown = outputs(first)[0]
    assert own["text"] == "own\n"
    assert shown == block(" From worker 2:\tearly\n From worker 2:\tlate")
    (result,) = outputs(first)[1]
    assert result["data"] == {"text/plain": "5"}
    for _ in range(2):
        assert outputs(executed(*cells)) == outputs(first)


def test_a_call_that_is_over_in_no_time_gives_the_same_bytes_too() -> None:
    """It ends before its cell does, or after it: nobody knows."""
    cells = ("f = %spawnat 2 print('x')", "import pydist\npydist.remote_do(int, 3)", "g = %spawnat 2 1", "%fetch f")
    for _ in range(3):
        shown = outputs(executed(*cells))
        assert shown == [[block(" From worker 2:\tx")], [block("")], [block("")], []]


def test_workers_and_calls_stand_in_order_whoever_writes_first() -> None:
    notebook = executed(
        "late = lambda text: [gate.wait(60), print(text)]\n"
        "fs = %spawnat 2:5 late('a')\nf = %spawnat 2 late('b')\n"
        "fs.append(f)",
        "%fetchfrom 4 gate.set()\nfs[2].wait(); None",
        "%everywhere --workers gate.set()\n[f.wait() for f in fs]; None",
    )
    first, *others = outputs(notebook)
    lines = [(2, "a"), (2, "b"), (3, "a"), (4, "a")]
    assert first == [block("\n".join(f" From worker {pid}:\t{text}" for pid, text in lines))]
    assert others == [[], []]


def test_html_shows_late_text_in_its_colours() -> None:
    notebook = executed(
        "f = %spawnat 2 [gate.wait(60), print('\\x1b[31mred\\x1b[0m & <plain>')]",
        "%everywhere --workers gate.set()\nf.wait(); None",
    )
    exporter: Any = HTMLExporter
    html, _ = exporter(template_name="lab").from_notebook_node(notebook)
    assert '<pre> From worker 2:\t<span class="ansi-red-fg">red</span> &amp; &lt;plain&gt;</pre>' in html


def test_a_figure_of_a_late_call_is_shown_in_the_cell_that_runs() -> None:
    first, second = outputs(
        executed(
            "from IPython.display import HTML\n"
            "def draw():\n    gate.wait(60)\n    display(HTML('<b>x</b>'))\n"
            "f = %spawnat 2 draw()",
            "%everywhere --workers gate.set()\nf.wait(); None",
        )
    )
    assert first == [block("")]
    assert [output["data"]["text/html"] for output in second] == ["<b>x</b>"]


def test_text_that_overwrites_itself_stands_as_it_was_in_the_end() -> None:
    first, _ = outputs(
        executed(
            "f = %spawnat 2 [gate.wait(60), print('10%\\r50%\\r100%')]",
            "%everywhere --workers gate.set()\nf.wait(); None",
        )
    )
    assert first == [block(" From worker 2:\t100%")]
