"""The notebook's screen, on a shell and a kernel that only remember."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pydist_widgets._cells import Cells
from pydist_widgets._screens import Mode, NotebookScreen, TerminalScreen

BUNDLE = {"text/plain": "a"}


class FakeKernel:
    iopub_socket = object()

    def __init__(self) -> None:
        self.session = self
        self.sent: list[tuple[str, str, str]] = []

    def send(self, socket: object, kind: str, content: Any, *, parent: Any, ident: bytes) -> None:
        self.sent.append((kind, parent["header"]["msg_id"], content["transient"]["display_id"]))


class FakeShell:
    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.display_pub = self
        self.published: list[dict[str, Any]] = []
        self.parent: dict[str, Any] = {}

    def get_parent(self) -> dict[str, Any]:
        return self.parent

    def publish(self, data: dict[str, Any], *, transient: dict[str, Any]) -> None:
        self.published.append(transient)

    def start_cell(self, name: str, **metadata: str) -> None:
        self.parent = {"header": {"msg_id": name}, "metadata": metadata}


@pytest.fixture
def shell() -> FakeShell:
    return FakeShell()


@pytest.fixture
def cells(shell: FakeShell) -> Cells:
    return Cells(shell)  # type: ignore[arg-type]


@pytest.fixture
def screen(shell: FakeShell, cells: Cells, monkeypatch: pytest.MonkeyPatch) -> NotebookScreen:
    monkeypatch.delenv("PYDIST_DISPLAY", raising=False)
    return NotebookScreen(shell, cells)  # type: ignore[arg-type]


def test_a_front_end_that_names_its_cells_is_live(shell: FakeShell, cells: Cells, screen: NotebookScreen) -> None:
    shell.start_cell("one")
    cells.begin()
    assert (screen.mode, screen.watched) == (Mode.HTML, False)
    shell.start_cell("two", cellId="c2")
    cells.begin()
    assert (screen.mode, screen.watched) == (Mode.WIDGET, True)


@pytest.mark.parametrize("value", ["widget", "HTML", " text "])
def test_the_user_has_the_last_word(value: str, screen: NotebookScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDIST_DISPLAY", value)
    assert screen.mode is Mode(value.strip().lower())


def test_a_word_that_means_nothing_is_ignored(screen: NotebookScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDIST_DISPLAY", "hologram")
    assert screen.mode is Mode.HTML


def test_an_update_belongs_to_the_cell_that_runs_now(shell: FakeShell, cells: Cells, screen: NotebookScreen) -> None:
    shell.start_cell("one")
    cells.begin()
    screen.display(BUNDLE, "d")
    cells.end()
    shell.start_cell("two")
    cells.begin()
    assert screen.update(BUNDLE, "d")
    assert shell.published == [{"display_id": "d"}]
    assert shell.kernel.sent == [("update_display_data", "two", "d")]


def test_without_a_user_nobody_receives_anything_between_cells(
    shell: FakeShell, cells: Cells, screen: NotebookScreen
) -> None:
    shell.start_cell("one")
    cells.begin()
    cells.end()
    assert not screen.update(BUNDLE, "d")
    assert shell.kernel.sent == []


def test_with_a_user_updates_go_out_between_cells_too(shell: FakeShell, cells: Cells, screen: NotebookScreen) -> None:
    shell.start_cell("one", cellId="c1")
    cells.begin()
    cells.end()
    assert screen.update(BUNDLE, "d")


def test_a_message_from_a_widget_does_not_take_the_output(
    shell: FakeShell, cells: Cells, screen: NotebookScreen
) -> None:
    shell.start_cell("one", cellId="c1")
    cells.begin()
    shell.start_cell("comm message")  # the kernel's parent from now on, but no cell
    screen.update(BUNDLE, "d")
    assert shell.kernel.sent == [("update_display_data", "one", "d")]


def test_a_thread_displays_in_the_cell_that_runs_now(shell: FakeShell, cells: Cells, screen: NotebookScreen) -> None:
    shell.start_cell("one")
    cells.begin()
    thread = threading.Thread(target=screen.display, args=(BUNDLE, "d"))
    thread.start()
    thread.join()
    assert shell.published == []
    assert shell.kernel.sent == [("display_data", "one", "d")]


def test_an_extension_that_is_loaded_by_a_cell_knows_that_cell(shell: FakeShell) -> None:
    shell.start_cell("one", cellId="c1")
    cells = Cells(shell)  # type: ignore[arg-type]
    assert cells.running
    assert cells.live


def test_a_terminal_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = TerminalScreen()
    screen.display({"text/plain": "a", "text/html": "<p>a</p>"}, "d")
    assert screen.update({"text/plain": "b"}, "d")
    assert capsys.readouterr().out == "a\n"
