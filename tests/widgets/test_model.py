from __future__ import annotations

from typing import Any

import pytest

from pydist_widgets._workers import Workers
from tests.widgets.processes import NOON, Process

pytest.importorskip("anywidget")

from pydist_widgets._model import STATIC, TableModel, answer_in_the_senders_shell


def snapshot(*processes: Process) -> Workers:
    return Workers.of(processes, NOON)


def test_the_bundle_names_the_model() -> None:
    model = TableModel(snapshot(Process(2)))
    view = model.bundle()["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == model._widget.model_id


def test_the_model_carries_the_whole_table() -> None:
    model = TableModel(snapshot(Process(2)))
    later = snapshot(Process(2, running=1), Process(3))
    model.push(later)
    assert model._widget.table == later.data


def test_orders_come_from_the_front_end() -> None:
    ordered: list[dict[str, Any]] = []
    model = TableModel(snapshot(), ("add",), ordered.append)
    message = {"order": "add", "pids": []}
    model._widget._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
    assert ordered == [message]
    assert model._widget.orders == ["add"]


def test_messages_are_answered_in_the_shell_that_the_front_end_chose() -> None:
    class Comm:
        def _reply_subshell_for(self, data: object, default: str) -> str:
            return "main, which is busy"

    comm = Comm()
    answer_in_the_senders_shell(comm)
    assert comm._reply_subshell_for({}, "subshell") == "subshell"


def test_other_kernels_have_no_such_trouble() -> None:
    comm = object()
    answer_in_the_senders_shell(comm)


def test_the_front_end_loads_nothing() -> None:
    for file in STATIC.iterdir():
        source = file.read_text(encoding="utf-8")
        for word in ("http:", "https:", "import ", "import(", "@import", "url("):
            assert word not in source, f"{file.name}: {word}"


def test_the_page_is_patched_not_rebuilt() -> None:
    source = (STATIC / "view.js").read_text(encoding="utf-8")
    assert "innerHTML" not in source
    assert "replaceChildren" not in source


def test_motion_is_only_for_those_who_want_it() -> None:
    css = (STATIC / "view.css").read_text(encoding="utf-8")
    before, _, after = css.partition("@media (prefers-reduced-motion: no-preference)")
    assert "transition" not in before
    assert "animation" not in before
    assert "transition" in after
