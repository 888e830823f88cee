"""A function of the notebook that was called before goes without a second look, as long as nothing has changed."""

from __future__ import annotations

import pytest

from tests.core.sessions import Session

pytestmark = pytest.mark.processes

QUICK = """
from pydist._runtime.current import current_node
from pydist._runtime.shortcuts import number_by_shortcut

def is_quick(f):
    return number_by_shortcut(current_node().peers.connection(first).knowledge, f) != 0

def call(f=None):
    return pydist.remotecall_fetch(f or globals()["f"], first)
"""


@pytest.fixture
def cells(session: Session) -> Session:
    session.run("import math, collections, gc, weakref\nfirst, *_ = pydist.workers()" + QUICK)
    return session


@pytest.mark.parametrize(
    "function",
    [
        "f = lambda: 1",
        "g = 2; f = lambda: g",
        "f = lambda: math.pi",
        "from collections import OrderedDict\nf = lambda: len(OrderedDict())",
        "def h(): return 3\ndef f(): return h()",
        "def f(n=None): return f",
        "f = lambda: unknown_here if 0 else 4",
    ],
)
def test_what_mentions_nothing_that_could_change_inside_is_quick_from_the_second_call_on(
    function: str, cells: Session
) -> None:
    quick = "=None" not in function
    cells.run(function)
    assert not cells.run("is_quick(f)")
    cells.run("call() and None")
    assert cells.run("is_quick(f)") is quick


@pytest.mark.parametrize(
    "function",
    [
        "g = [1]; f = lambda: g[0]",
        "class C: x = 1\nf = lambda: C.x",
        "def h(a=[1]): return a[0]\ndef f(): return h()",
        "def made():\n    x = 1\n    return lambda: x\nf = made()",
    ],
)
def test_what_could_change_inside_is_looked_at_each_time(function: str, cells: Session) -> None:
    cells.run(function)
    assert cells.run("call()") == 1
    assert not cells.run("is_quick(f)")


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ("g = 1; f = lambda: g", "g = 2"),
        ("def h(): return 1\ndef f(): return h()", "def h(): return 2"),
        ("def h(): return 1\ndef f(): return h()", "h.__code__ = (lambda: 2).__code__"),
        ("def f(): return 1", "f.__code__ = (lambda: 2).__code__"),
        ("def f(*a): return len(a) + 1", "def two(a=2): return a\nf.__code__ = two.__code__; f.__defaults__ = (2,)"),
        ("h = lambda *a: 1\ndef f(): return h()", "h.__code__ = (lambda a: a).__code__; h.__defaults__ = (2,)"),
        ("def f():\n    try: return late\n    except NameError: return 1", "late = 2"),
        ("g = 1\ndef h(): return g\ndef f(): return h()", "g = 2"),
        ("import math as m; f = lambda: int(m.pi) - 2", "import types; m = types.SimpleNamespace(pi=4)"),
        ("def h(): return 1\ndef f(): return h()", "import os; h = os.getpid; f.expected = True"),
    ],
)
def test_a_change_is_seen(before: str, change: str, cells: Session) -> None:
    cells.run("globals().pop('late', None)\n" + before)
    assert cells.run("[call() for _ in range(3)]") == [1, 1, 1]
    cells.run(change)
    assert cells.run("call()") != 1
    assert cells.run("call()") != 1


def test_what_the_worker_has_of_its_own_stands_until_the_name_is_bound_anew(cells: Session) -> None:
    cells.run("pydist.everywhere('import os; table = {\"pid\": os.getpid()}')\nf = lambda: table['pid']")
    own = cells.run("[call() for _ in range(3)]")
    assert own == [cells.run("pydist.remotecall_fetch(os.getpid, first)")] * 3
    cells.run("table = {'pid': 0}")
    assert cells.run("call()") == 0


def test_what_was_defined_everywhere_after_the_call_is_what_the_next_one_finds(cells: Session) -> None:
    cells.run("level = 1; f = lambda: level")
    assert cells.run("[call(), call()]") == [1, 1]
    cells.run("pydist.everywhere('import pydist; level = pydist.myid() * 100')")
    assert cells.run("call() == first * 100")


def test_two_workers_have_notes_of_their_own(cells: Session) -> None:
    cells.run("g = 1; f = lambda: g; call(); call()")
    cells.run("g = 2")
    assert cells.run("[pydist.remotecall_fetch(f, w) for w in pydist.workers() for _ in range(2)]") == [2] * 4


def test_a_note_keeps_no_function_alive(cells: Session) -> None:
    cells.run("def f(): return f and 1\ncall(); call()\ngone = weakref.ref(f)")
    assert cells.run("is_quick(f)")
    cells.run("del f\ngc.collect()")
    assert cells.run("gone() is None")
