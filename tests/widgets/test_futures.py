from __future__ import annotations

import pytest

from pydist_widgets._futures import FutureState


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (FutureState("Future(2, 1, 4)", 2, "pending"), "Future(2, 1, 4) ◌ pending on worker 2"),
        (FutureState("Future(1, 1, 4)", 1, "done"), "Future(1, 1, 4) ✔ done in this process"),
        (
            FutureState("Future(2, 1, 4)", 2, "failed", "ValueError: no <b>"),
            "Future(2, 1, 4) ✘ failed on worker 2: ValueError: no <b>",
        ),
    ],
)
def test_text(state: FutureState, text: str) -> None:
    assert state.text() == text


def test_html_escapes_the_error() -> None:
    html = FutureState("Future(2, 1, 4)", 2, "failed", "ValueError: no <b>").html()
    assert "no &lt;b&gt;" in html
