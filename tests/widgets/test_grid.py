from __future__ import annotations

import re

from pydist_widgets._grid import ROWS_SHOWN, TEXT_ROWS_SHOWN, Column, Grid

COLUMNS = (Column("id", numeric=True), Column("name"), Column("size", numeric=True))


def grid(rows: int) -> Grid:
    return Grid("things", COLUMNS, tuple((str(n), f"n{n}", f"{n} B") for n in range(rows)))


def test_text_is_aligned_numbers_to_the_right() -> None:
    shown = Grid("two things", COLUMNS, (("2", "a", "10 kB"), ("10", "long name", "3 B"))).text()
    assert shown.splitlines() == [
        "two things",
        "id  name        size",
        " 2  a          10 kB",
        "10  long name    3 B",
    ]


def test_text_of_no_rows_is_the_head() -> None:
    assert Grid("", COLUMNS, ()).text() == "id  name  size"


def test_text_says_how_many_rows_it_leaves_out() -> None:
    lines = grid(TEXT_ROWS_SHOWN + 5).text().splitlines()
    assert len(lines) == 2 + TEXT_ROWS_SHOWN + 1
    assert lines[-1] == "... and 5 more"


def test_html_names_columns_and_rows_for_a_screen_reader() -> None:
    html = grid(2).html()
    assert "<caption" in html
    assert html.count('<th scope="col"') == 3
    assert html.count('<th scope="row"') == 2


def test_html_needs_nothing_that_an_untrusting_front_end_strips() -> None:
    html = grid(40).html()
    assert "var(" not in html
    assert not re.search(r"<(style|script|svg)|\bclass=|\brole=|aria-|data-", html)


def test_html_escapes() -> None:
    html = Grid("<b>", (Column("<i>"),), (("<u>&",),)).html()
    assert "&lt;b&gt;" in html
    assert "&lt;i&gt;" in html
    assert "&lt;u&gt;&amp;" in html


def test_html_folds_away_what_would_fill_the_screen() -> None:
    assert "<details>" not in grid(ROWS_SHOWN).html()
    html = grid(ROWS_SHOWN + 3).html()
    visible, folded = html.split("<details>")
    assert visible.count('scope="row"') == ROWS_SHOWN
    assert folded.count('scope="row"') == 3
    assert "<summary>3 more</summary>" in folded
