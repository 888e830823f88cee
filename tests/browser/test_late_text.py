"""Text of calls that outlive their cell, as a browser shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat.v4
import pytest

from tests.browser.lab import Lab, open_page

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

from nbconvert import HTMLExporter
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

PATIENCE = 60_000  # ms
METADATA = {"kernelspec": {"name": "pydist", "display_name": "Python 3 (pydist)", "language": "python"}}
HEIGHTS = "(at) => [...at.querySelectorAll('.jp-OutputArea-child')].map((one) => one.getBoundingClientRect().height)"


def executed(late: str) -> Any:
    """Return a notebook with a block of late text between two texts."""
    new: Any = nbformat.v4
    block = new.new_output("display_data", data={"text/plain": late}, metadata={"pydist": "late"})
    before, after = (new.new_output("stream", name="stdout", text=text) for text in ("before\n", "after\n"))
    cell = new.new_code_cell("1", execution_count=1, outputs=[before, block, after])
    return new.new_notebook(cells=[cell], metadata=METADATA)


def test_late_text_is_in_its_cell_and_stays_there(tmp_path: Path, chromium: str) -> None:
    new: Any = nbformat.v4
    sources = (
        "import pydist\npydist.addprocs(1)\n%everywhere import threading; gate = threading.Event()",
        "f = %spawnat 2 [gate.wait(60), print('late'), print('\\x1b[31mred\\x1b[0m')]\nprint('own')",
        "%fetchfrom 2 gate.set()\nf.wait()\nprint('waited')",
    )
    notebook = new.new_notebook(cells=[new.new_code_cell(text) for text in sources], metadata=METADATA)
    nbformat.write(notebook, tmp_path / "a.ipynb")
    with Lab(tmp_path, chromium) as lab, lab.page() as page:
        shown = lab.open(page, tmp_path / "a.ipynb")
        shown.run_all()
        shown.wait_for_cell(2)
        expect(shown.outputs(1)).to_contain_text("From worker 2:\tred", timeout=PATIENCE)
        expect(shown.outputs(1)).to_contain_text("own")
        expect(shown.outputs(1).locator(".ansi-red-fg")).to_have_text("red")
        expect(shown.outputs(2)).to_have_text("waited")
        shown.command("docmanager:save")
        assert lab.complaints == []
    saved = nbformat.read(tmp_path / "a.ipynb", as_version=4)
    assert "".join(output.text for output in saved.cells[1].outputs).startswith("own\n From worker 2:\tlate\n")


@pytest.mark.parametrize(("late", "takes_room"), [("", False), (" From worker 2:\tlate", True)])
def test_a_block_takes_room_only_if_there_is_text(tmp_path: Path, chromium: str, late: str, takes_room: bool) -> None:
    nbformat.write(executed(late), tmp_path / "a.ipynb")
    with Lab(tmp_path, chromium) as lab, lab.page() as page:
        _, height, _ = lab.open(page, tmp_path / "a.ipynb").outputs(0).evaluate(HEIGHTS)
        assert (height > 0) == takes_room
    exporter: Any = HTMLExporter
    html, _ = exporter(template_name="lab").from_notebook_node(executed(late))
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    with open_page(chromium, ("file:",), refused=[], complaints=[]) as page:
        page.goto((tmp_path / "a.html").as_uri(), wait_until="domcontentloaded")
        _, height, _ = page.locator(".jp-Cell-outputWrapper").evaluate(HEIGHTS)
        assert (height > 0) == takes_room
