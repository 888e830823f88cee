"""How much text a cell shows, and what is kept."""

from __future__ import annotations

from pydist_magics._outlog import OutputLog


def line(number: int) -> str:
    return f"{number:09}\n"  # ten bytes


def test_text_within_the_limit_is_shown_as_it_is() -> None:
    log = OutputLog(limit=30)
    assert [log.admit(1, line(n)) for n in range(3)] == [line(0), line(1), line(2)]
    assert log.note(1) == ""


def test_what_is_too_much_is_cut_at_a_line_and_counted() -> None:
    log = OutputLog(limit=35)
    assert log.admit(1, "".join(map(line, range(5)))) == line(0) + line(1) + line(2)
    assert log.admit(1, line(5)) == ""
    assert log.note(1) == "... 30 bytes (3 lines) left out; %pydist output 1 shows all\n"


def test_nothing_is_shown_after_the_cut_even_if_it_would_fit() -> None:
    log = OutputLog(limit=25)
    log.admit(1, line(0) + line(1) + line(2))
    assert log.admit(1, "x\n") == ""


def test_the_note_comes_once() -> None:
    log = OutputLog(limit=5)
    log.admit(1, line(0))
    assert log.note(1) == "... 10 bytes (1 line) left out; %pydist output 1 shows all\n"
    assert log.note(1) == ""


def test_bytes_are_counted_not_characters() -> None:
    log = OutputLog(limit=5)
    assert log.admit(1, "äö\n") == "äö\n"
    assert log.admit(2, "äöü\n") == ""


def test_while_more_may_come_it_is_not_said_how_much_is_left_out() -> None:
    log = OutputLog(limit=10)
    log.admit(1, line(0) + line(1))
    assert log.note(1, ended=False) == "... what follows is left out; %pydist output 1 shows all\n"
    assert log.note(1) == ""


def test_cells_do_not_share_their_limit() -> None:
    log = OutputLog(limit=10)
    assert log.admit(1, line(0)) == log.admit(2, line(0))


def test_all_of_it_can_be_asked_for() -> None:
    log = OutputLog(limit=10)
    log.admit(1, line(0) + line(1))
    log.admit(1, line(2))
    assert log.text(1) == line(0) + line(1) + line(2)
    assert log.complete(1)
    assert log.text(2) is None
    assert log.origins() == [1]


def test_what_is_kept_of_a_cell_is_bounded() -> None:
    log = OutputLog(limit=10, keep=20)
    for number in range(4):
        log.admit(1, line(number))
    assert log.text(1) == line(0) + line(1)
    assert not log.complete(1)


def test_the_oldest_cell_is_forgotten_first() -> None:
    log = OutputLog(keep=20, keep_all=40)
    for origin in (1, 2, 3):
        log.admit(origin, line(0) + line(1))
    assert log.origins() == [2, 3]
    assert log.text(3) == line(0) + line(1)
