"""pyproject.toml says the version, and the rest agrees with it."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pydist

TOP = Path(__file__).parents[2]
VERSION = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_changelog_opens_with_this_version() -> None:
    changelog = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    releases: list[str] = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert next(release for release in releases if release != "Unreleased") == VERSION


def test_the_installed_distribution_is_this_version() -> None:
    assert importlib.metadata.version("pydist-jupyter") == VERSION, "run `pip install -e .` again"


def test_the_package_says_this_version() -> None:
    """It is written there again: to read it from the metadata would take longer than the whole import."""
    assert pydist.__version__ == VERSION
