"""How errors of other processes look."""

from __future__ import annotations

import linecache
from collections.abc import Sequence

import pytest

from pydist_magics._drawing import Failure, Frame, Piece, Style, draw_failure, draw_groups, group, id_ranges

CELL = "<cell-4>"
SOURCE = ["def f(x):\n", "    y = 1\n", "    return y / x\n", "\n", "def g(x):\n", "    return f(x)\n"]


def is_library(filename: str) -> bool:
    return "site-packages" in filename


STYLE = Style(lambda name: "Cell In[4]" if name == CELL else None, is_library)
ALL = Style(STYLE.label, is_library, fold=False)

IN_G = Frame(CELL, 6, "g")
IN_F = Frame(CELL, 3, "f")
NUMPY = [Frame("/env/site-packages/numpy/linalg.py", n, name) for n, name in ((10, "inv"), (88, "solve"))]


@pytest.fixture(autouse=True)
def source_of_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    # And of nothing else: other tests may have left magics of the same name.
    monkeypatch.setattr(linecache, "cache", {CELL: (1, None, SOURCE, CELL)})


def text_of(parts: Sequence[Sequence[Piece]]) -> str:
    return "".join(text for part in parts for _, text in part)


def test_frames_stand_below_the_worker_with_the_lines_of_the_notebook() -> None:
    failure = Failure(2, "ZeroDivisionError", "division by zero", (IN_G, IN_F), host="vega")
    assert text_of(draw_failure(failure, STYLE)) == (
        "On worker 2 (vega):\n"
        "Cell In[4], line 6, in g\n"
        "      4 \n"
        "      5 def g(x):\n"
        "----> 6     return f(x)\n"
        "Cell In[4], line 3, in f\n"
        "      1 def f(x):\n"
        "      2     y = 1\n"
        "----> 3     return y / x\n"
        "      4 \n"
        "      5 def g(x):\n"
    )


def test_frames_of_libraries_are_folded() -> None:
    text = text_of(draw_failure(Failure(2, "E", "m", (IN_F, *NUMPY)), STYLE))
    assert text.endswith("    [2 frames of numpy folded, the last one in linalg.py:88, solve]\n")
    assert "inv" not in text


def test_one_folded_frame_is_one_frame() -> None:
    text = text_of(draw_failure(Failure(2, "E", "m", (NUMPY[0], IN_F)), STYLE))
    assert "    [1 frame of numpy folded, in linalg.py:10, inv]\nCell In[4], line 3" in text


def test_all_frames_can_be_seen() -> None:
    text = text_of(draw_failure(Failure(2, "E", "m", tuple(NUMPY)), ALL))
    assert "File /env/site-packages/numpy/linalg.py:10, in inv\n" in text
    assert "folded" not in text


def test_a_line_that_is_not_here_is_shown_if_it_came_along() -> None:
    frame = Frame("/far/away.py", 7, "h", "raise ValueError(x)")
    assert text_of(draw_failure(Failure(2, "E", "m", (frame,)), STYLE)) == (
        "On worker 2:\nFile /far/away.py:7, in h\n----> 7 raise ValueError(x)\n"
    )


def test_the_line_of_a_magic_is_named_after_it() -> None:
    text = text_of(draw_failure(Failure(2, "E", "m", (Frame("<spawnat-3>", 1, "<spawnat-3>"),)), STYLE))
    assert text == "On worker 2:\n%spawnat, line 1\n"


def test_what_led_to_it_stands_in_front() -> None:
    failure = Failure(2, "E", "m", (IN_F,), prologue="KeyError: 'a'\n\nDuring handling of that\n")
    assert text_of(draw_failure(failure, STYLE)).startswith("On worker 2:\nKeyError: 'a'\n")


def test_an_error_that_came_through_two_processes_names_both() -> None:
    inner = Failure(3, "KeyError", "'k'", (IN_F,))
    text = text_of(draw_failure(Failure(2, "KeyError", "'k'", (IN_G,), via=inner), STYLE))
    assert text.index("On worker 2:") < text.index("in g") < text.index("On worker 3:") < text.index("in f")


def test_equal_failures_are_one() -> None:
    failures = [Failure(pid, "ValueError", "bad", (IN_F,)) for pid in range(2, 10)]
    text = text_of(draw_groups(group(failures), STYLE))
    assert text.startswith("workers 2-9: ValueError: bad (8x)\nCell In[4], line 3, in f\n")
    assert text.count("Cell In[4]") == 1


def test_different_failures_stay_apart() -> None:
    failures = [Failure(2, "ValueError", "bad"), Failure(3, "KeyError", "'k'"), Failure(4, "ValueError", "bad")]
    text = text_of(draw_groups(group(failures), STYLE))
    assert text == "workers 2, 4: ValueError: bad (2x)\nworker 3: KeyError: 'k'\n"


def test_failures_that_differ_in_their_own_id_alone_are_equal() -> None:
    failures = [Failure(pid, "ProcessExitedException", f"process {pid} exited with code 1") for pid in (2, 3)]
    assert len(group(failures)) == 1


@pytest.mark.parametrize(
    ("pids", "text"), [([2], "2"), ([2, 3], "2, 3"), ([2, 3, 4], "2-4"), ([2, 4, 5, 6, 9], "2, 4-6, 9"), ([], "")]
)
def test_ids_are_written_as_people_do(pids: list[int], text: str) -> None:
    assert id_ranges(pids) == text


def test_failures_of_the_master_are_those_of_a_process() -> None:
    failures = [Failure(pid, "ValueError", "bad") for pid in (1, 2, 3)]
    assert text_of(draw_groups(group(failures), STYLE)) == "processes 1-3: ValueError: bad (3x)\n"


def test_failures_of_what_never_came_up_have_no_id() -> None:
    failures = [Failure(0, "LaunchWorkerError", "no such file") for _ in range(2)]
    assert text_of(draw_groups(group(failures), STYLE)) == "LaunchWorkerError: no such file (2x)\n"


def test_frames_of_the_machinery_are_left_out() -> None:
    style = Style(STYLE.label, is_library, lambda name: name == "calls.py")
    frames = (Frame("calls.py", 1, "run"), IN_F)
    assert "calls.py" not in text_of(draw_failure(Failure(2, "E", "m", frames), style))
