"""Fixtures for tests with kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jupyter_core.utils import ensure_event_loop


@pytest.fixture(scope="session", autouse=True)
def own_run_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the run files of our clusters apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        yield


@pytest.fixture(scope="session", autouse=True)
def loop_of_jupyter_client() -> Iterator[None]:
    """Close the event loop that jupyter_client makes for its blocking calls and leaves open."""
    yield
    ensure_event_loop().close()
