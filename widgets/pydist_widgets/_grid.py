"""A table of words and numbers, as aligned text and as html that needs no style sheet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

__all__ = ["Column", "Grid"]

# A hundred workers would push the rest of a notebook off the screen.
ROWS_SHOWN = 16
TEXT_ROWS_SHOWN = 64


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers are aligned to the right."""

    title: str
    numeric: bool = False

    @property
    def html_style(self) -> str:
        # JupyterLab aligns every cell to the right. Only plain properties: a
        # front end that does not trust the notebook strips var().
        return ' style="text-align: right"' if self.numeric else ' style="text-align: left"'


@dataclass(frozen=True)
class Grid:
    """A caption, columns and rows of strings. The first cell of a row names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return the caption and the aligned rows, one line each."""
        shown = self.rows[:TEXT_ROWS_SHOWN]
        table = [tuple(column.title for column in self.columns), *shown]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        lines = [self.caption] if self.caption else []
        for cells in table:
            padded = (
                cell.rjust(width) if column.numeric else cell.ljust(width)
                for cell, width, column in zip(cells, widths, self.columns, strict=True)
            )
            lines.append("  ".join(padded).rstrip())
        if len(shown) < len(self.rows):
            lines.append(f"... and {len(self.rows) - len(shown)} more")
        return "\n".join(lines)

    def html(self) -> str:
        """Return the table; rows beyond the first sixteen stand in a second one, folded away."""
        html = self._table(self.rows[:ROWS_SHOWN], self.caption)
        rest = self.rows[ROWS_SHOWN:]
        if rest:
            html += f"<details><summary>{len(rest)} more</summary>{self._table(rest, '')}</details>"
        return html

    def _table(self, rows: Iterable[tuple[str, ...]], caption: str) -> str:
        parts = ["<table>"]
        if caption:
            parts.append(f'<caption style="text-align: left"><b>{escape(caption)}</b></caption>')
        parts.append("<thead><tr>")
        parts += [f'<th scope="col"{column.html_style}>{escape(column.title)}</th>' for column in self.columns]
        parts.append("</tr></thead><tbody>")
        for cells in rows:
            parts.append("<tr>")
            for place, (cell, column) in enumerate(zip(cells, self.columns, strict=True)):
                tag, scope = ("th", ' scope="row"') if place == 0 else ("td", "")
                parts.append(f"<{tag}{scope}{column.html_style}>{escape(cell)}</{tag}>")
            parts.append("</tr>")
        parts.append("</tbody></table>")
        return "".join(parts)
