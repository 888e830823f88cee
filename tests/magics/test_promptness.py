"""How long a line of a worker is on its way into the cell, by clocks that the processes of a machine share."""

from __future__ import annotations

import re
import statistics
import time

import pytest

from tests.magics.fronts import FrontEnd

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

LINES, GAP = 60, 0.02
TALK = """
import pydist, time
def talk(lines, gap):
    for i in range(lines):
        time.sleep(gap)
        print("stamp", time.monotonic())
"""
#: What the kernel does meanwhile.
MEANWHILE = {
    "idle": "",
    "waiting": "\ncall.fetch()",
    "computing": "\nn = 0\nwhile not call.isready():\n    n = sum(range(10_000))",
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_line_is_in_the_cell_within_a_blink(meanwhile: str) -> None:
    with FrontEnd(workers=1) as kernel:
        kernel.run(TALK)
        taken: list[float] = []
        cell = kernel.begin(f"call = pydist.remotecall(talk, 2, {LINES}, {GAP}){MEANWHILE[meanwhile]}")
        while len(taken) < LINES:
            seen = cell.stdout
            cell.wait_for(lambda cell, seen=seen: cell.stdout != seen)  # type: ignore[misc]
            now = time.monotonic()
            taken += [now - float(stamp) for stamp in re.findall(r"stamp ([\d.]+)\n", cell.stdout[len(seen) :])]
        cell.wait()
    # 20 and 50 ms are usual; a machine that has other things to do is given more.
    assert statistics.median(taken) < 0.2
    assert max(taken) < 2
