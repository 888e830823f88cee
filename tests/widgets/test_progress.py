from __future__ import annotations

import pytest

from pydist_widgets._progress import Progress


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("pmap", total=36), "pmap [------------------------] ▶ running · 0/36 · 0.0 s"),
        (
            Progress("pmap", finished=12, failed=1, total=36, elapsed=4.0),
            "pmap [########----------------] ▶ running · 12/36 · 1 failed · 4.0 s · 3.0/s · about 8.0 s left",
        ),
        (
            Progress("pmap", finished=36, total=36, elapsed=4.0, state="done"),
            "pmap [########################] ✔ done · 36/36 · 4.0 s · 9.0/s",
        ),
        (
            Progress("pmap", finished=9, total=36, elapsed=3.0, state="interrupted"),
            "pmap [######------------------] ■ interrupted · 9/36 · 3.0 s · 3.0/s",
        ),
        (
            Progress("pmap", finished=9, failed=1, total=36, elapsed=3.0, state="failed"),
            "pmap [######------------------] ✘ failed · 9/36 · 1 failed · 3.0 s · 3.0/s",
        ),
        (Progress("pmap", total=0, state="done"), "pmap [########################] ✔ done · 0/0 · 0.0 s"),
        (
            Progress("pmap", finished=9, elapsed=3.0),
            "pmap [------------------------] ▶ running · 9 · 3.0 s · 3.0/s",
        ),
        (
            Progress("pmap", finished=9, elapsed=3.0, state="done"),
            "pmap [########################] ✔ done · 9 · 3.0 s · 3.0/s",
        ),
    ],
)
def test_text(progress: Progress, text: str) -> None:
    assert progress.text() == text


def test_html_is_a_real_progress_bar_with_its_words_beside_it() -> None:
    html = Progress("<pmap>", finished=12, total=36, elapsed=4.0).html()
    assert '<progress max="36" value="12"' in html
    assert "▶ running" in html
    assert "12/36" in html
    assert "<pmap>" not in html


def test_html_shows_a_bar_of_characters_where_the_tag_is_stripped() -> None:
    assert ">[########----------------]</progress>" in Progress("pmap", finished=12, total=36).html()


def test_a_bar_of_unknown_length_moves_only_while_it_runs() -> None:
    assert "value=" not in Progress("pmap", finished=3).html()
    assert 'value="1"' in Progress("pmap", finished=3, state="done").html()
    assert 'value="0"' in Progress("pmap", finished=3, state="interrupted").html()


def test_nothing_to_do_is_a_full_bar() -> None:
    assert '<progress max="1" value="1"' in Progress("pmap", total=0, state="done").html()
