"""The version stands in one place, and the rest agrees with it."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

TOP = Path(__file__).parents[2]
VERSION = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_changelog_opens_with_this_version() -> None:
    changelog = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    releases: list[str] = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert next(release for release in releases if release != "Unreleased") == VERSION


def test_the_installed_distribution_is_this_version() -> None:
    assert importlib.metadata.version("pydist-jupyter") == VERSION, "run `pip install -e .` again"


def test_no_module_writes_the_version_down_again() -> None:
    literal = f'"{VERSION}"'
    sources = [
        path for root in ("pydist_jupyter", "kernel", "magics", "widgets") for path in (TOP / root).rglob("*.py")
    ]
    assert [str(path) for path in sources if literal in path.read_text(encoding="utf-8")] == []
