"""A real IPython shell in the process of the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import pydist_magics
from tests.magics.shells import make_shell
from tests.magics.teams import Team

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell with nothing loaded."""
    main = sys.modules["__main__"]
    shell = make_shell()
    try:
        yield shell
    finally:
        pydist_magics.unload_ipython_extension(shell)
        type(shell).clear_instance()
        sys.modules["__main__"] = main


@pytest.fixture
def loaded(shell: InteractiveShell) -> InteractiveShell:
    """A shell with the magics."""
    shell.run_line_magic("load_ext", "pydist_magics")
    return shell


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    """A shell with three workers, for a whole file."""
    with Team() as team:
        yield team
