"""The JupyterLab of a file of tests; each test has a notebook, a kernel and a browser of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Lab]:
    """A JupyterLab on an empty folder."""
    with Lab(tmp_path_factory.mktemp("lab"), chromium) as lab:
        yield lab
