"""The command that .ci/run is run under."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a subreaper is Linux"),
]

TOP = Path(__file__).parents[2]
# What is left is left for certain, so there is nothing to be waited for.
SOON = (
    "import sys; from tools import leave_nothing; leave_nothing.GRACE = 0.1; sys.exit(leave_nothing.main(sys.argv[1:]))"
)


def under_watch(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SOON, "sh", "-c", script], cwd=TOP, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("code", [0, 1, 7])
def test_a_command_that_leaves_nothing_has_its_own_exit_code(code: int) -> None:
    done = under_watch(f"echo said; exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\n", "")


def test_a_process_that_is_left_is_named_and_ended() -> None:
    done = under_watch("setsid sleep 600 >/dev/null 2>&1 & echo $!")
    assert done.returncode == 1
    assert done.stderr == f"left running: {done.stdout.strip()} sleep 600 \n"
