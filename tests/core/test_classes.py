"""Classes of the notebook: the same ones there as here, also when their cell is run again."""

from __future__ import annotations

import pytest

from tests.core.sessions import CellError, Session

pytestmark = pytest.mark.processes

CELL = "class Point:\n    version = {}\n    def __init__(self, x): self.x = x\n    def double(self): return 2 * self.x"


@pytest.fixture
def points(session: Session) -> Session:
    session.run(CELL.format(1))
    session.run("first, *_ = pydist.workers(); old = Point(21)")
    return session


def test_an_instance_comes_back_as_one_of_the_same_class(points: Session) -> None:
    assert points.run("type(pydist.remotecall_fetch(lambda p: p, first, old)) is Point") is True
    assert points.run("type(pydist.remotecall_fetch(lambda x: Point(x), first, 3)) is Point") is True
    assert points.run("pydist.remotecall_fetch(Point.double, first, old)") == 42


def test_a_class_is_one_class_on_each_worker(points: Session) -> None:
    points.run("kept = pydist.remotecall_wait(Point, first, 5)")
    assert (
        points.run("pydist.remotecall_fetch(lambda f, p: type(f.fetch()) is type(p) is Point, first, kept, old)")
        is True
    )


def test_a_new_definition_replaces_the_old_one_on_workers(points: Session) -> None:
    points.run(CELL.format(2))
    assert points.run("pydist.remotecall_fetch(lambda: Point(1).version, first)") == 2
    assert points.run("pydist.remotecall_fetch(lambda p: p.version, first, Point(1))") == 2


def test_an_instance_of_the_old_class_is_told_apart(points: Session) -> None:
    points.run(CELL.format(2))
    points.run("import warnings; warnings.simplefilter('ignore')")
    told = "pydist.remotecall_fetch(lambda p: (isinstance(p, Point), type(p).version, p.double()), first, old)"
    assert points.run(told) == (False, 1, 42)
    assert points.run("type(pydist.remotecall_fetch(lambda p: p, first, old)) is type(old) is not Point") is True


def test_it_is_said_once_that_an_instance_of_the_old_class_travels(points: Session) -> None:
    points.run(CELL.format(2))
    points.run("import warnings; warnings.simplefilter('error')")
    send = "pydist.remotecall_fetch(type, first, old).version"
    with pytest.raises(CellError, match="an object of an earlier 'Point' goes to a worker"):
        points.run(send)
    assert points.run(send) == 1


def test_a_class_that_was_never_replaced_is_nothing_to_speak_of(points: Session) -> None:
    points.run("import warnings; warnings.simplefilter('error')")
    points.run("def make():\n    class Local:\n        pass\n    return Local()")
    assert points.run("pydist.remotecall_fetch(lambda *a: len(a), first, old, make(), make())") == 2 + 1


FAMILY = """
scale = 1
class Base:
    factor = 1
    table = [1]
    def run(self): return scale
    def own(self): return Base.factor
class Model(Base): pass
class Deep(Model): pass
"""


def test_what_the_methods_of_a_base_class_mention_goes_to_every_worker(session: Session) -> None:
    session.run(FAMILY)
    for call in ("Model().run()", "Deep().own()", "Deep().run()"):
        session.run(f"def call(): return {call}")
        assert session.run("{pydist.remotecall_fetch(call, pid) for pid in pydist.workers()}") == {1}


@pytest.mark.parametrize(
    ("change", "call", "value"),
    [
        ("scale = 2", "Model().run()", 2),
        ("scale = 2", "Deep().run()", 2),
        ("Base.factor = 2", "Model.factor", 2),
        ("Base.factor = 2", "Deep().own()", 2),
        ("Base.factor = True", "Deep.factor is True", True),
        ("Base.table[0] = 2", "Base.table[0]", 2),
        ("Base.table[0] = 2", "Model().table[0]", 2),
        ("Base.run = lambda self: 2", "Model().run()", 2),
    ],
)
def test_a_change_in_a_class_or_its_bases_is_seen_at_the_next_call(
    session: Session, change: str, call: str, value: object
) -> None:
    session.run(FAMILY)
    session.run(f"first, *_ = pydist.workers()\ndef call(): return {call}")
    session.run("pydist.remotecall_fetch(call, first)")
    session.run(change)
    assert session.run("pydist.remotecall_fetch(call, first)") == value


def test_what_a_decorator_keeps_is_seen_when_it_changes(session: Session) -> None:
    session.run("""
first, *_ = pydist.workers()
settings = {"add": 1}
def adding(f, settings=settings):
    def wrapper(self): return f(self) + settings["add"]
    return wrapper
class Counter:
    @adding
    def count(self): return 0
def call(): return Counter().count()
""")
    assert session.run("pydist.remotecall_fetch(call, first)") == 1
    session.run("settings['add'] = 2")
    assert session.run("pydist.remotecall_fetch(call, first)") == 2


def test_a_class_that_is_as_it_was_before_is_so_on_the_worker_too(session: Session) -> None:
    session.run("first, *_ = pydist.workers()\nclass Config: value = 0\ndef call(): return Config.value")
    for value in (1, 2, 1, 2, 1):
        session.run(f"Config.value = {value}")
        assert session.run("pydist.remotecall_fetch(call, first)") == value


def test_a_new_value_at_the_address_of_an_old_one_is_a_new_one(session: Session) -> None:
    session.run("first, *_ = pydist.workers()\nclass Config: value = 0\ndef call(): return Config.value")
    session.run("""
wrong = []
for i in range(60):
    Config.value = i * 1.5
    if i % 3 == 0 and pydist.remotecall_fetch(call, first) != i * 1.5:
        wrong.append(i)
""")
    assert session.run("wrong") == []


def test_what_a_worker_has_changed_in_its_class_stays_when_nothing_changes_here(session: Session) -> None:
    session.run("""
first, *_ = pydist.workers()
class Cache:
    known = {}
class Sub(Cache): pass
def note(key): Sub.known[key] = Sub(); return len(Sub.known), type(Sub.known[key]) is Sub
""")
    assert session.run("[pydist.remotecall_fetch(note, first, key) for key in 'abc']") == [
        (1, True),
        (2, True),
        (3, True),
    ]


def test_classes_that_lead_to_each_other_are_refused_in_one_sentence(session: Session) -> None:
    session.run("first, *_ = pydist.workers()\nclass Base: children = []\nclass Child(Base): pass")
    session.run("Base.children.append(Child)")
    with pytest.raises(CellError, match="'Base' refers to another class that refers back to it"):
        session.run("pydist.remotecall_fetch(lambda: Base.children, first)")
