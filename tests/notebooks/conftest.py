"""What becomes of the notebook that a module calls its ``SOURCE``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.executed import Outputs, execute, write_document


@pytest.fixture(scope="module")
def cells(request: pytest.FixtureRequest) -> dict[str, Outputs]:
    """What each cell shows."""
    return execute(request.module.SOURCE)


@pytest.fixture(scope="module")
def document(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document that ``pydist run`` makes."""
    html = tmp_path_factory.mktemp("run") / "document.html"
    write_document(request.module.SOURCE, html)
    return html
