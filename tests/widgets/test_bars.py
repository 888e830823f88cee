from __future__ import annotations

from collections.abc import Iterator

import pytest

from pydist_widgets._bars import PLACES, Bars
from pydist_widgets._cells import Cells
from pydist_widgets._pump import Pump
from tests.widgets.doubles import FakeScreen


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen()


@pytest.fixture
def cells() -> Cells:
    return Cells(object())  # type: ignore[arg-type]


@pytest.fixture
def pump(screen: FakeScreen) -> Iterator[Pump]:
    pump = Pump(screen)
    yield pump
    pump.close()


@pytest.fixture
def bars(screen: FakeScreen, pump: Pump, cells: Cells) -> Bars:
    return Bars(screen, pump, cells)


def test_the_end_is_told_at_once(screen: FakeScreen, bars: Bars) -> None:
    meter = bars.meter("pmap", 2)
    assert "▶ running · 0/2" in screen.document["text/plain"]
    meter.update(2, 0, 2)
    meter.close("done")
    assert "✔ done · 2/2" in screen.document["text/plain"]


def test_a_thousand_pmaps_in_a_cell_have_few_places(screen: FakeScreen, pump: Pump, bars: Bars) -> None:
    for _ in range(1000):
        bars.meter("step", 1).close("done")
    assert len(screen.shown) == PLACES
    assert len(screen.updates) < 100
    pump.settle()
    assert screen.document["text/plain"].startswith("step (no. 1000 in this cell) ")
    assert "✔ done" in screen.document["text/plain"]


def test_the_next_cell_has_places_of_its_own(screen: FakeScreen, cells: Cells, bars: Bars) -> None:
    for _ in range(10):
        bars.meter("step", 1).close("done")
    cells.begin()
    bars.meter("step", 1).close("done")
    assert len(screen.shown) == PLACES + 1


def test_a_place_that_is_in_use_is_left_alone(screen: FakeScreen, bars: Bars) -> None:
    running = [bars.meter("side by side", 1) for _ in range(PLACES + 2)]
    assert len(screen.shown) == PLACES + 2
    for meter in running:
        meter.close("done")
