"""What is asked for before there is a cell, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydist_kernel._startup import WantedWorkers, one_sentence, read_machine_file


@pytest.mark.parametrize(("text", "count"), [("", 0), ("0", 0), ("4", 4), (" 4 ", 4), ("auto", "auto")])
def test_a_count_is_a_number_or_auto(text: str, count: object) -> None:
    assert WantedWorkers(text).local() == count


@pytest.mark.parametrize("text", ["many", "-1", "2.5", "4 4"])
def test_another_count_is_refused_with_the_name_of_who_said_it(text: str) -> None:
    with pytest.raises(ValueError, match="PYDIST_WORKERS takes a number of workers or auto, not "):
        WantedWorkers(text, source="PYDIST_WORKERS").local()


def test_no_worker_is_wanted_by_nothing_and_by_nought() -> None:
    assert not WantedWorkers()
    assert not WantedWorkers("0")
    assert WantedWorkers("auto")
    assert WantedWorkers(machine_file="machines")


def test_a_machine_file_has_counts_users_ports_and_addresses(tmp_path: Path) -> None:
    path = tmp_path / "machines"
    path.write_text("one\n\n4*me@two:2222\n  auto * three 10.0.0.3:9000   # the big one\n# none\n[::1]:22\n")
    assert read_machine_file(str(path)) == [
        ("one", 1),
        ("me@two:2222", 4),
        ("three 10.0.0.3:9000", "auto"),
        ("[::1]:22", 1),
    ]


@pytest.mark.parametrize("line", ["many*host", "0*host", "-1*host", "*host", "4*"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "machines"
    path.write_text(f"one\n{line}\n")
    with pytest.raises(ValueError, match=r"line 2 of .*machines is not "):
        read_machine_file(str(path))


def test_a_machine_file_without_machines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "machines"
    path.write_text("# nothing\n")
    with pytest.raises(ValueError, match="names no machine"):
        read_machine_file(str(path))


def test_an_error_is_told_in_one_sentence() -> None:
    assert one_sentence(ValueError("first.\nsecond")) == "first"
    assert one_sentence(KeyError()) == "KeyError"
    assert one_sentence(FileNotFoundError(2, "No such file", "here")) == "here: No such file"
    assert one_sentence(ExceptionGroup("all", [ValueError("one"), ValueError("two")])) == "one"
