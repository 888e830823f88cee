from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from pydist_widgets._live import Live
from pydist_widgets._pump import Pump
from pydist_widgets._screens import Mode
from tests.widgets.doubles import FakeModel, FakeScreen, FakeView, Word

PATIENCE = 30.0


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen(Mode.HTML, watched=True)


@pytest.fixture
def pump(screen: FakeScreen) -> Iterator[Pump]:
    pump = Pump(screen)
    yield pump
    pump.close()


def show(pump: Pump, view: FakeView, screen: FakeScreen) -> Live:
    live = Live(view, screen)
    live.show()
    screen.heard.clear()
    pump.add(live)
    return live


def test_a_change_is_shown_without_anybody_asking(pump: Pump, screen: FakeScreen) -> None:
    view = FakeView("a")
    show(pump, view, screen)
    view.word = "b"
    assert screen.heard.wait(PATIENCE)
    assert screen.document["text/plain"] == "b"


def test_nothing_is_sent_while_nothing_changes(pump: Pump, screen: FakeScreen) -> None:
    view = FakeView("a")
    show(pump, view, screen)
    for _ in range(3):
        view.looked.clear()
        assert view.looked.wait(PATIENCE)
    assert screen.updates == []


def test_a_view_that_fails_does_not_take_the_others_with_it(pump: Pump, screen: FakeScreen) -> None:
    class Broken(FakeView):
        def snapshot(self) -> Word:
            if self.looked.is_set():
                raise OSError("the cluster is gone")
            return super().snapshot()

    show(pump, Broken("x"), screen)
    view = FakeView("a")
    show(pump, view, screen)
    view.word = "b"
    assert screen.heard.wait(PATIENCE)


def test_a_view_that_has_ended_is_let_go(pump: Pump, screen: FakeScreen) -> None:
    view = FakeView("a")
    live = weakref.ref(show(pump, view, screen))
    view.word, view.ended = "b", True
    assert screen.heard.wait(PATIENCE)
    pump.settle()
    gc.collect()
    assert live() is None
    assert screen.document["text/plain"] == "b"


def test_the_end_of_a_cell_settles_even_what_nobody_could_receive_before(screen: FakeScreen) -> None:
    screen.watched, screen.receives = False, False
    pump = Pump(screen)
    view = FakeView("a")
    show(pump, view, screen)
    view.word, view.ended = "b", True
    pump.settle()
    assert screen.updates == []
    screen.receives = True
    pump.settle()
    assert screen.document["text/plain"] == "b"
    pump.close()


def test_a_quiet_document_needs_no_kernel(screen: FakeScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydist_widgets._pump.QUIET_AFTER", 0.0)
    screen.mode, screen.running = Mode.WIDGET, False
    pump = Pump(screen)
    live = Live(FakeView("a"), screen, lambda _: FakeModel())
    live.show()
    screen.heard.clear()
    pump.add(live)
    assert screen.heard.wait(PATIENCE)
    assert screen.document.keys() == {"text/html", "text/plain"}
    pump.close()


def test_closing_ends_the_thread_and_leaves_plain_html(screen: FakeScreen) -> None:
    screen.mode = Mode.WIDGET
    pump = Pump(screen)
    model = FakeModel()
    live = Live(FakeView("a"), screen, lambda _: model)
    live.show()
    pump.add(live)
    pump.close()
    assert pump._thread is not None
    assert not pump._thread.is_alive()
    assert model.closed
    assert screen.document.keys() == {"text/html", "text/plain"}
