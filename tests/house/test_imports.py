"""What an import brings with it. The order of the floors is import-linter's business (`python3 run.py lint`)."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

HEAVY = ("IPython", "asyncio", "cloudpickle", "ipykernel", "ipywidgets", "multiprocessing", "numpy", "traitlets", "zmq")


def modules_after(statement: str) -> set[str]:
    """Return what a new interpreter has imported after ``statement``."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_the_runtime_brings_no_front_end_and_no_event_loop() -> None:
    assert modules_after("import pydist").intersection(HEAVY) == set()


@pytest.mark.parametrize(
    ("front_end", "others"),
    [
        ("pydist_magics", {"pydist_kernel", "pydist_widgets"}),
        ("pydist_widgets", {"pydist_kernel", "pydist_magics"}),
        ("pydist_kernel", {"pydist_magics", "pydist_widgets"}),
    ],
)
def test_a_front_end_brings_no_other(front_end: str, others: set[str]) -> None:
    assert modules_after(f"import {front_end}").isdisjoint(others)


def test_the_managers_that_the_distribution_offers_can_be_loaded() -> None:
    offered = importlib.metadata.distribution("pydist-jupyter").entry_points.select(group="pydist.cluster_managers")
    assert {entry.name for entry in offered} >= {"local"}
    assert all(isinstance(entry.load(), type) for entry in offered)


def test_the_command_can_be_loaded() -> None:
    (command,) = importlib.metadata.distribution("pydist-jupyter").entry_points.select(group="console_scripts")
    assert callable(command.load())
