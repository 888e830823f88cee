"""What a user of JupyterLab sees: a real server, our kernel, real workers, a real browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.lab import Lab, Notebook

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

PATIENCE = 60_000  # ms
WIDGET = "application/vnd.jupyter.widget-view+json"


def save_when_nothing_moves(notebook: Notebook) -> list[dict[str, Any]]:
    """Save until no view is live in the document (on a loaded machine the table moves now and then); return outputs."""
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        bundles = [output["data"] for output in notebook.stored_outputs() if "data" in output]
        if all(WIDGET not in bundle for bundle in bundles) or time.monotonic() > deadline:
            return bundles


def test_a_session(lab: Lab, tmp_path: Path) -> None:
    sources = [
        "import pydist\npydist.addprocs(2)",
        "%workers",
        "from time import sleep\n\n\ndef square(n, seconds=0.2):\n    sleep(seconds)\n    return n * n",
        "print(sum(pydist.pmap(square, range(30), progress='squares')))",
        "pydist.remotecall_fetch(print, 3, 'hello')",
        "pydist.pmap(lambda n: square(n, 60), range(30), progress='forever')",
        "pydist.pmap(square, range(4), progress=False)",
    ]
    table, pmap, hello, forever, after = 1, 3, 4, 5, 6
    with lab.notebook(*sources) as notebook:
        page = notebook.page
        notebook.run_all()

        # The table and the progress move while the cell runs.
        busy = notebook.outputs(table).locator("tr[data-kind=busy]")
        expect(busy).to_have_count(2, timeout=PATIENCE)
        page.wait_for_function("() => [...document.querySelectorAll('progress')].some((bar) => bar.value % bar.max)")
        notebook.take_pictures(tmp_path, "running")
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
        expect(notebook.outputs(after)).to_contain_text("[0, 1, 4, 9]")

        # When nothing moves any more, the document needs neither widgets nor the kernel.
        expect(notebook.outputs(table).locator(".jp-RenderedHTMLCommon table").first).to_be_visible(timeout=PATIENCE)
        expect(notebook.outputs(table)).to_contain_text("2 workers · 0 running · ")
        notebook.take_pictures(tmp_path, "after")
        bundles = save_when_nothing_moves(notebook)
    assert all(WIDGET not in bundle for bundle in bundles)
    assert "2 workers · 0 running · " in "".join(bundles[1]["text/plain"])


def test_the_buttons_of_the_dashboard_work_while_a_cell_runs(lab: Lab, tmp_path: Path) -> None:
    sources = [
        "import pydist\nfrom pydist_widgets import dashboard\n\npydist.addprocs(2)\ndashboard()",
        "import time\n\nend = time.monotonic() + 120\n"
        "while pydist.workers() != [2, 4] and time.monotonic() < end:\n    time.sleep(0.05)\npydist.workers()",
    ]
    board, waiting = 0, 1
    with lab.notebook(*sources) as notebook:
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
        notebook.take_pictures(tmp_path, "dashboard")


def test_the_dashboard_is_back_when_the_page_is_loaded_again(lab: Lab, tmp_path: Path) -> None:
    with lab.notebook("%addprocs 2", "%dashboard", "pydist.workers()") as notebook:
        notebook.run(0, 1)
        notebook.load_again()
        view = notebook.outputs(1)
        expect(view.get_by_role("row")).to_have_count(4, timeout=PATIENCE)
        view.get_by_role("button", name="add a worker").click()
        expect(view.get_by_role("status")).to_have_text("added worker 4", timeout=PATIENCE)
        view.get_by_role("button", name="restart worker 2").click()
        expect(view.get_by_role("status")).to_have_text("restarted worker 2", timeout=PATIENCE)
        view.get_by_role("button", name="remove worker 3").click()
        expect(view.get_by_role("row")).to_have_count(4, timeout=PATIENCE)
        notebook.take_pictures(tmp_path, "dashboard")
        # All that can be pressed can be seen, also on a narrow screen.
        notebook.page.set_viewport_size({"width": 900, "height": 800})
        for name in ("interrupt", "restart", "remove"):
            expect(view.get_by_role("button", name=f"{name} worker 4")).to_be_in_viewport(ratio=1)
        notebook.take_pictures(tmp_path, "narrow")


def test_a_slider_that_lives_in_a_worker_is_moved(lab: Lab, tmp_path: Path) -> None:
    sources = [
        "import pydist\npydist.addprocs(2)",
        "%%everywhere 3\nimport ipywidgets\n\nslider = ipywidgets.IntSlider(value=3, description='rate')\n"
        "button = ipywidgets.Button(description='more')\n\n\ndef clicked(_):\n    slider.value += 10\n"
        "    print('more', slider.value)\n\n\nbutton.on_click(clicked)\n"
        "slider.observe(lambda change: print('moved', change.new), 'value')\n"
        "display(ipywidgets.VBox([slider, button]))",
        "%fetchfrom 3 slider.value",
        "import threading\n\ngate = threading.Event()\ngate.wait(120)",
        "pydist.rmprocs(3)",
    ]
    made, asked, running, removed = 1, 2, 3, 4
    with lab.notebook(*sources) as notebook:
        page = notebook.page
        notebook.run(0, made)
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
        expect(notebook.outputs(asked)).to_contain_text("6")

        # The worker answers while the kernel is busy with a cell.
        notebook.start(running)
        view = notebook.outputs(made)
        view.get_by_role("button", name="more").click()
        expect(readout).to_have_text("16", timeout=PATIENCE)
        expect(view).to_contain_text("From worker 3:\tmore 16")
        assert notebook.is_running(running)
        notebook.take_pictures(tmp_path, "slider")
        notebook.command("notebook:interrupt-kernel")
        notebook.wait_for_cell(running)

        notebook.run(removed)
        view = notebook.outputs(made)
        expect(view.get_by_role("button", name="more")).to_be_disabled(timeout=PATIENCE)
        notebook.take_pictures(tmp_path, "slider-lost")


WATCH = """() => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const seen = window.seen = {answers: [], frames: []};
    let last = performance.now();
    const frame = (now) => {
        seen.frames.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const ask = async () => {
        const begun = performance.now();
        await kernel.requestKernelInfo();
        seen.answers.push(performance.now() - begun);
        setTimeout(ask, 20);
    };
    ask();
}"""


def test_a_flood_of_four_workers_leaves_kernel_and_page_usable(lab: Lab) -> None:
    flood = "flood = %spawnat all [print('x' * 20, i) for i in range(50_000)]"
    with lab.notebook("import pydist\n%addprocs 4", flood, "_ = [f.fetch() for f in flood]", "6 * 7") as notebook:
        notebook.run(0)
        notebook.page.evaluate(WATCH)
        notebook.run(1)
        expect(notebook.outputs(1)).to_contain_text("left out; %pydist output 2 shows all", timeout=PATIENCE)
        notebook.run(2, 3)
        expect(notebook.outputs(3)).to_contain_text("42")
        seen = notebook.page.evaluate("() => window.seen")
    # A twentieth and six tenths of a second on two cores: the page draws a megabyte.  A busier machine is given more.
    assert max(seen["answers"]) < 3000
    assert max(seen["frames"]) < 2000
