"""The names that pydist shows."""

from __future__ import annotations

import subprocess
import sys

import pydist

#: Names that are modules, or are asked for by front ends only.
BESIDES = {"frontend", "managers", "runfiles", "testing", "worker"}


def test_a_star_import_brings_every_public_name_the_late_ones_too() -> None:
    code = "from pydist import *; import pydist; print(sorted(set(pydist.__all__) - set(globals())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_all_says_what_is_public() -> None:
    public = {name for name in dir(pydist) if not name.startswith("_")}
    assert public - BESIDES == set(pydist.__all__)
    assert set(pydist._LATER) <= set(pydist.__all__)


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in pydist.__all__ if not getattr(pydist, name).__doc__] == []
