"""All notebooks, as they are kept."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.notebooks.executed import FOLDER


@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.ipynb")), ids=lambda source: source.stem)
def test_it_is_kept_without_outputs(source: Path) -> None:
    notebook = nbformat.read(source, as_version=4)
    assert notebook.metadata.kernelspec == {
        "name": "pydist",
        "display_name": "Python 3 (pydist)",
        "language": "python",
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
