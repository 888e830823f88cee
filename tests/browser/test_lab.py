"""What a user of JupyterLab sees: a real server, our kernel, real workers, a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat.v4
import pytest

from tests.browser.lab import Lab, Notebook

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

NAME = "a.ipynb"
PATIENCE = 60_000  # ms
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that JupyterLab shows; pictures go beside it."""
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


def write_notebook(folder: Path, sources: Sequence[str]) -> None:
    notebook: Any = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"name": "pydist", "display_name": "Python 3 (pydist)", "language": "python"}},
    )
    nbformat.write(notebook, folder / NAME)


def stored_outputs(folder: Path) -> list[dict[str, Any]]:
    cells = json.loads((folder / NAME).read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell["outputs"]]


def save_when_nothing_moves(notebook: Notebook, folder: Path) -> list[dict[str, Any]]:
    """Save until no view is live in the document (on a loaded machine the table moves now and then); return outputs."""
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        notebook.command("docmanager:save")
        bundles = [output["data"] for output in stored_outputs(folder) if "data" in output]
        if all(WIDGET not in bundle for bundle in bundles) or time.monotonic() > deadline:
            return bundles


def take_pictures(notebook: Notebook, page: Page, folder: Path, name: str) -> None:
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.screenshot(path=folder / f"{name}-{theme.lower()}.png")


def test_a_session(folder: Path, tmp_path: Path, chromium: str) -> None:
    write_notebook(
        folder,
        [
            "import pydist\npydist.addprocs(2)",
            "%workers",
            "from time import sleep\n\n\ndef square(n, seconds=0.2):\n    sleep(seconds)\n    return n * n",
            "print(sum(pydist.pmap(square, range(30), progress='squares')))",
            "pydist.remotecall_fetch(print, 3, 'hello')",
            "pydist.pmap(lambda n: square(n, 60), range(30), progress='forever')",
            "pydist.pmap(square, range(4), progress=False)",
        ],
    )
    table, pmap, hello, forever, after = 1, 3, 4, 5, 6
    with Lab(folder, chromium) as lab, lab.page() as page:
        notebook = lab.open(page, NAME)
        notebook.run_all()

        # The table and the progress move while the cell runs.
        busy = notebook.outputs(table).locator("tr[data-kind=busy]")
        expect(busy).to_have_count(2, timeout=PATIENCE)
        page.wait_for_function("() => [...document.querySelectorAll('progress')].some((bar) => bar.value % bar.max)")
        take_pictures(notebook, page, tmp_path, "running")
        notebook.wait_for_cell(pmap)
        expect(notebook.outputs(pmap)).to_contain_text("✔ done · 30/30")
        expect(notebook.outputs(pmap)).to_contain_text(str(sum(n * n for n in range(30))))

        notebook.wait_for_cell(hello)
        expect(notebook.outputs(hello)).to_contain_text("From worker 3:\thello")

        # An endless pmap is interrupted by the button, and the workers are as good as before.
        expect(notebook.outputs(forever)).to_contain_text("▶ running · 0/30", timeout=PATIENCE)
        expect(busy).to_have_count(2)
        page.locator('[data-command="notebook:interrupt-kernel"], [data-jp-item-name="interrupt"]').first.click()
        notebook.wait_for_cell(forever)
        expect(notebook.outputs(forever)).to_contain_text("■ interrupted · 0/30")
        expect(notebook.outputs(forever)).to_contain_text("KeyboardInterrupt")
        notebook.run(after)
        notebook.wait_for_cell(after)
        expect(notebook.outputs(after)).to_contain_text("[0, 1, 4, 9]")

        # When nothing moves any more, the document needs neither widgets nor the kernel.
        expect(notebook.outputs(table).locator(".jp-RenderedHTMLCommon table").first).to_be_visible(timeout=PATIENCE)
        expect(notebook.outputs(table)).to_contain_text("2 workers · 0 running · ")
        take_pictures(notebook, page, tmp_path, "after")
        bundles = save_when_nothing_moves(notebook, folder)
        assert lab.refused == []
        assert lab.complaints == []
    assert all(WIDGET not in bundle for bundle in bundles)
    assert "2 workers · 0 running · " in "".join(bundles[1]["text/plain"])


def test_the_buttons_of_the_dashboard_work_while_a_cell_runs(folder: Path, tmp_path: Path, chromium: str) -> None:
    write_notebook(
        folder,
        [
            "import pydist\nfrom pydist_widgets import dashboard\n\npydist.addprocs(2)\ndashboard()",
            "import time\n\nend = time.monotonic() + 120\n"
            "while pydist.workers() != [2, 4] and time.monotonic() < end:\n    time.sleep(0.05)\npydist.workers()",
        ],
    )
    board, waiting = 0, 1
    with Lab(folder, chromium) as lab, lab.page() as page:
        notebook = lab.open(page, NAME)
        notebook.run_all()
        view = notebook.outputs(board)
        expect(view.get_by_role("row")).to_have_count(4, timeout=PATIENCE)
        view.get_by_role("button", name="add a worker").click()
        expect(view.get_by_role("status")).to_have_text("added worker 4", timeout=PATIENCE)
        expect(view.get_by_role("row")).to_have_count(5)

        # The keyboard stays where it is, though the end of a cell draws the view anew.
        remove = view.get_by_role("button", name="remove worker 3")
        view.get_by_role("button", name="interrupt worker 4").focus()
        remove.dispatch_event("click")
        expect(view.get_by_role("row")).to_have_count(4, timeout=PATIENCE)
        notebook.wait_for_cell(waiting)
        expect(notebook.outputs(waiting)).to_contain_text("[2, 4]")
        expect(view.get_by_role("button", name="interrupt worker 4")).to_be_focused()
        take_pictures(notebook, page, tmp_path, "dashboard")
        assert lab.refused == []
        assert lab.complaints == []


def test_a_slider_that_lives_in_a_worker_is_moved(folder: Path, tmp_path: Path, chromium: str) -> None:
    write_notebook(
        folder,
        [
            "import pydist\npydist.addprocs(2)",
            "%%everywhere 3\nimport ipywidgets\n\nslider = ipywidgets.IntSlider(value=3, description='rate')\n"
            "button = ipywidgets.Button(description='more')\n\n\ndef clicked(_):\n    slider.value += 10\n"
            "    print('more', slider.value)\n\n\nbutton.on_click(clicked)\n"
            "slider.observe(lambda change: print('moved', change.new), 'value')\n"
            "display(ipywidgets.VBox([slider, button]))",
            "%fetchfrom 3 slider.value",
            "import threading\n\ngate = threading.Event()\ngate.wait(120)",
            "pydist.rmprocs(3)",
        ],
    )
    made, asked, running, removed = 1, 2, 3, 4
    with Lab(folder, chromium) as lab, lab.page() as page:
        notebook = lab.open(page, NAME)
        for cell in (0, made):
            notebook.run(cell)
            notebook.wait_for_cell(cell)
        view = notebook.outputs(made)
        handle, readout = view.get_by_role("slider"), view.locator(".widget-readout")
        expect(readout).to_have_text("3", timeout=PATIENCE)
        handle.focus()
        for value in (4, 5, 6):
            page.keyboard.press("ArrowRight")
            expect(readout).to_have_text(str(value))
        # The page sends a move when the one before is done with.
        expect(view).to_contain_text("From worker 3:\tmoved 6", timeout=PATIENCE)
        notebook.run(asked)
        notebook.wait_for_cell(asked)
        expect(notebook.outputs(asked)).to_contain_text("6")

        # The worker answers while the kernel is busy with a cell.
        notebook.run(running)
        view = notebook.outputs(made)
        view.get_by_role("button", name="more").click()
        expect(readout).to_have_text("16", timeout=PATIENCE)
        expect(view).to_contain_text("From worker 3:\tmore 16")
        assert notebook.is_running(running)
        take_pictures(notebook, page, tmp_path, "slider")
        notebook.command("notebook:interrupt-kernel")
        notebook.wait_for_cell(running)

        notebook.run(removed)
        notebook.wait_for_cell(removed)
        view = notebook.outputs(made)
        expect(view.get_by_role("button", name="more")).to_be_disabled(timeout=PATIENCE)
        take_pictures(notebook, page, tmp_path, "slider-lost")
        assert lab.refused == []
        assert lab.complaints == []
