"""Rich output of workers, IPython's syntax there, and their log records, in real kernels, seen from the wire."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.magics.fronts import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.driver import Cell

pytestmark = [pytest.mark.kernel, pytest.mark.processes]


@pytest.fixture(scope="module", params=["ours live", "ours headless", "plain live"])
def kernel(request: pytest.FixtureRequest) -> Iterator[FrontEnd]:
    plain, live = request.param.startswith("plain"), request.param.endswith("live")
    with FrontEnd(plain=plain, live=live) as kernel:
        kernel.run("import pydist\nfrom IPython.display import HTML, display, clear_output")
        yield kernel


def shown(cell: Cell) -> list[tuple[str, Any]]:
    """Return what a cell shows: the kind of each message, and its html, text, or what was written."""
    found: list[tuple[str, Any]] = []
    for message in cell.messages:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            found += [("text", line) for line in content["text"].splitlines()]
        elif kind == "clear_output":
            found.append((kind, content["wait"]))
        elif kind in ("display_data", "update_display_data", "execute_result"):
            found.append((kind, content["data"].get("text/html") or content["data"]["text/plain"]))
    return found


def test_a_worker_that_displays_nothing_has_not_imported_ipython(kernel: FrontEnd) -> None:
    kernel.run("new = pydist.addprocs(1)[0]")
    cell = kernel.run(
        "pydist.fetchfrom(new, lambda: 'IPython' in __import__('sys').modules), pydist.rmprocs(new) and 0"
    )
    assert cell.result == "(False, 0)"


def test_what_a_worker_displays_stands_in_the_cell_in_its_place(kernel: FrontEnd) -> None:
    kernel.run("def show(n):\n    print('before')\n    display(HTML(f'<b>{n}</b>'))\n    print('after')\n    return n")
    assert shown(kernel.run("%fetchfrom 2 show(7)")) == [
        ("text", " From worker 2:\tbefore"),
        ("display_data", "<b>7</b>"),
        ("text", " From worker 2:\tafter"),
        ("execute_result", "7"),
    ]


def test_it_does_from_everywhere_from_maps_and_through_another_worker(kernel: FrontEnd) -> None:
    cell = kernel.run("%%everywhere 2 3\nfrom IPython.display import HTML\ndisplay(HTML('<i>each</i>'))")
    assert shown(cell) == [("display_data", "<i>each</i>")] * 2
    cell = kernel.run("pydist.pmap(lambda n: display(HTML(f'<u>{n % 1}</u>')), range(3), progress=False);")
    assert [item for item in shown(cell) if item[0] == "display_data"] == [("display_data", "<u>0</u>")] * 3
    cell = kernel.run("pydist.fetchfrom(2, lambda: pydist.fetchfrom(3, lambda: display(HTML('<s>far</s>'))))")
    assert shown(cell) == [("display_data", "<s>far</s>")]


def test_text_that_is_displayed_has_the_prefix(kernel: FrontEnd) -> None:
    assert shown(kernel.run("%fetchfrom 2 display([1, 2])")) == [("text", " From worker 2:\t[1, 2]")]


def test_a_display_can_be_updated_and_the_cell_cleared(kernel: FrontEnd) -> None:
    kernel.run(
        "def job():\n"
        "    handle = display(HTML('<p>0</p>'), display_id=True)\n"
        "    handle.update(HTML('<p>1</p>'))\n"
        "    clear_output(wait=True)"
    )
    cell = kernel.run("%fetchfrom 2 job()")
    assert shown(cell) == [
        ("display_data", "<p>0</p>"),
        ("update_display_data", "<p>1</p>"),
        ("clear_output", True),
    ]
    ids = [m["content"]["transient"]["display_id"] for m in cell.messages if "display_data" in m["msg_type"]]
    assert len(ids) == 2
    assert len(set(ids)) == 1


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


def test_a_widget_of_a_worker_shows_its_text(kernel: FrontEnd) -> None:
    pytest.importorskip("ipywidgets")
    cell = kernel.run("import ipywidgets\n%fetchfrom 2 display(ipywidgets.IntSlider(3))")
    assert all("application/vnd.jupyter.widget-view+json" not in str(m["content"]) for m in cell.messages)
    assert "IntSlider(value=3)" in "".join(text for _, text in shown(cell))


def test_what_overwrites_itself_is_shown_as_it_stood_in_the_end(kernel: FrontEnd) -> None:
    cell = kernel.run("%%everywhere 2\nimport sys\nfor i in range(3): sys.stdout.write(f'\\r{i} of 3')\nprint()")
    assert shown(cell) == [("text", " From worker 2:\t2 of 3")]


def test_ipython_syntax_works_on_workers(kernel: FrontEnd) -> None:
    cell = kernel.run("%%everywhere 2\n!echo from the shell\nlines = !echo a; echo b\nprint(list(lines))")
    assert shown(cell) == [("text", " From worker 2:\tfrom the shell"), ("text", " From worker 2:\t['a', 'b']")]
    assert "per loop" in shown(kernel.run("%%everywhere 3\n%timeit -n1 -r1 pass"))[0][1]
    assert shown(kernel.run("%%spawnat 2 -o f\nawait __import__('asyncio').sleep(0, 5)")) == []
    assert shown(kernel.run("%fetch f")) == [("execute_result", "5")]


def test_log_records_of_workers_come_with_their_number(kernel: FrontEnd) -> None:
    kernel.run("import logging\ndef warn(text):\n    logging.getLogger('job').warning(text)")
    assert shown(kernel.run("%fetchfrom 2 warn('low')"))[0] == ("text", " From worker 2:\tlow")
    kernel.run(
        "%%everywhere --workers\nimport logging\n"
        "logging.basicConfig(level=logging.INFO, format='%(name)s: %(message)s', force=True)"
    )
    cell = kernel.run("pydist.fetchfrom(3, lambda: logging.getLogger('job').info('half'))")
    assert shown(cell) == [("text", " From worker 3:\tjob: half")]
