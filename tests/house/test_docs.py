"""The pages in docs/ name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pydist_magics._pydist_magic import PYDIST
from pydist_magics._session import _TABLES

DOCS = Path(__file__).parents[2] / "docs"
MAGICS = sorted({name for table in _TABLES for magic in table for name in (magic.command.name,)})


@pytest.mark.parametrize("name", MAGICS)
def test_every_magic_is_described(name: str) -> None:
    assert re.search(rf"%{name}\b", (DOCS / "magics.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("topic", [topic.name for topic in PYDIST.topics])
def test_every_topic_of_pydist_is_described(topic: str) -> None:
    assert f"%pydist {topic}" in (DOCS / "magics.md").read_text(encoding="utf-8")


def test_the_pages_that_are_linked_are_there() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
