"""Rich output of workers in real kernels: what a cell shows of it, live and when a notebook is executed."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.magics.fronts import FrontEnd, kernels

if TYPE_CHECKING:
    from tests.kernel.driver import Cell

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

LIMIT = 120

kernel = kernels("live", "headless")
live = kernels("ours")


def shown(cell: Cell) -> list[str]:
    """Return what a cell shows, in order: text, and for what is rich its kind and plain text."""
    assert cell.error is None
    seen: list[str] = []
    for message in cell.messages:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            seen += content["text"].splitlines()
        elif kind in ("execute_result", "display_data", "update_display_data"):
            seen.append(f"{kind}: {content['data'].get('text/plain', '')}")
        elif kind == "clear_output":
            seen.append(f"clear_output: {content['wait']}")
    return seen


def asked(pid: int, body: str) -> str:
    """Return a cell that calls a function with this body on a worker and shows its result."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"from pydist import remotecall_fetch\ndef f():\n{lines}remotecall_fetch(f, {pid})"


def test_display_stands_in_order_before_the_result(kernel: FrontEnd) -> None:
    cell = kernel.run(
        asked(
            2,
            "from IPython.display import HTML, display\nprint('a')\ndisplay(HTML('<b>bold</b>'))\nprint('b')\nreturn 7",
        )
    )
    assert shown(cell) == [
        " From worker 2:\ta",
        "display_data: <IPython.core.display.HTML object>",
        " From worker 2:\tb",
        "execute_result: 7",
    ]
    (message,) = cell.of_type("display_data")
    assert message["data"]["text/html"] == "<b>bold</b>"


@pytest.mark.parametrize(
    "call",
    [
        "fetch(spawnat(2, show, 1))",
        "remotecall_wait(show, 2, 1)",
        "pmap(show, [1], pool=WorkerPool([2]))",
        "x = %fetchfrom 2 show(1)",
        "f = %spawnat 2 show(1)\nfetch(f)",
    ],
)
def test_every_kind_of_call_displays_in_its_cell(kernel: FrontEnd, call: str) -> None:
    kernel.run("def show(x):\n    from IPython.display import display\n    display({'x': x})\n%everywhere 2 pass")
    kernel.run("@everywhere\ndef show(x):\n    from IPython.display import display\n    display({'x': x})")
    cell = kernel.run(f"from pydist import *\n{call}\nNone")
    assert " From worker 2:\t{'x': 1}" in shown(cell)


def test_display_needs_no_import(kernel: FrontEnd) -> None:
    kernel.run("def g():\n    display({'a': 1})")
    assert shown(kernel.run("%fetchfrom 2 g()")) == [" From worker 2:\t{'a': 1}"]
    assert shown(kernel.run("%%everywhere 3\ndisplay('b')")) == [" From worker 3:\t'b'"]


def test_a_widget_of_a_worker_is_shown_as_a_widget_and_says_what_it_is_as_text(kernel: FrontEnd) -> None:
    cell = kernel.run("%%everywhere 3\nimport ipywidgets\ndisplay(ipywidgets.IntSlider(value=3))")
    (view,) = cell.of_type("display_data")
    assert view["data"]["text/plain"] == "IntSlider(value=3)"
    model = view["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert model in [content["comm_id"] for content in cell.of_type("comm_open")]
    assert cell.stdout == ""


def test_a_display_that_comes_after_its_cell_is_not_lost(kernel: FrontEnd) -> None:
    kernel.run("%everywhere import threading; gate = threading.Event()")
    late = kernel.run("f = %spawnat 2 [gate.wait(60), display('late')]")
    opener = kernel.run("%fetchfrom 2 gate.set()\n%fetch f\nNone")
    # A live cell shows it itself; in a block of it, it is a matter of the cell that runs.
    late.wait_for(lambda late: " From worker 2:\t'late'" in "\n".join(shown(late) + shown(opener)), LIMIT)


def test_a_loop_of_updates_reaches_its_last_state_with_few_messages(live: FrontEnd) -> None:
    cell = live.run(
        asked(2, "h = display(0, display_id=True)\nfor i in range(5001):\n    h.update(i)"), store_history=False
    )
    updates = cell.of_type("update_display_data")
    assert updates[-1]["data"]["text/plain"] == "5000"
    assert len(updates) < 2500


def test_a_handle_updates_what_it_has_shown(kernel: FrontEnd) -> None:
    cell = kernel.run(
        asked(
            2,
            "from IPython.display import display, update_display\n"
            "h = display('one', display_id='the one')\n"
            "h.update('two')\n"
            "update_display('three', display_id='the one')\n"
            "return h.display_id",
        )
    )
    seen = shown(cell)
    assert seen[0] == "display_data: 'one'"
    assert "update_display_data: 'three'" in seen
    assert "execute_result: 'the one'" in seen
    first, last = cell.of_type("display_data")[0], cell.of_type("update_display_data")[-1]
    assert first["transient"] == last["transient"] == {"display_id": "the one"}


def test_clear_output_clears_the_cell(kernel: FrontEnd) -> None:
    cell = kernel.run(
        "%%everywhere 2\nfrom IPython.display import clear_output\nprint('old')\nclear_output(wait=True)\nprint('new')"
    )
    assert shown(cell) == [" From worker 2:\told", "clear_output: True", " From worker 2:\tnew"]


def test_show_of_a_worker_gives_the_figure(kernel: FrontEnd) -> None:
    cell = kernel.run(
        asked(2, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nreturn len(plt.get_fignums())")
    )
    assert shown(cell) == ["display_data: <Figure size 640x480 with 1 Axes>", "execute_result: 0"]
    (message,) = cell.of_type("display_data")
    assert base64.b64decode(message["data"]["image/png"]).startswith(b"\x89PNG")


def test_display_of_a_figure_gives_the_figure(kernel: FrontEnd) -> None:
    cell = kernel.run(
        asked(3, "from matplotlib.figure import Figure\nfrom IPython.display import display\ndisplay(Figure())\n")
    )
    (message,) = cell.of_type("display_data")
    assert base64.b64decode(message["data"]["image/png"]).startswith(b"\x89PNG")


def test_display_of_a_call_within_a_call_is_in_the_cell_too(kernel: FrontEnd) -> None:
    cell = kernel.run(
        "from pydist import remotecall_fetch\n"
        "def inner():\n    from IPython.display import display\n    display('deep')\n"
        "def outer():\n    remotecall_fetch(inner, 3)\n    print('after')\n"
        "remotecall_fetch(outer, 2)"
    )
    seen = shown(cell)
    assert " From worker 3:\t'deep'" in seen
    assert " From worker 2:\tafter" in seen


def test_a_worker_that_shows_nothing_has_imported_nothing_for_it() -> None:
    with FrontEnd(workers=1) as kernel:
        cell = kernel.run("%fetchfrom 2 sorted({'IPython', 'matplotlib', 'tqdm'} & set(__import__('sys').modules))")
    assert shown(cell)[-1] == "execute_result: []"


def test_a_bar_of_text_moves_in_one_place(live: FrontEnd) -> None:
    cell = live.begin(
        "%%everywhere 2\n"
        "import sys, threading\n"
        "sys.stderr.write('\\r10%')\n"
        "threading.Event().wait(0.3)\n"
        "sys.stderr.write('\\r50%')\n"
        "threading.Event().wait(0.3)\n"
        "sys.stderr.write('\\r100%\\n')\n"
        "print('done')"
    )
    cell.wait(LIMIT)
    seen = shown(cell)
    assert seen[0] == "display_data:  From worker 2:\t50%"
    assert "update_display_data:  From worker 2:\t100%" in seen
    assert [line for line in seen if line.startswith(" From")] == [" From worker 2:\tdone"]
    ids = {m["transient"]["display_id"] for t in ("display_data", "update_display_data") for m in cell.of_type(t)}
    assert len(ids) == 1


def executed(*cells: str) -> list[list[Any]]:
    """Return the outputs of the cells of a notebook that nbclient has executed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    client = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3")
    client.execute()
    return [cell.outputs for cell in notebook.cells]


LOAD = "%load_ext pydist\n_ = %addprocs 2"
BARS = (
    "%%everywhere 2\nfrom tqdm.auto import tqdm\nfor i in tqdm(range(500)): pass\n",
    "%%everywhere 2\nfrom tqdm.notebook import tqdm, trange\nfor i in tqdm(range(500), desc='way'): pass\n",
    "%%everywhere 2\nb = trange(10)\nb.update(4)\nb.close()\nfor i in trange(3, leave=False): pass\n",
)


def test_bars_are_true_in_an_executed_notebook() -> None:
    _, auto, own, early = executed(LOAD, *BARS)
    (stream,) = auto
    assert stream["text"].count("\n") == 1
    assert stream["text"].startswith(" From worker 2:\t100%|")
    assert "500/500" in stream["text"]
    (bar,) = own
    assert bar["data"]["text/plain"].startswith("way: 100%|")
    assert "worker 2: way: 100%" in bar["data"]["text/html"]
    assert "500/500" in bar["data"]["text/html"]
    assert '<progress value="500" max="500">' in bar["data"]["text/html"]
    stopped, gone = early
    assert "4/10" in stopped["data"]["text/plain"]
    assert gone["data"]["text/plain"] == ""


def test_executed_notebooks_have_the_same_rich_output_each_time() -> None:
    cells = (
        LOAD,
        "%%everywhere --workers\nfrom IPython.display import display, HTML\nfrom pydist import myid\n"
        "print('a')\ndisplay(HTML(f'<i>{myid()}</i>'))\nprint('b', end='')\ndisplay(myid())",
        "import logging\n%everywhere import logging; logging.warning('x')",
        "%%everywhere\nimport time\nfor i in range(30):\n    print(i); time.sleep(0.001)",
    )
    first = executed(*cells)
    assert [out.get("text") or out["data"]["text/plain"] for out in first[1]] == [
        " From worker 2:\ta\n",
        "<IPython.core.display.HTML object>",
        " From worker 2:\tb\n From worker 2:\t2\n From worker 3:\ta\n",
        "<IPython.core.display.HTML object>",
        " From worker 3:\tb\n From worker 3:\t3\n",
    ]
    assert first[2][0]["text"] == "WARNING:root:x\n"
    for _ in range(2):
        assert executed(*cells) == first
