"""Small tables that show themselves: aligned text for a terminal, plain html for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["Table"]


class Table:
    """Rows under names of columns.

    Args:
        columns: What stands above each column.
        rows: The cells; all rows are as long as ``columns``.
        caption: What it is about, in a few words.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> None:
        self.columns = tuple(columns)
        self.rows = [tuple(map(str, row)) for row in rows]
        self.caption = caption

    def text(self) -> str:
        """Return it as lines."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(line.rstrip() for line in ([self.caption] if self.caption else []) + drawn)

    def html(self) -> str:
        """Return it as html that needs no style sheet."""
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()
