"""Notebooks to run, and the command that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

__all__ = ["pydist", "read", "save"]

PATIENCE = 120.0


def pydist(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command ``pydist`` in ``folder`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pydist_kernel.cli", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def save(path: Path, *cells: str, kernel: str = "python3", **metadata: object) -> Path:
    """Write a notebook; a cell that begins with # and a blank is Markdown."""
    notebook = new_notebook(  # type: ignore[no-untyped-call, unused-ignore]
        cells=[new_markdown_cell(text) if text.startswith("# ") else new_code_cell(text) for text in cells],  # type: ignore[no-untyped-call, unused-ignore]
        metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}, **metadata},
    )
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call, unused-ignore]
    return path


def read(path: Path) -> list[str]:
    """Return what each code cell of a notebook shows, as text."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, unused-ignore]
    return ["".join(map(_text, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return str(output.data.get("text/plain", ""))
