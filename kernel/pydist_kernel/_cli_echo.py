"""What ``pydist run`` says while a notebook runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Echo", "added_lines"]


class Echo:
    """Tells on stderr how far a notebook is, and on stdout what it prints if no file takes that."""

    def __init__(self, outputs: bool) -> None:
        self.outputs = outputs
        self._began = 0.0
        # The blocks that calls write into when their cell has ended, and what has been shown of each.
        self._blocks: list[tuple[NotebookNode, list[str]]] = []

    def began(self, number: int, total: int) -> None:
        """Say that a cell begins."""
        self._began = time.monotonic()
        print(f"cell {number}/{total} ... ", end="", file=sys.stderr, flush=True)

    def ended(self, cell: NotebookNode, failed: bool) -> None:
        """Say how a cell ended, and what it printed; before that, what has come for earlier ones meanwhile."""
        print(f"{'failed after ' * failed}{time.monotonic() - self._began:.1f} s", file=sys.stderr, flush=True)
        if not self.outputs:
            return
        self._show_blocks()
        for output in cell.outputs:
            if output.get("metadata", {}).get("pydist") == "late":
                self._blocks.append((output, []))
                self._show_blocks()
            else:
                self._show(output)

    def _show_blocks(self) -> None:
        for output, shown in self._blocks:
            lines = output.data["text/plain"].splitlines()
            for line in added_lines(shown, lines):
                print(line, flush=True)
            shown[:] = lines

    def _show(self, output: NotebookNode) -> None:
        if output.output_type == "stream":
            print(output.text, end="", file=sys.stderr if output.name == "stderr" else sys.stdout, flush=True)
        elif "text/plain" in output.get("data", {}):
            print(output.data["text/plain"], flush=True)


def added_lines(before: list[str], after: list[str]) -> list[str]:
    """Return what is new in ``after``, which has the lines of before in their order.

    >>> added_lines(["a", "c"], ["a", "b", "c", "d"])
    ['b', 'd']
    """
    known = iter(before)
    awaited = next(known, None)
    added = []
    for line in after:
        if line == awaited:
            awaited = next(known, None)
        else:
            added.append(line)
    return added
