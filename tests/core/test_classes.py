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
