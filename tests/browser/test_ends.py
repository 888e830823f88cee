"""The ends of kernels and workers as a user of JupyterLab meets them."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.browser.lab import Lab, Notebook
from tests.kernel.test_shutdown import SOON, all_end_within, watching

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

PATIENCE = 60_000  # ms

START = (
    "import os, pydist\npids = %addprocs 2\n"
    "print([os.getpid(), *(pydist.remotecall_fetch(os.getpid, pid) for pid in pids)])"
)
WIDGET = "%%everywhere 3\nimport ipywidgets\ndisplay(ipywidgets.IntSlider(value=3))"
WORK = "%fetchfrom 2 [print('at work'), __import__('time').sleep(600)]"


def ospids(notebook: Notebook, cell: int) -> list[int]:
    """Return the process ids that a cell has printed: the kernel's, and its workers'."""
    printed: list[int] = json.loads(notebook.outputs(cell).inner_text().strip())
    return printed


@pytest.mark.parametrize("busy", [False, True], ids=["between cells", "in a cell"])
@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_a_kernel_that_begins_again_has_no_old_workers_and_can_have_new_ones(lab: Lab, how: str, busy: bool) -> None:
    with lab.notebook(START, WIDGET, WORK, START) as notebook:
        notebook.run(0, 1)
        expect(notebook.outputs(1).get_by_role("slider")).to_be_visible(timeout=PATIENCE)
        old = ospids(notebook, 0)
        if busy:
            notebook.start(2)
            expect(notebook.outputs(2)).to_contain_text("at work", timeout=PATIENCE)
        with watching(old[1:]) as workers:
            if how == "killed":
                os.kill(old[0], signal.SIGKILL)
                assert all_end_within(workers, SOON)
                notebook.page.locator(".jp-Dialog").get_by_text("Ok").click(timeout=PATIENCE)
            else:
                notebook.restart()
                assert all_end_within(workers, 0.0)
        notebook.wait_for_kernel()
        notebook.run(3)
        new = ospids(notebook, 3)
        assert len(new) == 3
        assert not set(new) & set(old)
        expect(notebook.outputs(3)).not_to_contain_text("Traceback")
