r"""Equal lines of several workers as one: `` From workers 2-5:\tready``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Piece", "folded", "id_ranges"]

#: A stream's name and text, or a message's type and content.
Piece = tuple[str, Any]

_LINE = re.compile(r" From worker \d+:\t(.*\n?)", re.DOTALL)


class _Lines:
    """What one writer has written: (kind, content, may it be folded), and how often each of it is still to come."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.items: list[tuple[str, Any, bool]] = []
        for kind, content in pieces:
            if not isinstance(content, str):
                self.items.append((kind, content, False))
                continue
            for line in content.splitlines(keepends=True):
                match = _LINE.fullmatch(line)
                self.items.append((kind, match[1], True) if match else (kind, line, False))
        self.at = 0
        self.left = Counter((kind, content) for kind, content, foldable in self.items if foldable)

    def next(self) -> tuple[str, Any, bool]:
        item = self.items[self.at]
        self.at += 1
        if item[2]:
            self.left[item[:2]] -= 1
        return item


def folded(held: Mapping[int, list[Piece]]) -> list[Piece]:
    """Return the pieces of all workers in the order of the workers, equal lines folded; each one's order is kept."""
    lines = {pid: _Lines(pieces) for pid, pieces in sorted(held.items())}
    done: list[Piece] = []
    for pid, own in lines.items():
        while own.at < len(own.items):
            kind, content, foldable = own.next()
            if not foldable:
                done.append((kind, content))
                continue
            pids = [pid]
            for other, its in lines.items():
                if other <= pid or its.left[kind, content] <= 0:
                    continue
                # What it wrote before that line comes before it.
                while (item := its.next()) != (kind, content, True):
                    done.append((item[0], _named([other], item[1]) if item[2] else item[1]))
                pids.append(other)
            done.append((kind, _named(pids, content)))
    return done


def _named(pids: list[int], line: str) -> str:
    return f" From worker{'s' if len(pids) > 1 else ''} {id_ranges(pids)}:\t{line}"


def id_ranges(pids: Sequence[int]) -> str:
    """Return ids as people write them.

    >>> id_ranges([2, 3, 4, 7])
    '2-4, 7'
    """
    spans: list[list[int]] = []
    for pid in pids:
        if spans and pid == spans[-1][1] + 1:
            spans[-1][1] = pid
        else:
            spans.append([pid, pid])
    return ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in spans)
