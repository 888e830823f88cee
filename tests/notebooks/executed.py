"""Notebooks as users execute them: without a browser, and by ``pydist run`` into a document."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

from tests.browser.lab import open_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["FOLDER", "WORKERS", "Outputs", "bundles", "execute", "open_document", "printed", "write_document"]

FOLDER = Path(__file__).parents[2] / "notebooks"
WORKERS = 4
_TIMEOUT = 300  # for one cell, on a machine that is busy with other tests

Outputs = list[dict[str, Any]]


def execute(source: Path) -> dict[str, Outputs]:
    """Execute a notebook and return what each cell shows."""
    notebook = nbformat.read(source, as_version=4)
    NotebookClient(notebook, timeout=_TIMEOUT, resources={"metadata": {"path": str(source.parent)}}).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(outputs: Outputs) -> str:
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def bundles(outputs: Outputs) -> list[dict[str, Any]]:
    return [output["data"] for output in outputs if "data" in output]


def write_document(source: Path, html: Path) -> None:
    """Let ``pydist run`` make a document of a notebook."""
    pydist = Path(sys.executable).with_name("pydist")
    subprocess.run(
        [pydist, "run", source, "-p", str(WORKERS), "-o", html], check=True, timeout=_TIMEOUT, cwd=html.parent
    )


@contextlib.contextmanager
def open_document(document: Path, picture: Path, chromium: str) -> Iterator[Page]:
    """Show a document with the network off; it asks for nothing and complains of nothing. It has one figure."""
    refused: list[str] = []
    complaints: list[str] = []
    with open_page(chromium, ("file:", "data:", "blob:"), refused=refused, complaints=complaints) as page:
        page.goto(document.as_uri())
        page.screenshot(path=picture, full_page=True)
        figure = page.locator(".jp-OutputArea img")
        assert figure.count() == 1
        assert figure.evaluate("image => image.complete && image.naturalWidth") > 300
        yield page
    assert refused == []
    assert complaints == []
