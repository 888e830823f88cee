"""Exceptions from elsewhere: both what they were and RemoteException, with everything they carried."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import pickle
import subprocess
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import pydist
from pydist._errors import capture, remote_exception, unwrap, words_of


class Odd(Exception):
    """Cannot be made from its args: the constructor wants others."""

    def __init__(self, a: int, *, b: str) -> None:
        super().__init__(f"{a} of {b}")
        self.a = a
        self.b = b


class Fixed(Exception):
    """Takes no argument, but has one."""

    def __init__(self) -> None:
        super().__init__("always the same")


class Picky(Exception):
    """Says its text by itself, from what the constructor checks."""

    def __init__(self, number: int) -> None:
        if number < 0:
            raise AssertionError("made a second time")
        self.number = -number

    def __str__(self) -> str:
        return f"number {self.number}"


class Wide(ValueError, KeyError):
    """Is two things already."""


class Final(Exception):
    """May have no subclasses."""

    def __init_subclass__(cls) -> None:
        raise TypeError("final")


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(error: BaseException) -> BaseException:
    """Return it with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def remote(error: BaseException, pid: int = 2) -> pydist.RemoteException:
    return remote_exception(pid, capture(raised(error)))


Make = Callable[[], BaseException]

#: What makes it, what of it must be kept, and whether plain pickle can rebuild it (pydist's own pickling can always).
ERRORS: list[tuple[Callable[[], BaseException], list[str], bool]] = [
    (lambda: ZeroDivisionError("division by zero"), ["args"], True),
    (lambda: KeyError("missing"), ["args"], True),
    (lambda: Odd(3, b="four"), ["args", "a", "b"], False),
    (Fixed, ["args"], False),
    (lambda: Picky(3), ["args", "number"], False),
    (lambda: Wide("both"), ["args"], True),
    (lambda: FileNotFoundError(2, "gone", "a", None, "b"), ["errno", "strerror", "filename", "filename2"], True),
    (lambda: OSError("without a number"), ["args", "errno"], True),
    (lambda: ConnectionResetError(104, "reset"), ["errno"], True),
    (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), ["encoding", "object", "start", "end", "reason"], True),
    (lambda: SyntaxError("bad", ("file", 3, 4, "text", 3, 5)), ["msg", "filename", "lineno", "offset", "text"], True),
    (lambda: ImportError("no x", name="x", path="/y"), ["msg", "name", "path"], True),
    (lambda: AttributeError("no x", name="x", obj=5), ["name", "obj"], False),
    (lambda: NameError("no x", name="x"), ["name"], False),
    (lambda: StopIteration(7), ["value"], True),
    (lambda: SystemExit(3), ["code"], True),
    (KeyboardInterrupt, ["args"], True),
    (lambda: subprocess.CalledProcessError(3, ["ls"], b"out"), ["returncode", "cmd", "output"], False),
    (lambda: json.JSONDecodeError("bad", "doc", 2), ["msg", "doc", "pos", "lineno"], True),
    (lambda: asyncio.CancelledError("stop"), ["args"], True),
    (lambda: asyncio.IncompleteReadError(b"half", 9), ["partial", "expected"], True),
    (lambda: pydist.InvalidStateException("closed", "closed"), ["state"], True),
    (lambda: pydist.ProcessExitedException(3, None, 9, "host", "words", 2), ["exitcode", "signal", "running"], True),
]


@pytest.mark.parametrize(("make", "kept", "pickles"), ERRORS, ids=[type(make()).__name__ for make, _, _ in ERRORS])
class TestEachKind:
    """What holds for every kind of exception."""

    def test_it_is_what_it_was_and_remote(self, make: Make, kept: list[str], pickles: bool) -> None:
        found, error = remote(make()), make()
        assert isinstance(found, pydist.RemoteException)
        assert isinstance(found, type(error))
        assert type(found.captured.ex) is type(error)

    def test_it_carries_what_it_carried(self, make: Make, kept: list[str], pickles: bool) -> None:
        found, error = remote(make()), make()
        assert [getattr(found, name) for name in kept] == [getattr(error, name) for name in kept]

    def test_its_text_names_the_worker(self, make: Make, kept: list[str], pickles: bool) -> None:
        found, error = remote(make()), make()
        assert str(found) == f"On worker 2: {words_of(error, 2) or type(error).__name__}"


PICKLABLE = [(make, kept) for make, kept, pickles in ERRORS if pickles]


@pytest.mark.parametrize(("make", "kept"), PICKLABLE, ids=[type(make()).__name__ for make, _ in PICKLABLE])
def test_what_pickle_can_rebuild_can_be_pickled_as_remote(make: Make, kept: list[str]) -> None:
    found, error = remote(make()), make()
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is type(found)
    assert again.pid == 2
    assert str(again) == str(found)
    assert again.captured.traceback == found.captured.traceback
    assert [getattr(again, name) for name in kept] == [getattr(error, name) for name in kept]


def test_a_group_keeps_its_members_and_can_be_taken_apart() -> None:
    found = remote(ExceptionGroup("two", [ValueError("a"), KeyError("b")]))
    assert isinstance(found, ExceptionGroup)
    assert found.message == "two"
    assert [type(error) for error in found.exceptions] == [ValueError, KeyError]
    caught: list[Exception] = []
    try:
        raise found
    except* ValueError as group:
        caught += group.exceptions
    except* KeyError as group:
        caught += group.exceptions
    assert [type(error) for error in caught] == [ValueError, KeyError]


def test_a_group_with_an_interrupt_in_it_cannot_be_an_exception_but_is_kept() -> None:
    found = remote(BaseExceptionGroup("stop", [KeyboardInterrupt()]))
    assert isinstance(found.captured.ex, BaseExceptionGroup)
    assert isinstance(found.captured.ex.exceptions[0], KeyboardInterrupt)


def test_a_group_can_be_pickled() -> None:
    found = pickle.loads(pickle.dumps(remote(ExceptionGroup("two", [ValueError("a")]))))
    assert isinstance(found, ExceptionGroup)
    assert isinstance(found.exceptions[0], ValueError)


def test_a_class_that_allows_no_other_beside_it_is_still_remote() -> None:
    found = remote(Final("alone"))
    assert type(found) is pydist.RemoteException
    assert isinstance(found.captured.ex, Final)
    assert str(found) == "On worker 2: alone"


def test_an_exception_without_words_can_still_be_shown() -> None:
    found = remote(Mute())
    assert isinstance(found, Mute)
    assert "Mute" in str(found)
    assert "Mute" in "".join(traceback.format_exception(found))


def test_the_constructor_is_not_run_again() -> None:
    assert isinstance(remote(Picky(1)), Picky)


def test_equal_classes_are_one_class() -> None:
    assert type(remote(ValueError("a"))) is type(remote(ValueError("b")))


def fail_deeply() -> None:
    raise ValueError("deep")


def caught_deeply() -> BaseException:
    try:
        fail_deeply()
    except ValueError as error:
        return error
    raise AssertionError


def test_the_remote_frames_are_shown_when_it_is_not_caught() -> None:
    found = remote_exception(2, capture(caught_deeply()))
    shown = "".join(traceback.format_exception(found))
    assert "Traceback on worker 2" in shown
    assert "in fail_deeply" in shown
    assert "RemoteValueError: On worker 2: deep" in shown


def test_a_notebook_tells_it_by_the_name_that_the_user_knows() -> None:
    found = remote_exception(2, capture(caught_deeply()))
    assert type(found).__name__ == "ValueError"
    assert repr(type(found)) == "<class 'pydist.RemoteValueError'>"


@pytest.mark.processes
@pytest.mark.parametrize("start", ["everywhere", "sync"])
def test_equal_failures_of_several_workers_are_told_in_full_once(pids: list[int], start: str) -> None:
    def fail() -> None:
        with pydist.sync():
            for pid in pids:
                pydist.spawnat(pid, fail_deeply)

    with pytest.raises(pydist.CompositeException) as caught:
        pydist.everywhere("int('odd')", pids) if start == "everywhere" else fail()
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Traceback on worker") == 1
    assert [f"RemoteValueError: On worker {pid}: " in shown for pid in pids] == [True] * len(pids)
    assert all(isinstance(error, ValueError) for error in caught.value.exceptions)


@pytest.mark.processes
@pytest.mark.parametrize(
    "code", ["def wrong():\n    int('odd')\nwrong()\n", "async def wrong():\n    int('odd')\nawait wrong()\n"]
)
def test_the_traceback_of_code_that_runs_everywhere_begins_with_it(pids: list[int], code: str) -> None:
    with pytest.raises(ValueError, match="odd") as caught:
        pydist.everywhere(code, pids[0], filename="<mine>")
    assert isinstance(caught.value, pydist.RemoteException)
    assert [frame[:3] for frame in caught.value.captured.frames] == [("<mine>", 3, "<module>"), ("<mine>", 2, "wrong")]


@pytest.mark.processes
def test_the_traceback_of_a_coroutine_begins_with_it(pids: list[int]) -> None:
    async def wrong() -> int:
        return int("odd")

    with pytest.raises(pydist.RemoteException) as caught:
        pydist.remotecall(wrong, pids[0]).fetch()
    assert [frame.name for frame in caught.value.captured.frames] == ["wrong"]


@pytest.mark.processes
def test_failures_that_differ_are_all_told(pids: list[int]) -> None:
    with pytest.raises(pydist.CompositeException) as caught:
        pydist.everywhere("import pydist\nint(f'odd {pydist.myid()}')", pids)
    assert "".join(traceback.format_exception(caught.value)).count("Traceback on worker") == len(pids)


def test_the_captured_traceback_is_in_pythons_own_form() -> None:
    lines = capture(caught_deeply()).traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: deep"
    assert any(line.strip() == "fail_deeply()" for line in lines)


def test_the_cause_is_in_the_captured_traceback() -> None:
    def fail() -> None:
        try:
            fail_deeply()
        except ValueError as error:
            raise KeyError("outer") from error

    with pytest.raises(KeyError) as caught:
        fail()
    text = capture(caught.value).traceback
    assert text.index("ValueError: deep") < text.index("direct cause") < text.index("KeyError: 'outer'")


@pytest.mark.processes
def test_the_cause_is_shown_when_it_is_not_caught(pids: list[int]) -> None:
    def fail() -> None:
        raise ValueError("outer") from KeyError("inner")

    with pytest.raises(ValueError, match="outer") as caught:
        pydist.remotecall_fetch(fail, pids[0])
    shown = "".join(traceback.format_exception(caught.value))
    chain = [f"Traceback on worker {pids[0]}", "KeyError: 'inner'", "direct cause", "in fail", "ValueError: outer"]
    places = [shown.find(part, shown.index(chain[0])) for part in chain]
    assert places == sorted(places)
    assert -1 not in places


def test_the_captured_traceback_tells_each_thing_once_and_the_users_notes_too() -> None:
    error = caught_deeply()
    error.add_note("a note of the user's")
    found = remote_exception(2, capture(error))
    told = found.captured.traceback
    assert told.count("in fail_deeply") == 1
    assert told.endswith("ValueError: deep\na note of the user's\n")
    theirs, ours = error.__notes__
    assert theirs == "a note of the user's"
    assert ours.startswith("Traceback on worker 2:\n")
    assert "in fail_deeply" in ours


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__context__, two.__context__ = two, one
    assert "ValueError: one" in capture(one).traceback


def test_frames_of_the_machinery_are_left_out() -> None:
    captured = capture(caught_deeply(), frozenset({__file__}))
    assert captured.frames == ()


def test_an_error_through_two_workers_names_both_and_keeps_its_type() -> None:
    found = remote(remote(ValueError("far"), 3), 2)
    assert found.pid == 2
    assert isinstance(found.captured.ex, pydist.RemoteException)
    assert found.captured.ex.pid == 3
    assert isinstance(found, ValueError)
    assert "On worker 2: " in str(found)
    assert "far" in str(found)
    assert unwrap(found).args == ("far",)


def test_an_error_of_the_own_process_is_wrapped_without_a_worker_in_its_text() -> None:
    assert str(remote(ValueError("near"), 1)) == "near"


@pytest.mark.processes
def test_an_attribute_that_cannot_travel_is_left_out_and_the_class_stays(pids: list[int]) -> None:
    class Broken(ValueError):
        pass

    def fail(kind: type[ValueError]) -> None:
        error: Any = kind("bad", threading.Lock())
        error.lock, error.code = threading.Lock(), 7
        raise error

    for kind in (ValueError, Broken):
        with pytest.raises(kind) as caught:
            pydist.remotecall_fetch(fail, pids[0], kind)
        assert isinstance(caught.value, pydist.RemoteException)
        original: Any = caught.value.captured.ex
        assert type(original) is kind
        assert original.args[0] == "bad"
        assert "lock" in original.args[1]
        assert original.__dict__["code"] == 7
        assert not hasattr(original, "lock")


def test_what_could_not_travel_is_named() -> None:
    found = remote_exception(2, pydist.CapturedException(pydist.OpaqueException("some.Kind", "its text")))
    assert type(found) is pydist.RemoteException
    assert str(found) == "On worker 2: some.Kind: its text"


# ProcessExitedException, CompositeException, InvalidStateException


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (pydist.ProcessExitedException(3), "process 3 is gone"),
        (pydist.ProcessExitedException(3, exitcode=4), "process 3 exited with code 4"),
        (pydist.ProcessExitedException(3, signal=11, host="vega"), "process 3 on vega was ended by SIGSEGV"),
        (
            pydist.ProcessExitedException(3, signal=9),
            "process 3 was ended by SIGKILL (perhaps the system ran out of memory)",
        ),
        (pydist.ProcessExitedException(3, signal=200), "process 3 was ended by signal 200"),
        (
            pydist.ProcessExitedException(3, exitcode=1, last_output="a\nb\n"),
            "process 3 exited with code 1; its last output was:\n    a\n    b",
        ),
    ],
)
def test_the_end_of_a_process_is_told_in_a_sentence(error: pydist.ProcessExitedException, text: str) -> None:
    assert str(error) == text


def test_a_composite_is_an_exception_group_that_keeps_its_kind() -> None:
    group = pydist.CompositeException("two", [ValueError("a"), KeyError("b")], pids=[2])
    assert isinstance(group, ExceptionGroup)
    assert not isinstance(group, pydist.RemoteException)
    part = group.subgroup(ValueError)
    assert isinstance(part, pydist.CompositeException)
    assert part.pids == [2]
    again = pickle.loads(pickle.dumps(group))
    assert (again.message, again.pids, len(again.exceptions)) == ("two", [2], 2)


def test_a_failed_launch_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(pydist.LaunchWorkerError("why")))
    assert str(again) == "why"


def test_an_invalid_state_is_one_for_concurrent_futures_too() -> None:
    error = pydist.InvalidStateException("Future can be set only once", "set")
    assert isinstance(error, concurrent.futures.InvalidStateError)
    assert error.state == "set"


@pytest.mark.parametrize(
    "error", [pydist.ProcessExitedException(2), pydist.LaunchWorkerError(""), pydist.InvalidStateException("")]
)
def test_our_own_errors_have_one_root(error: Any) -> None:
    assert isinstance(error, pydist.DistributedError)
    assert not isinstance(error, pydist.RemoteException)


def test_lack_of_memory_is_caught_as_such(pids: list[int]) -> None:
    with pytest.raises(MemoryError, match=r"On worker .*: no room"):
        pydist.remotecall_fetch(exec, pids[0], "raise MemoryError('no room')")
    with pytest.raises(MemoryError, match="Unable to allocate") as caught:
        pydist.remotecall_fetch(eval, pids[0], "__import__('numpy').ones(10**15)")
    assert isinstance(caught.value, pydist.RemoteException)


def test_what_an_exception_keeps_in_slots_comes_along(pids: list[int]) -> None:
    code = "__import__('numpy').ones(3).sum(axis=7)"
    with pytest.raises(IndexError, match="axis 7 is out of bounds") as caught:
        pydist.remotecall_fetch(eval, pids[0], code)
    error: Any = caught.value
    assert (error.axis, error.ndim) == (7, 1)
