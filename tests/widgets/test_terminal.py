from __future__ import annotations

import io

from pydist_widgets._terminal import follow
from pydist_widgets._views import ProgressMeter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_shows_one_line_that_is_written_over() -> None:
    clock, stream = Clock(), Terminal()
    meter = ProgressMeter("pmap", 4, clock)
    follow(meter, stream, clock)
    for clock.now, done in ((1.0, 1), (2.0, 2)):
        meter.update(done, 0, 4)
    meter.close("done")
    lines = stream.getvalue().split("\r")[1:]
    assert [line.partition(" · ")[2].partition(" · ")[0] for line in lines] == ["0/4", "1/4", "2/4", "2/4"]
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue().count("\n") == 1


def test_a_terminal_is_not_flooded() -> None:
    clock, stream = Clock(), Terminal()
    meter = ProgressMeter("pmap", 1000, clock)
    follow(meter, stream, clock)
    for done in range(1000):
        meter.update(done, 0, 1000)
    assert stream.getvalue().count("\r") == 1


def test_a_file_gets_the_end_only() -> None:
    stream = io.StringIO()
    meter = ProgressMeter("pmap", 4)
    follow(meter, stream)
    meter.update(2, 0, 4)
    assert stream.getvalue() == ""
    meter.close("failed")
    assert "✘ failed · 2/4" in stream.getvalue()
    assert "\r" not in stream.getvalue()
