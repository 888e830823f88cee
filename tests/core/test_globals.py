"""Globals of the notebook that a function reads go along with it: those and no others, and only when they changed."""

from __future__ import annotations

import pytest

from tests.core.sessions import CellError, Session

pytestmark = pytest.mark.processes

SENT = "pydist.worker_info(first).bytes_out"


@pytest.fixture
def cells(session: Session) -> Session:
    session.run("import threading\nimport numpy as np\nfirst, *_ = pydist.workers()")
    return session


@pytest.mark.parametrize(
    ("value", "function"),
    [
        ("3", "lambda: g"),
        ("4", "lambda: (lambda: g)()"),
        ("5", "lambda: [g for _ in range(1)][0]"),
        ("6", "lambda: type('C', (), {'f': lambda self: g})().f()"),
    ],
)
def test_a_global_goes_along(value: str, function: str, cells: Session) -> None:
    cells.run(f"g = {value}; f = {function}")
    assert cells.run("pydist.remotecall_fetch(f, first)") == int(value)
    cells.run("g = 7")
    assert cells.run("pydist.remotecall_fetch(f, first)") == 7


def test_a_global_that_the_body_of_a_class_reads_goes_along(cells: Session) -> None:
    cells.run("g = 8\ndef f():\n    class C:\n        value = g\n    return C.value")
    assert cells.run("pydist.remotecall_fetch(f, first)") == 8


def test_a_global_that_a_called_function_reads_goes_along(cells: Session) -> None:
    cells.run("g = 9\ndef inner(): return g\ndef f(): return inner()")
    assert cells.run("pydist.remotecall_fetch(f, first)") == 9


def test_the_name_of_an_attribute_is_no_global(cells: Session) -> None:
    cells.run("shape = threading.Lock()  # cannot travel")
    assert cells.run("pydist.remotecall_fetch(lambda: np.ones(3).shape, first)") == (3,)


def test_a_global_that_is_only_written_does_not_go_along(cells: Session) -> None:
    cells.run("made = threading.Lock()\ndef f():\n    global made\n    made = 1\n    return made")
    with pytest.raises(CellError, match="the global 'made' that the function uses cannot be sent"):
        cells.run("pydist.remotecall_fetch(f, first)")  # it reads it, too
    cells.run("def f():\n    global made\n    made = 1")
    assert cells.run("pydist.remotecall_fetch(f, first)") is None


def test_a_large_global_goes_once_and_again_when_it_has_changed(cells: Session) -> None:
    cells.run("data = np.zeros(10**6); f = lambda: float(data.sum())")
    assert cells.run("pydist.remotecall_fetch(f, first)") == 0
    before = cells.run(SENT)
    assert cells.run("pydist.remotecall_fetch(f, first)") == 0
    assert cells.run(SENT) - before < 10_000
    cells.run("data[0] = 1")
    assert cells.run("pydist.remotecall_fetch(f, first)") == 1
    assert cells.run(SENT) - before > 8 * 10**6


def test_a_large_global_that_arrived_can_be_written_to(cells: Session) -> None:
    cells.run("data = np.zeros(10**6)\ndef f():\n    data[0] += 1\n    return float(data[0])")
    assert cells.run("[pydist.remotecall_fetch(f, first) for _ in range(2)]") == [1.0, 2.0]
    assert cells.run("float(data[0])") == 0


def test_large_and_small_globals_of_one_function_keep_their_places(cells: Session) -> None:
    cells.run("a, b, c, d = np.ones(10**5), 2, np.full(10**5, 3.0), [np.full(10**5, 4.0), 5]")
    cells.run("f = lambda: (a[-1] + b, c[-1], d[0][-1], d[1])")
    assert cells.run("tuple(map(float, pydist.remotecall_fetch(f, first)))") == (3.0, 3.0, 4.0, 5.0)


def test_functions_of_a_library_in_a_class_leave_that_library_over_there_as_it_is(cells: Session) -> None:
    cells.run("import dataclasses\n@dataclasses.dataclass\nclass Place:\n    x: int\n    changed = dataclasses.replace")
    assert cells.run("pydist.remotecall_fetch(lambda place: place.x, first, Place(3))") == 3
    # A later class finds its fields by the marks of the worker's own module.
    cells.run("made = lambda: repr(dataclasses.make_dataclass('Later', ['y'])(4))")
    assert cells.run("pydist.remotecall_fetch(made, first)") == "Later(y=4)"


def test_a_function_that_a_library_has_made_lives_over_there_in_that_library(cells: Session) -> None:
    # It has no name by which it could be found, and needs the names of its module.
    cells.run("import fractions, sys\nplus = fractions.Fraction.__add__\nassert '<locals>' in plus.__qualname__")
    cells.run(
        "lives = lambda: plus.__globals__ is vars(sys.modules['fractions']) and str(plus(fractions.Fraction(1), 2))"
    )
    assert cells.run("pydist.remotecall_fetch(lives, first)") == "3"


def test_functions_with_globals_of_their_own_keep_them_apart(cells: Session) -> None:
    cells.run("code = compile('def f(): return k', '<made>', 'exec')\none, two = {'k': 1}, {'k': 2}")
    cells.run("exec(code, one), exec(code, two)\na, b = one['f'], two['f']")
    assert cells.run("[pydist.remotecall_fetch(f, first) for f in (a, b, a)]") == [1, 2, 1]
    assert cells.run("pydist.pmap(lambda i: (a(), b())[i], [0, 1])") == [1, 2]
    assert cells.run("one['k'] = 3\n(pydist.remotecall_fetch(a, first), pydist.remotecall_fetch(b, first))") == (3, 2)
    assert cells.run("pydist.remotecall_fetch(lambda: 'k' in globals(), first)") is False
