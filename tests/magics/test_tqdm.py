"""Bars of tqdm around maps and inside of what workers run, in real kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.magics.fronts import FrontEnd, kernels

if TYPE_CHECKING:
    from tests.kernel.driver import Cell

pytest.importorskip("tqdm")

pytestmark = [pytest.mark.kernel, pytest.mark.processes]

kernel = kernels("plain", "ours", first=("import pydist, sys\nfrom tqdm import tqdm",))


def written(cell: Cell) -> str:
    """Return all the text that a cell has written."""
    return "".join(m["content"]["text"] for m in cell.messages if m["msg_type"] == "stream")


@pytest.mark.parametrize(
    "work",
    [
        "list(tqdm(pydist.pimap(abs, range(-200, 0)), total=200))",
        "list(tqdm(pydist.pimap(abs, range(-200, 0), ordered=False), total=200))",
        "pydist.pmap(abs, tqdm(range(-200, 0)), progress=False)",
        "list(tqdm(pydist.Executor().map(abs, range(-200, 0)), total=200))",
        "list(tqdm(pydist.as_completed([pydist.spawn(abs, i) for i in range(200)]), total=200))",
    ],
    ids=["pimap", "pimap as completed", "the input of pmap", "Executor.map", "as_completed"],
)
def test_a_bar_around_fills_in_its_cell_and_stays_one_line(work: str, kernel: FrontEnd) -> None:
    cell = kernel.run(f"found = {work}\nlen(found)")
    text = written(cell)
    assert "100%" in text
    assert " 200/200 " in text
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert "From worker" not in text


def test_a_bar_of_a_worker_is_seen_in_the_cell_of_its_call(kernel: FrontEnd) -> None:
    cell = kernel.run(
        "def work(n):\n"
        "    from tqdm import tqdm\n"
        "    return sum(tqdm(range(n), desc='job', mininterval=60))\n"
        "pydist.fetchfrom(2, work, 50)"
    )
    text = written(cell)
    assert " From worker 2:\t" in text
    assert "job: 100%" in text
    assert " 50/50 " in text
