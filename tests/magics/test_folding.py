"""Equal lines of several workers as one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from pydist_magics._folding import folded


def lines(pid: int, *texts: str) -> list[tuple[str, Any]]:
    """Return what a worker has written."""
    return [("stdout", "".join(f" From worker {pid}:\t{text}\n" for text in texts))] if texts else []


def text(pieces: list[tuple[str, Any]]) -> list[str]:
    return [content.removeprefix(" From worker").removesuffix("\n").replace(":\t", ":") for _, content in pieces]


def test_equal_lines_are_one_and_others_stay() -> None:
    held = {pid: lines(pid, "ready", f"I am {pid}", "done") for pid in (2, 3, 4)}
    assert text(folded(held)) == ["s 2-4:ready", " 2:I am 2", " 3:I am 3", " 4:I am 4", "s 2-4:done"]


def test_a_worker_without_a_line_is_not_named_with_it() -> None:
    assert text(folded({2: lines(2, "a"), 3: lines(3, "b"), 5: lines(5, "a")})) == ["s 2, 5:a", " 3:b"]


def test_streams_are_kept_apart() -> None:
    held = {2: lines(2, "a"), 3: [("stderr", " From worker 3:\ta\n")]}
    assert folded(held) == [*held[2], *held[3]]


def test_rich_messages_and_rewritten_lines_are_left_alone() -> None:
    shown: tuple[str, Any] = ("display_data", {"data": {}})
    held = {0: [("stdout", "[2] x\n[3] x\n")], 2: [*lines(2, "a"), shown], 3: [shown, *lines(3, "a")]}
    assert [content for _, content in folded(held)] == [
        "[2] x\n",
        "[3] x\n",
        shown[1],
        " From workers 2, 3:\ta\n",
        shown[1],
    ]


@given(st.dictionaries(st.integers(2, 9), st.lists(st.sampled_from("abc"), max_size=8), max_size=5))
def test_each_worker_has_its_lines_in_its_order(written: dict[int, list[str]]) -> None:
    seen: dict[int, list[str]] = {pid: [] for pid in written}
    for line in text(folded({pid: lines(pid, *texts) for pid, texts in written.items()})):
        who, _, what = line.removeprefix("s").partition(":")
        for span in who.split(","):
            first, _, last = span.partition("-")
            for pid in range(int(first), int(last or first) + 1):
                seen[pid].append(what)
    assert seen == written
