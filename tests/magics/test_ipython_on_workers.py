"""IPython's syntax on workers, and rich output of theirs in a kernel that is not ours, seen from the wire."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.magics.fronts import FrontEnd, kernels

if TYPE_CHECKING:
    from tests.kernel.driver import Cell

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

FIRST = "import pydist\nfrom IPython.display import HTML, display, clear_output"
kernel = kernels("ours live", "plain live", "plain headless", first=(FIRST,))


def shown(cell: Cell) -> list[tuple[str, Any]]:
    """Return what a cell shows: the kind of each message, and its html, text, or what was written."""
    found: list[tuple[str, Any]] = []
    for message in cell.messages:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            found += [("text", line) for line in content["text"].splitlines()]
        elif kind == "clear_output":
            found.append((kind, content["wait"]))
        elif content.get("metadata") == {"pydist": "late"}:
            continue  # the room for what calls write after the cell, where nobody looks on
        elif kind in ("display_data", "update_display_data", "execute_result"):
            found.append((kind, content["data"].get("text/html") or content["data"]["text/plain"]))
    return found


def test_what_a_worker_displays_stands_in_the_cell_in_its_place(kernel: FrontEnd) -> None:
    kernel.run("def show(n):\n    print('before')\n    display(HTML(f'<b>{n}</b>'))\n    print('after')\n    return n")
    assert shown(kernel.run("%fetchfrom 2 show(7)")) == [
        ("text", " From worker 2:\tbefore"),
        ("display_data", "<b>7</b>"),
        ("text", " From worker 2:\tafter"),
        ("execute_result", "7"),
    ]


def test_text_that_is_displayed_has_the_prefix(kernel: FrontEnd) -> None:
    assert shown(kernel.run("%fetchfrom 2 display([1, 2])")) == [("text", " From worker 2:\t[1, 2]")]


def test_a_figure_of_a_worker_is_an_image(kernel: FrontEnd) -> None:
    pytest.importorskip("matplotlib")
    kernel.run(
        "def draw(how):\n"
        "    import matplotlib.pyplot as plt\n"
        "    figure, axes = plt.subplots()\n"
        "    axes.plot([1, 2])\n"
        "    plt.show() if how == 'show' else display(figure)\n"
        "    open_ones = len(plt.get_fignums())\n"
        "    plt.close('all')\n"
        "    return open_ones"
    )
    for how, left_open in (("show", 0), ("display", 1)):
        cell = kernel.run(f"pydist.fetchfrom(3, draw, {how!r})")
        (data,) = [m["content"]["data"] for m in cell.messages if m["msg_type"] == "display_data"]
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
        assert data["text/plain"] == "<Figure size 640x480 with 1 Axes>"
        assert cell.result == str(left_open)


def test_ipython_syntax_works_on_workers(kernel: FrontEnd) -> None:
    cell = kernel.run("%%everywhere 2\n!echo from the shell\nlines = !echo a; echo b\nprint(list(lines))")
    assert shown(cell) == [("text", " From worker 2:\tfrom the shell"), ("text", " From worker 2:\t['a', 'b']")]
    assert "per loop" in shown(kernel.run("%%everywhere 3\n%timeit -n1 -r1 pass"))[0][1]
    assert shown(kernel.run("%%spawnat 2 -o f\nawait __import__('asyncio').sleep(0, 5)")) == []
    assert shown(kernel.run("%fetch f")) == [("execute_result", "5")]
