"""What is told of the names in a frame that has failed."""

from __future__ import annotations

import datetime as dt
import sys
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import Any

import pytest

import pydist
from pydist._errors import capture
from pydist._locals import describe, locals_of


class Plain:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


class Hostile:
    """Everything that could be asked of it fails, or would be noticed."""

    def __init__(self) -> None:
        object.__setattr__(self, "field", 1)

    def __repr__(self) -> str:
        raise AssertionError("it was asked for its repr")

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"it was asked for {name}")

    def __len__(self) -> int:
        raise AssertionError("it was asked for its length")


class Liar(list[int]):
    def __iter__(self) -> Any:
        raise AssertionError("it was iterated over")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (None, "None"),
        ("a'b", '"a\'b"'),
        (b"x", "b'x'"),
        (10**500, "<int of 1,661 bits>"),
        ((1,), "(1,)"),
        ([], "[]"),
        ({"a": [1, {"b": 2}]}, "{'a': [1, {… 1 items}]}"),
        (list(range(9)), "[0, 1, 2, 3, 4, … 9 items]"),
        (int, "<class int>"),
        (sys, "<module sys>"),
        (describe, "<function describe>"),
        (dt.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (PurePosixPath("/a"), "PurePosixPath('/a')"),
        (ValueError("bad", [1]), "ValueError('bad', [… 1 items])"),
        (Plain(), "<Plain>"),
        (Plain(a=1, b=Plain(c=2)), "<Plain a=1, b=<Plain c=2>>"),
        (Plain(**{f"x{i}": i for i in range(9)}), "<Plain x0=0, x1=1, x2=2, x3=3, x4=4, …>"),
        (Liar([1]), "<Liar>"),
        (OrderedDict(a=1), "<OrderedDict>"),
    ],
)
def test_a_value_has_a_short_text_and_no_code_of_its_own_runs(value: object, text: str) -> None:
    assert describe(value) == text


def test_an_object_is_not_asked_for_anything() -> None:
    # pytest would ask it for things if it were a parameter.
    assert describe(Hostile()) == "<Hostile field=1>"


def test_long_texts_are_cut() -> None:
    assert describe("x" * 5000) == f"'{'x' * 120}'… 5,000 long"
    assert len(describe([["y" * 5000] * 50] * 50)) <= 401


def test_what_contains_itself_has_an_end() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert describe(ring) == "[[[… 1 items]]]"


def test_arrays_tell_their_shape() -> None:
    numpy = pytest.importorskip("numpy")
    assert describe(numpy.zeros((3, 4))) == "<ndarray 3 × 4 of float64>"


def test_a_function_has_its_locals_and_a_module_the_names_it_uses() -> None:
    def f(x: int) -> Any:
        y = [x]
        return sys._getframe(), y

    frame, _ = f(3)
    assert locals_of(frame) == (("x", "3"), ("y", "[3]"))
    scope: dict[str, Any] = {"sys": sys, "unused": 1, "used": 2}
    exec("here = sys._getframe(), used", scope)
    assert locals_of(scope["here"][0]) == (("sys", "<module sys>"), ("used", "2"), ("here", "(<frame>, 2)"))


def test_many_names_are_cut() -> None:
    scope: dict[str, Any] = {f"v{i}": i for i in range(100)}
    code = (
        "def f():\n" + "".join(f"    v{i} = {i}\n" for i in range(100)) + "    import sys\n    return sys._getframe()\n"
    )
    exec(code, scope)
    assert len(locals_of(scope["f"]())) == 25


def test_the_innermost_frames_of_a_failure_have_their_names() -> None:
    def down(n: int) -> float:
        return down(n - 1) if n else 1 / n

    with pytest.raises(ZeroDivisionError) as caught:
        down(40)
    frames = capture(caught.value).frames
    assert frames[-1].locals[0] == ("n", "0")
    assert [bool(frame.locals) for frame in frames[-12:]] == [True] * 12
    assert not any(frame.locals for frame in frames[:-12])


@pytest.mark.processes
def test_the_names_come_with_the_failure_of_a_worker() -> None:
    (pid, *_) = pydist.workers()
    with pytest.raises(pydist.RemoteException) as caught:
        pydist.remotecall_fetch(_divide, pid, 3)
    assert caught.value.captured.frames[-1].locals == (("x", "3"), ("zero", "0"))


def _divide(x: int) -> float:
    zero = 0
    return x / zero
