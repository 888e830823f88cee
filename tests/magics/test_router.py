"""Into which cell the text of workers goes."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pydist import frontend
from pydist_magics._outlog import OutputLog
from pydist_magics._router import Router
from tests.magics.kernels import FakeKernel, Stream

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LIVE = {"cellId": "abc"}


class Bench:
    """A router in a shell with a kernel that is none, and what has been sent to each cell."""

    def __init__(self, shell: Any, limit: int = 1_000_000) -> None:
        self.kernel = FakeKernel()
        self.shell = shell
        shell.kernel = self.kernel
        self.streams = {"stdout": Stream("stdout", self.kernel), "stderr": Stream("stderr", self.kernel)}
        self.router = Router(shell, OutputLog(limit))
        self.router.attach()

    def begin(self, name: str, *, live: bool = True, attended: bool | None = None) -> int:
        """Begin a cell and return its origin."""
        attended = live if attended is None else attended
        # Not earlier: pytest changes them between the phases of a test.
        sys.stdout, sys.stderr = self.streams["stdout"], self.streams["stderr"]
        self.kernel.begin(name, LIVE if live else {}, attended)
        self.shell.events.trigger("pre_run_cell", None)
        return self.router.origin()

    def end(self) -> None:
        self.shell.events.trigger("post_run_cell", None)
        for stream in self.streams.values():
            stream.flush()  # as ipykernel does before it says that it is idle

    def write(self, origin: int, *lines: str, pid: int = 2, stream: str = "stdout", call: int = 0) -> None:
        for line in lines:
            self.router.text(origin, stream, f" From worker {pid}:\t{line}\n", call)

    def blocks(self, name: str) -> list[str]:
        """Return what a cell says of blocks of late text, its own and others'."""
        shown = [m["content"] for m in self.kernel.messages(name) if m["msg_type"].endswith("display_data")]
        texts = [str(content["data"]["text/plain"]) for content in shown if content["metadata"] == {"pydist": "late"}]
        return [text.replace(" From worker ", "").replace("\t", "") for text in texts]

    def seen(self, name: str) -> str:
        """Return the text in a cell, without the prefixes of the workers but with their ids."""
        text = "".join(str(m["content"]["text"]) for m in self.kernel.messages(name) if m["msg_type"] == "stream")
        return text.replace(" From worker ", "").replace("\t", "")


@contextlib.contextmanager
def made(shell: InteractiveShell, limit: int = 1_000_000) -> Iterator[Bench]:
    before = sys.stdout, sys.stderr
    bench = Bench(shell, limit)
    try:
        yield bench
    finally:
        bench.router.detach()
        sys.stdout, sys.stderr = before


def in_another_thread(*work: Callable[[], None]) -> None:
    def run() -> None:
        for do in work:
            do()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.fixture
def bench(shell: InteractiveShell) -> Iterator[Bench]:
    with made(shell) as bench:
        yield bench


def test_text_of_a_running_cell_goes_into_it(bench: Bench) -> None:
    origin = bench.begin("A")
    bench.write(origin, "hello")
    bench.end()
    assert bench.seen("A") == "2:hello\n"


@pytest.mark.parametrize("live", [True, False])
def test_text_stands_in_order_with_the_cells_own(bench: Bench, live: bool) -> None:
    origin = bench.begin("A", live=live)
    sys.stdout.write("before\n")
    bench.write(origin, "worker")
    bench.router.flush(origin)
    sys.stdout.write("after\n")
    bench.end()
    assert bench.seen("A") == "before\n2:worker\nafter\n"


@pytest.mark.parametrize("live", [True, False])
def test_a_line_of_the_cell_is_never_broken_by_one_of_a_worker(bench: Bench, live: bool) -> None:
    origin = bench.begin("A", live=live)
    sys.stdout.write("caught")  # this and the next are one `print`
    in_another_thread(lambda: bench.write(origin, "stopped"), lambda: bench.router.flush(origin, 2))
    sys.stdout.write("\n")
    sys.stdout.write("after\n")
    bench.end()
    assert bench.seen("A") == "caught\n2:stopped\nafter\n"


@pytest.mark.parametrize("live", [True, False])
def test_text_precedes_what_follows_from_its_call_even_in_a_line(bench: Bench, live: bool) -> None:
    origin = bench.begin("A", live=live)
    sys.stdout.write("calling: ")
    in_another_thread(lambda: bench.write(origin, "called"), lambda: bench.router.flush(origin, 2))
    sys.stdout.write("done")
    bench.end()
    assert bench.seen("A") == "calling: 2:called\ndone"


def test_a_line_that_does_not_end_holds_text_up_for_a_moment_only(bench: Bench) -> None:
    origin = bench.begin("A")
    sys.stdout.write("...")
    in_another_thread(lambda: bench.write(origin, "2 is here", "2 is there"))
    bench.router._flush_pending()
    bench.router._flush_pending()
    assert bench.seen("A") == "...2:2 is here\n2:2 is there\n"


def test_a_stream_that_outlives_its_cell_works(bench: Bench) -> None:
    bench.begin("A")
    kept = sys.stdout
    bench.end()
    assert not isinstance(sys.stdout, type(kept))
    bench.begin("B")
    print("still here", file=kept)
    bench.end()
    assert bench.seen("B") == "still here\n"


def test_late_text_stays_with_its_cell_in_a_live_front_end(bench: Bench) -> None:
    first = bench.begin("A")
    bench.end()
    bench.begin("B")
    bench.write(first, "late")
    bench.router.close()
    bench.router._flush_pending()
    bench.end()
    assert (bench.seen("A"), bench.seen("B")) == ("2:late\n", "")


def test_late_text_goes_into_a_block_of_its_cell_in_a_headless_run(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    frontend.note_call(first, 7)
    sys.stdout.write("own\n")
    bench.end()
    bench.write(first, "between", call=7)
    bench.begin("B", live=False)
    bench.write(first, "later", call=7)
    bench.end()
    assert [m["msg_type"] for m in bench.kernel.messages("A")] == ["stream", "display_data"]
    assert bench.blocks("A") == [""]
    assert bench.blocks("B") == ["2:between", "2:between\n2:later"]
    assert (bench.seen("A"), bench.seen("B")) == ("own\n", "")


def test_where_the_text_of_a_call_stands_is_not_left_to_chance_in_a_headless_run(bench: Bench) -> None:
    origin = bench.begin("A", live=False)
    for call in (7, 8):
        frontend.note_call(origin, call)
    bench.write(origin, "of a call that will be waited for", call=7)
    bench.write(origin, "of a call that nobody waits for", call=8)
    sys.stdout.write("own\n")
    assert bench.seen("A") == ""
    frontend.note_wait(origin, 7)
    sys.stdout.write("after the wait\n")
    bench.end()
    assert bench.seen("A") == "own\n2:of a call that will be waited for\nafter the wait\n"
    assert bench.blocks("A") == ["2:of a call that nobody waits for"]


def test_a_cell_that_leaves_no_calls_has_no_block(bench: Bench) -> None:
    origin = bench.begin("A", live=False)
    frontend.note_call(origin, 7)
    frontend.note_wait(origin, 7)
    bench.write(origin, "text", call=7)
    bench.end()
    assert [m["msg_type"] for m in bench.kernel.messages("A")] == ["stream"]


@pytest.mark.parametrize("kind", [{"live": True}, {"live": False, "attended": True}])
def test_somebody_who_looks_on_has_no_blocks(bench: Bench, kind: dict[str, bool]) -> None:
    origin = bench.begin("A", **kind)
    frontend.note_call(origin, 7)
    bench.end()
    assert bench.blocks("A") == []


def test_late_text_shows_itself_while_the_next_cell_runs(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    frontend.note_call(first, 7)
    bench.end()
    bench.begin("B", live=False)
    bench.write(first, "late", call=7)
    for _ in iter(lambda: bool(bench.blocks("B")), True):
        bench.router._flush_pending()  # as its clock does
    bench.end()
    assert bench.blocks("B") == ["2:late"]


def test_a_late_flood_is_cut_with_one_line_at_the_end(shell: InteractiveShell) -> None:
    with made(shell, limit=100) as bench:
        first = bench.begin("A", live=False)
        frontend.note_call(first, 7)
        bench.end()
        bench.begin("B", live=False)
        for number in range(50):
            bench.write(first, f"{number:02}", call=7)
        bench.end()
        *shown, note = bench.blocks("B")[-1].splitlines()
        assert shown == [f"2:{n:02}" for n in range(5)]
        assert note == f"... 855 bytes (45 lines) left out; %pydist output {first} shows all"


def test_late_text_that_no_cell_follows_is_not_lost(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    frontend.note_call(first, 7)
    bench.end()
    bench.write(first, "late", call=7)
    file = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "__stderr__", file)
        bench.router.close()
    assert file.getvalue() == " From worker 2:\tlate\n"


def test_late_text_that_nobody_awaited_goes_into_the_current_cell_of_a_headless_run(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    bench.end()
    bench.begin("B", live=False)
    bench.write(first, "late")
    bench.end()
    assert (bench.seen("A"), bench.seen("B")) == ("", "2:late\n")


def test_text_between_two_cells_of_a_headless_run_is_kept_for_the_next(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    bench.end()
    bench.write(first, "late")
    bench.begin("B", live=False)
    sys.stdout.write("own\n")
    bench.end()
    assert (bench.seen("A"), bench.seen("B")) == ("", "2:late\nown\n")


def test_text_that_no_cell_follows_is_not_lost(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    first = bench.begin("A", live=False)
    bench.end()
    bench.write(first, "late")
    file = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "__stderr__", file)
        bench.router.close()
    assert file.getvalue() == " From worker 2:\tlate\n"


def test_text_of_no_cell_goes_into_the_running_one(bench: Bench) -> None:
    bench.begin("A")
    bench.write(0, "whose?")
    bench.end()
    assert bench.seen("A") == "2:whose?\n"


def test_a_headless_run_has_the_workers_in_order_whoever_answers_first(bench: Bench) -> None:
    origin = bench.begin("A", live=False)
    for pid in (4, 2, 3, 2):
        bench.write(origin, "x", pid=pid)
        bench.router.flush(origin)
    bench.end()
    assert bench.seen("A") == "2:x\n2:x\n3:x\n4:x\n"
    assert len(bench.kernel.messages("A")) == 1


def test_a_call_that_is_known_to_be_done_shows_its_text(bench: Bench) -> None:
    origin = bench.begin("A", live=False)
    bench.write(origin, "x", pid=3)
    bench.write(origin, "y", pid=2)
    bench.router.flush(origin, 3)
    assert bench.seen("A") == "3:x\n"
    bench.end()
    assert bench.seen("A") == "3:x\n2:y\n"


def test_somebody_who_looks_on_without_a_cell_id_sees_text_at_once(bench: Bench) -> None:
    """A console is told no cell, but can ask its user things."""
    origin = bench.begin("A", live=False, attended=True)
    bench.write(origin, "now")
    bench.streams["stdout"].flush()
    assert bench.seen("A") == "2:now\n"
    bench.end()


def test_the_environment_decides_what_is_live(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDIST_DISPLAY", "html")
    first = bench.begin("A")
    bench.end()
    bench.begin("B")
    bench.write(first, "late")
    bench.end()
    assert bench.seen("B") == "2:late\n"


def test_stderr_stays_stderr(bench: Bench) -> None:
    origin = bench.begin("A", live=False)
    bench.write(origin, "out")
    bench.write(origin, "err", stream="stderr")
    bench.end()
    assert [m["content"]["name"] for m in bench.kernel.messages("A")] == ["stdout", "stderr"]


@pytest.mark.parametrize("live", [True, False])
def test_what_a_cell_redirects_is_redirected(bench: Bench, live: bool) -> None:
    origin = bench.begin("A", live=live)
    with contextlib.redirect_stdout(io.StringIO()) as captured:
        bench.write(origin, "caught")
    bench.end()
    assert captured.getvalue() == " From worker 2:\tcaught\n"
    assert bench.seen("A") == ""


@pytest.mark.parametrize("live", [True, False])
def test_a_flood_is_cut_with_one_line(shell: InteractiveShell, live: bool) -> None:
    with made(shell, limit=100) as bench:
        origin = bench.begin("A", live=live)
        for number in range(50):
            bench.write(origin, f"{number:02}")
        bench.end()
        lines = bench.seen("A").splitlines()
        assert lines[-1] == f"... 855 bytes (45 lines) left out; %pydist output {origin} shows all"
        assert lines[:-1] == [f"2:{n:02}" for n in range(5)]
        assert (bench.router.log.text(origin) or "").count("\n") == 50


def test_each_cell_has_a_number_of_its_own(bench: Bench) -> None:
    first = bench.begin("A")
    bench.end()
    second = bench.begin("B")
    bench.end()
    assert 0 < first < second


def test_cells_within_a_cell_are_that_cell(bench: Bench) -> None:
    outer = bench.begin("A")
    bench.shell.events.trigger("pre_run_cell", None)
    assert bench.router.origin() == outer
    bench.shell.events.trigger("post_run_cell", None)
    bench.write(outer, "still running")
    bench.end()
    assert bench.seen("A") == "2:still running\n"


def test_an_empty_cell_ends_without_having_begun(bench: Bench) -> None:
    origin = bench.begin("A")
    bench.kernel.begin("B", LIVE, True)
    bench.shell.events.trigger("post_run_cell", None)
    assert bench.router._cells.current is not None
    assert bench.router._cells.current.origin == origin


def test_a_thread_has_the_origin_of_the_running_cell(bench: Bench) -> None:
    origin = bench.begin("A")
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(bench.router.origin()))
    thread.start()
    thread.join()
    bench.end()
    assert seen == [origin]


def test_displays_come_after_the_text_before_them(bench: Bench) -> None:
    origin = bench.begin("A")
    bench.write(origin, "text")
    bench.router.display(origin, 2, "display_data", {"data": {"text/plain": "<it>"}, "metadata": {}, "transient": {}})
    bench.end()
    assert [m["msg_type"] for m in bench.kernel.messages("A")] == ["stream", "display_data"]
    assert bench.kernel.messages("A")[1]["content"]["data"] == {"text/plain": "<it>"}


def test_updates_belong_to_the_cell_that_runs(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    bench.end()
    bench.begin("B", live=False)
    bench.router.display(first, 2, "update_display_data", {"data": {}, "transient": {"display_id": "x"}})
    bench.end()
    assert [m["msg_type"] for m in bench.kernel.messages("B")] == ["update_display_data"]


def test_displays_between_two_cells_of_a_headless_run_are_kept(bench: Bench) -> None:
    first = bench.begin("A", live=False)
    bench.end()
    bench.router.display(first, 2, "display_data", {"data": {"text/plain": "x"}})
    bench.router.display(first, 2, "clear_output", {"wait": True})
    bench.begin("B", live=False)
    assert [m["msg_type"] for m in bench.kernel.messages("B")] == ["display_data"]
    bench.end()


def test_the_cells_own_streams_come_back_after_a_headless_cell(bench: Bench) -> None:
    bench.begin("A", live=False)
    assert sys.stdout is not bench.streams["stdout"]
    bench.end()
    assert sys.stdout is bench.streams["stdout"]


def test_asking_for_the_origin_is_cheap(bench: Bench) -> None:
    import timeit

    bench.begin("A")
    assert min(timeit.repeat(bench.router.origin, number=10_000, repeat=5)) / 10_000 < 1e-6
    bench.end()
