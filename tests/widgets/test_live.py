from __future__ import annotations

import pytest

from pydist_widgets._live import Live
from pydist_widgets._screens import Mode
from tests.widgets.doubles import FakeModel, FakeScreen, FakeView

HTML_ONLY = {"text/html", "text/plain"}
LIVE = {"text/html", "text/plain", "model"}


@pytest.fixture
def view() -> FakeView:
    return FakeView("a")


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


def test_without_a_user_a_view_is_html_that_is_replaced(view: FakeView, model: FakeModel) -> None:
    screen = FakeScreen(Mode.HTML)
    live = Live(view, screen, lambda _: model)
    live.show()
    assert screen.shown == [{"text/html": "<p>a</p>", "text/plain": "a"}]
    view.word = "b"
    assert live.refresh()
    assert screen.updates == [{"text/html": "<p>b</p>", "text/plain": "b"}]
    assert model.pushed == []


def test_what_has_not_changed_is_not_sent(view: FakeView) -> None:
    screen = FakeScreen()
    live = Live(view, screen)
    live.show()
    assert not live.refresh()
    assert not live.settle()
    assert screen.updates == []


def test_everything_stands_under_one_display_id(view: FakeView) -> None:
    screen = FakeScreen()
    live = Live(view, screen)
    live.show()
    live.show()
    view.word = "b"
    live.refresh()
    assert len(screen.shown) == 2
    assert len(screen.ids) == 1


def test_a_live_front_end_gets_changes_by_the_model_and_the_document_when_a_cell_ends(
    view: FakeView, model: FakeModel
) -> None:
    screen = FakeScreen(Mode.WIDGET, watched=True)
    live = Live(view, screen, lambda _: model)
    live.show()
    assert screen.shown[0].keys() == LIVE
    for view.word in "bcd":
        live.refresh()
    assert model.pushed == ["b", "c", "d"]
    assert screen.updates == []
    live.settle()
    assert [update["text/plain"] for update in screen.updates] == ["d"]
    assert screen.document.keys() == LIVE
    assert live.settled


def test_one_model_serves_however_often_the_view_is_shown(view: FakeView) -> None:
    made = []

    def make(_: object) -> FakeModel:
        made.append(FakeModel())
        return made[-1]

    live = Live(view, FakeScreen(Mode.WIDGET, watched=True), make)
    live.show()
    view.word = "b"
    live.show()
    assert len(made) == 1
    assert made[0].pushed == ["b"]


def test_html_takes_over_when_there_is_no_model(view: FakeView) -> None:
    screen = FakeScreen(Mode.WIDGET, watched=True)
    live = Live(view, screen, lambda _: None)
    live.show()
    view.word = "b"
    live.refresh()
    assert screen.document == {"text/html": "<p>b</p>", "text/plain": "b"}


def test_at_rest_the_document_needs_no_kernel(view: FakeView, model: FakeModel) -> None:
    screen = FakeScreen(Mode.WIDGET, watched=True)
    live = Live(view, screen, lambda _: model)
    live.show()
    view.word = "b"
    assert live.rest()  # something happened: not yet
    assert not screen.updates
    assert not live.rest()
    assert screen.document == {"text/html": "<p>b</p>", "text/plain": "b"}
    count = len(screen.updates)
    live.rest()
    assert len(screen.updates) == count


def test_after_a_rest_the_model_comes_back(view: FakeView, model: FakeModel) -> None:
    screen = FakeScreen(Mode.WIDGET, watched=True)
    live = Live(view, screen, lambda _: model)
    live.show()
    live.rest()
    view.word = "b"
    live.refresh()
    assert screen.document == {"model": "live", "text/html": "<p>b</p>", "text/plain": "b"}
    assert model.pushed == ["b"]


def test_what_has_buttons_keeps_them(view: FakeView, model: FakeModel) -> None:
    screen = FakeScreen(Mode.WIDGET, watched=True)
    live = Live(view, screen, lambda _: model, has_buttons=True)
    live.show()
    view.word = "b"
    live.refresh()
    live.rest()
    assert screen.document == {"model": "live", "text/html": "<p>b</p>", "text/plain": "b"}


def test_what_nobody_received_is_told_later(view: FakeView) -> None:
    screen = FakeScreen()
    live = Live(view, screen)
    live.show()
    screen.receives = False
    view.word = "b"
    assert not live.refresh()
    assert not live.settled
    screen.receives = True
    live.settle()
    assert screen.document["text/plain"] == "b"
    assert live.settled


def test_closing_leaves_plain_html(view: FakeView, model: FakeModel) -> None:
    screen = FakeScreen(Mode.WIDGET, watched=True)
    live = Live(view, screen, lambda _: model, has_buttons=True)
    live.show()
    live.close()
    assert screen.document.keys() == HTML_ONLY
    assert model.closed


def test_text_alone_where_it_is_asked_for(view: FakeView, model: FakeModel) -> None:
    screen = FakeScreen(Mode.TEXT)
    live = Live(view, screen, lambda _: model)
    live.show()
    view.word = "b"
    live.refresh()
    assert screen.shown == [{"text/plain": "a"}]
    assert screen.updates == [{"text/plain": "b"}]
