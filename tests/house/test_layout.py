"""Every top folder is a source root with one typed import package."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
PACKAGES = {
    "pydist_jupyter": "pydist",
    "kernel": "pydist_kernel",
    "magics": "pydist_magics",
    "widgets": "pydist_widgets",
}
# 300 lines are usual and 400 a sign; at this length a module has two nouns.
LONGEST_MODULE = 500
LONGEST_CLASS = 400


def settings() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("root", "package"), PACKAGES.items())
def test_a_root_holds_one_package_and_says_that_it_is_typed(root: str, package: str) -> None:
    held = [path.name for path in (TOP / root).iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert held == [package]
    assert (TOP / root / package / "__init__.py").is_file()
    assert (TOP / root / package / "py.typed").is_file()


def test_the_build_knows_the_same_packages() -> None:
    build = settings()["tool"]["hatch"]["build"]
    assert build["dev-mode-dirs"] == list(PACKAGES)
    assert build["targets"]["wheel"]["packages"] == [f"{root}/{package}" for root, package in PACKAGES.items()]


def test_the_tools_look_into_the_same_roots() -> None:
    tool = settings()["tool"]
    assert tool["ruff"]["src"] == [*PACKAGES, "."]
    assert tool["mypy"]["mypy_path"] == [*PACKAGES, "."]
    assert tool["importlinter"]["root_packages"] == list(PACKAGES.values())


def modules() -> list[Path]:
    return sorted(path for root, package in PACKAGES.items() for path in (TOP / root / package).rglob("*.py"))


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_a_module_can_be_read_in_one_sitting_and_opens_with_a_sentence(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.count("\n")
    assert lines <= LONGEST_MODULE
    assert ast.get_docstring(tree)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [c.name for c in classes if (c.end_lineno or 0) - c.lineno >= LONGEST_CLASS] == []


def test_no_test_sleeps() -> None:
    """A test that waits by the clock is slow on a fast machine and fails on a slow one: wait on the event instead."""
    found = [
        f"{path.relative_to(TOP)}:{call.lineno}"
        for path in sorted((TOP / "tests").rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_")
        for call in own_calls(function)
        if ast.unparse(call.func) in ("sleep", "time.sleep", "asyncio.sleep") and "0" not in map(ast.unparse, call.args)
    ]
    assert found == []


def own_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that ``function`` makes itself. What it defines inside is for a worker, which may well sleep."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Call):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from own_calls(node)
