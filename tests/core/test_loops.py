"""distributed: a loop over the workers, each with a part of it."""

from __future__ import annotations

import array
import asyncio
import contextlib
import operator
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydist
from pydist import distributed, frontend
from pydist._loops import distributed_chunks
from tests.core.bells import Bell
from tests.core.gates import LIMIT, Gate
from tests.core.sessions import CellError, Session, outcome

pytestmark = pytest.mark.processes


def as_list(x: Any) -> list[Any]:
    return [x]


def where(x: Any) -> list[tuple[int, Any]]:
    return [(pydist.myid(), x)]


def inverse(x: int) -> float:
    return 1 / x


# ---- with a reducer


def test_the_value_is_the_fold_of_all(pids: list[int]) -> None:
    assert distributed(lambda i: i * i, range(1000), operator.add) == 332833500


def test_the_order_of_the_input_is_kept(pids: list[int]) -> None:
    assert distributed(as_list, range(100), operator.add) == [*range(100)]


def test_parts_are_folded_from_the_left_and_then_their_results(pids: list[int]) -> None:
    # Three workers: (1 - 2 - 3) - (4 - 5) - (6 - 7), as Julia has it.
    assert distributed(lambda i: i, range(1, 8), operator.sub) == -2


def test_each_worker_has_one_part_in_the_order_of_their_ids(pids: list[int]) -> None:
    a, b, c = pids
    assert distributed(where, "uvwxyz!", operator.add) == [
        (a, "u"),
        (a, "v"),
        (a, "w"),
        (b, "x"),
        (b, "y"),
        (c, "z"),
        (c, "!"),
    ]


def test_each_worker_is_called_once(pids: list[int]) -> None:
    before = sum(pydist.worker_info(pid).done for pid in pids)
    distributed(abs, range(1000), operator.add)
    assert sum(pydist.worker_info(pid).done for pid in pids) - before == 3


def test_the_value_of_a_single_element_does_not_meet_the_reducer(pids: list[int]) -> None:
    def refuse(a: Any, b: Any) -> Any:
        raise AssertionError("called")

    assert distributed(str, [7], refuse) == "7"


def test_large_values_are_brought_here_and_folded(pids: list[int]) -> None:
    total = distributed(lambda i: np.full(200_000, i), range(10), operator.add)
    assert (total == 45).all()


def test_it_is_a_loop_here_while_there_are_no_workers(own_session: Callable[..., Any]) -> None:
    session = own_session(workers=0)
    assert session.run("pydist.distributed(lambda i: [(i, pydist.myid())], range(3), lambda a, b: a + b)") == [
        (0, 1),
        (1, 1),
        (2, 1),
    ]
    assert session.run("seen = []; pydist.distributed(seen.append, range(3)).wait().done()") is True
    assert session.run("seen") == [0, 1, 2]


def test_a_worker_can_run_one_too(pids: list[int]) -> None:
    def loop() -> Any:
        return distributed(where, range(6), operator.add)

    assert sorted({pid for pid, _ in pydist.remotecall_fetch(loop, pids[0])}) == pids


def test_the_workers_are_those_of_the_default_pool(pids: list[int]) -> None:
    before = pydist.default_worker_pool()
    pydist.set_default_worker_pool(pydist.WorkerPool(pids[1:]))
    try:
        assert {pid for pid, _ in distributed(where, range(6), operator.add)} == {*pids[1:]}
    finally:
        pydist.set_default_worker_pool(before)


# ---- what can be looped over


class Squares:
    """Has a length and indices and nothing else; says where it was asked."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[int, int]:
        return i * i, pydist.myid()


class Counted:
    """Counts how often it is pickled."""

    count = 0

    def __reduce__(self) -> Any:
        Counted.count += 1
        return int, (1,)


@pytest.mark.parametrize(
    "R",
    [
        range(20, -5, -3),
        [3, 1, 2],
        (3, 1, 2, "x"),
        "text",
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"memory"),
        array.array("d", [0.5, 1.5, 2.5, 3.5]),
        np.arange(7) ** 2,
        deque([4, 5, 6, 7]),
    ],
    ids=lambda R: type(R).__name__,
)
def test_anything_with_a_length_and_indices_is_looped_over(R: Any, pids: list[int]) -> None:
    assert distributed(as_list, R, operator.add) == [*R]


def test_the_elements_of_a_matrix_are_its_rows(pids: list[int]) -> None:
    rows = np.arange(12).reshape(4, 3)
    assert distributed(lambda row: [int(row.sum())], rows, operator.add) == [3, 12, 21, 30]


def test_an_object_of_another_kind_is_indexed_where_the_loop_runs(pids: list[int]) -> None:
    values = distributed(as_list, Squares(3), operator.add)
    assert values == [(0, pids[0]), (1, pids[1]), (4, pids[2])]


def test_each_worker_is_sent_its_own_part_only(pids: list[int]) -> None:
    Counted.count = 0
    assert distributed(int, [Counted() for _ in range(30)], operator.add) == 30
    assert Counted.count == 30


@pytest.mark.parametrize(
    "R", [(x for x in "ab"), {1, 2}, {0: "a", 1: "b"}, 10, None, np.array(3)], ids=lambda R: type(R).__name__
)
@pytest.mark.parametrize("reducer", [None, operator.add], ids=["handle", "reducer"])
def test_what_has_no_length_or_indices_is_refused(R: Any, reducer: Any, pids: list[int]) -> None:
    with pytest.raises(TypeError, match=f"R must have a length and indices from 0 on.*{type(R).__name__} has not"):
        distributed(as_list, R, reducer)


def test_an_element_that_is_not_there_is_an_error_and_not_the_end(pids: list[int]) -> None:
    class Short(Squares):
        def __getitem__(self, i: int) -> tuple[int, int]:
            if i == 2:
                raise IndexError(i)
            return super().__getitem__(i)

    with pytest.raises(RuntimeError, match="R has no element 2"):
        distributed(as_list, Short(9), operator.add)


def test_a_reducer_needs_an_element(pids: list[int]) -> None:
    with pytest.raises(ValueError, match="R is empty, and a reducer needs at least one element"):
        distributed(as_list, [], operator.add)


@pytest.mark.parametrize("body", [None, 3, "print"])
def test_a_body_must_be_callable(body: Any, pids: list[int]) -> None:
    with pytest.raises(TypeError, match="body must be callable, not"):
        distributed(body, range(3))


def test_a_reducer_must_be_callable(pids: list[int]) -> None:
    with pytest.raises(TypeError, match=r"reducer must be callable, not '\+'"):
        distributed(abs, range(3), "+")  # type: ignore[call-overload]


def test_a_coroutine_function_is_refused_as_nobody_would_await_it(pids: list[int]) -> None:
    async def body(i: int) -> int:
        return i

    with pytest.raises(TypeError, match="must be a plain function"):
        distributed(body, range(3))


# ---- with a reducer, failing


@pytest.mark.parametrize("bad", [0, 3, 7, 9])
def test_an_error_keeps_its_type_and_says_at_which_element(bad: int, pids: list[int]) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        distributed(lambda i: 1 / (i - bad), range(10), operator.add)
    assert isinstance(caught.value, pydist.RemoteException)
    assert caught.value.index == bad  # type: ignore[attr-defined]
    assert f"distributed: the loop failed at element {bad}" in caught.value.__notes__


def test_of_loops_within_loops_each_says_its_own_element(pids: list[int]) -> None:
    def outer(i: int) -> Any:
        return distributed(lambda j: 1 / (i + j - 10), range(9), operator.add)

    with pytest.raises(ZeroDivisionError) as caught:
        distributed(outer, range(5), operator.add)
    inner = caught.value.captured.ex  # type: ignore[attr-defined]
    assert inner.index + caught.value.index == 10  # type: ignore[attr-defined]


def test_a_loop_that_is_one_function_does_not_pass_on_the_element_of_another(pids: list[int]) -> None:
    def chunk(part: range) -> Any:
        return distributed(inverse, part, operator.add)

    with pytest.raises(ZeroDivisionError) as caught:
        distributed_chunks(chunk, range(-1, 5), operator.add)
    assert caught.value.captured.ex.index == 1  # type: ignore[attr-defined]
    assert not hasattr(caught.value, "__notes__")


def test_a_reducer_that_fails_in_a_part_is_an_error_there(pids: list[int]) -> None:
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        distributed(lambda i: i or None, range(9), operator.add)
    assert isinstance(caught.value, pydist.RemoteException)


def test_a_reducer_that_fails_between_the_parts_is_an_error_here(pids: list[int]) -> None:
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        distributed(lambda i: None if i == 1 else i, range(3), operator.add)
    assert not isinstance(caught.value, pydist.RemoteException)


def test_a_part_that_fails_stops_the_others(pids: list[int]) -> None:
    gates = {pid: Gate(pid, "a part fails") for pid in pids}

    def body(pid: int) -> int:
        if pid == pids[-1]:
            for other in pids[:-1]:
                gates[other].wait_for_arrival()
            raise LookupError("enough")
        return Gate.spin("a part fails")

    with pytest.raises(LookupError, match="enough"):
        distributed(body, pids, operator.add)
    assert frontend.running() == {}
    assert distributed(where, pids, operator.add) == [(pid, pid) for pid in pids]


def test_a_worker_that_ends_is_named(spare: Callable[[], int], pids: list[int]) -> None:
    doomed = spare()

    def body(i: int) -> int:
        if pydist.myid() == doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with pytest.raises(pydist.ProcessExitedException) as caught:
        distributed(body, range(20), operator.add)
    assert caught.value.pid == doomed
    assert pydist.workers() == pids


def test_a_body_that_cannot_travel_is_an_error_here(pids: list[int]) -> None:
    stuck = (x for x in "abc")
    with pytest.raises(TypeError, match="generator"):
        distributed(lambda i: stuck, range(3), operator.add)
    assert frontend.running() == {}


# ---- a loop that is one function


def test_a_chunk_function_has_the_whole_part(pids: list[int]) -> None:
    def chunk(part: range) -> list[tuple[int, int]]:
        return [(pydist.myid(), len(part))]

    assert distributed_chunks(chunk, range(100), operator.add) == [*zip(pids, (34, 33, 33), strict=True)]


def test_what_a_chunk_function_returns_is_dropped_without_a_reducer(pids: list[int]) -> None:
    assert distributed_chunks(lambda part: np.zeros(100_000), range(9)).fetch() is None


def test_a_chunk_function_is_not_called_for_nothing(pids: list[int]) -> None:
    distributed_chunks(lambda part: 1 / len(part), []).wait()


def test_an_error_of_a_chunk_function_keeps_its_type(pids: list[int]) -> None:
    with pytest.raises(KeyError):
        distributed_chunks(lambda part: {}[part], range(9), operator.add)


# ---- without a reducer


def stand(name: str) -> Callable[[Any], Any]:
    """Return a body that stands at a gate of the master."""
    return lambda i: pydist.remotecall_fetch(Gate.stand, 1, name, i)


def test_it_returns_at_once_and_is_waited_for(pids: list[int]) -> None:
    gate = Gate(1, "a loop is waited for")
    loop = distributed(stand(gate.name), range(3))
    gate.wait_for_arrival()
    assert not loop.done()
    gate.open()
    assert loop.wait(LIMIT) is loop
    assert loop.done()


def test_its_value_is_none(pids: list[int]) -> None:
    assert distributed(abs, range(3)).fetch(LIMIT) is None


def test_every_element_is_visited_once(pids: list[int]) -> None:
    seen = pydist.RemoteChannel(lambda: pydist.Channel(100))
    distributed(seen.put, range(50)).wait(LIMIT)
    assert sorted(seen.take() for _ in range(50)) == [*range(50)]


def test_a_loop_over_nothing_is_done(pids: list[int]) -> None:
    assert distributed(inverse, []).done()


def test_a_wait_has_an_end(pids: list[int]) -> None:
    gate = Gate(1, "a wait has an end")
    loop = distributed(stand(gate.name), range(3))
    with pytest.raises(TimeoutError, match=r"0 ended, running.* is not ready after 0.01 seconds"):
        loop.wait(0.01)
    gate.open()
    loop.wait(LIMIT)


def test_it_can_be_awaited(pids: list[int]) -> None:
    async def main() -> None:
        await distributed(abs, range(3))
        with pytest.raises(ZeroDivisionError):
            await distributed(inverse, range(3))

    asyncio.run(main())


def test_it_is_a_future_among_others(pids: list[int]) -> None:
    loops = [distributed(abs, range(3)) for _ in range(3)]
    assert {*pydist.as_completed(loops, LIMIT)} == {*loops}
    assert [loop.result() for loop in loops] == [None] * 3


def test_another_process_can_wait_for_it(pids: list[int]) -> None:
    gate = Gate(1, "another process waits")
    loop = distributed(stand(gate.name), range(3))
    there = pydist.remotecall(pydist.wait, pids[0], loop)
    gate.open()
    assert there.fetch(LIMIT) is loop


def test_another_process_gets_its_error(pids: list[int]) -> None:
    loop = distributed(inverse, range(3))
    with pytest.raises(ZeroDivisionError):
        pydist.remotecall_fetch(pydist.fetch, pids[0], loop)
    with pytest.raises(ZeroDivisionError):
        loop.wait(LIMIT)


def test_it_shows_how_far_it_is(pids: list[int]) -> None:
    gate = Gate(1, "how far")
    loop = distributed(lambda pid: None if pid == 2 else pydist.remotecall_fetch(Gate.stand, 1, "how far"), range(3))
    gate.wait_for_arrival()
    assert repr(loop).startswith("DistributedLoop(3 parts, ")
    assert repr(loop).endswith(", running)")
    gate.open()
    assert repr(loop.wait(LIMIT)) == "DistributedLoop(3 parts, 3 ended, done)"
    loop.fetch()
    assert repr(loop) == "DistributedLoop(3 parts, 3 ended, done)"


def test_short_loops_go_round_the_workers(pids: list[int]) -> None:
    seen = pydist.RemoteChannel(lambda: pydist.Channel(9))
    for _ in range(3):
        distributed(lambda i: seen.put(pydist.myid()), [0]).wait(LIMIT)
    assert sorted(seen.take() for _ in range(3)) == pids


# ---- without a reducer, failing


def test_each_look_raises_the_error(pids: list[int]) -> None:
    loop = distributed(lambda i: 1 / (i - 4), range(9))
    for look in (loop.wait, loop.fetch, loop.result):
        with pytest.raises(ZeroDivisionError) as caught:
            look(LIMIT)
        assert caught.value.index == 4  # type: ignore[attr-defined]
    assert isinstance(loop.exception(), ZeroDivisionError)
    assert repr(loop) == "DistributedLoop(3 parts, 3 ended, failed)"


def test_several_failures_are_a_group(pids: list[int]) -> None:
    loop = distributed(lambda i: [][i], range(3))
    with pytest.raises(pydist.CompositeException, match="3 of 3 parts of the loop failed") as caught:
        loop.wait(LIMIT)
    assert [type(error).__qualname__ for error in caught.value.exceptions] == ["RemoteIndexError"] * 3


def test_the_other_parts_go_on_when_one_has_failed(pids: list[int]) -> None:
    gate = Gate(1, "others go on")
    seen = pydist.RemoteChannel(lambda: pydist.Channel(9))

    def body(i: int) -> None:
        if i == 0:
            raise LookupError
        pydist.remotecall_fetch(Gate.stand, 1, "others go on")
        seen.put(i)

    loop = distributed(body, range(3))
    gate.wait_for_arrival()
    gate.open()
    with pytest.raises(LookupError):
        loop.wait(LIMIT)
    assert sorted(seen.take() for _ in range(2)) == [1, 2]


def test_it_can_be_cancelled(pids: list[int]) -> None:
    gates = [Gate(pid, "cancelled") for pid in pids]
    loop = distributed(lambda i: Gate.spin("cancelled"), range(3))
    for gate in gates:
        gate.wait_for_arrival()
    assert loop.cancel()
    with pytest.raises(KeyboardInterrupt):
        loop.wait(LIMIT)
    assert loop.cancelled()
    assert not loop.cancel()
    assert frontend.running() == {}


def test_a_worker_that_ends_is_its_error(spare: Callable[[], int], pids: list[int]) -> None:
    doomed = spare()

    def body(i: int) -> None:
        if pydist.myid() == doomed:
            os._exit(3)

    loop = distributed(body, range(4))
    with pytest.raises(pydist.ProcessExitedException) as caught:
        loop.wait(LIMIT)
    assert (caught.value.pid, caught.value.exitcode) == (doomed, 3)


# ---- a failure that nobody looks at


class Listener:
    """Stands in for stderr, and knows when a failure has been told."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._event = threading.Event()

    def write(self, text: str) -> None:
        self._told.append(text)
        self._event.set()

    def flush(self) -> None:
        """Do nothing."""

    def wait(self) -> str:
        assert self._event.wait(LIMIT)
        return "".join(self._told)


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Take the place of stderr. Not in a fixture: pytest has one of its own for the test itself."""
    with pytest.MonkeyPatch.context() as patch:
        listener = Listener()
        patch.setattr(sys, "stderr", listener)
        yield listener


def test_a_failure_is_told_while_the_handle_lies_about(pids: list[int]) -> None:
    with listening() as stderr:
        loop = distributed(lambda i: 1 / (i - 4), range(9))
        said = stderr.wait()
    assert said.startswith("A distributed loop has failed, and nobody has looked at its handle yet:\nOn worker ")
    assert said.endswith("ZeroDivisionError: division by zero\n")
    assert said.count("ZeroDivisionError") == 1
    assert repr(loop).endswith("failed)")


def test_a_failure_is_told_when_the_handle_is_dropped(pids: list[int]) -> None:
    with listening() as stderr:
        distributed(inverse, range(3))
        assert "ZeroDivisionError" in stderr.wait()


def test_all_that_failed_is_told(pids: list[int]) -> None:
    with listening() as stderr:
        distributed(lambda i: [][i], range(3))
        said = stderr.wait()
    assert all(f"On worker {pid}:\n" in said for pid in pids)


SCRIPT = """
import pydist
def body(i):
    return 1 / (i - 4)
def quiet():
    loop = pydist.distributed(body, range(9))
    try:
        loop.wait(20)
    except ZeroDivisionError:
        pass
def cancelled():
    loop = pydist.distributed(lambda i: __import__("time").sleep(60), range(9))
    loop.cancel()
    while not loop.done():
        pass
def failed():
    loop = pydist.distributed(body, range(9))
    while not loop.done():
        pass
    globals()["kept"] = loop
pydist.addprocs(2)
{0}()
"""


@pytest.mark.parametrize(("what", "times"), [("quiet", 0), ("cancelled", 0), ("failed", 1)])
def test_the_end_of_the_process_tells_what_nobody_has_seen(what: str, times: int, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(what))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stderr.count("A distributed loop has failed") == times
    assert done.stderr.count("ZeroDivisionError") == times


# ---- Ctrl-C


WORK = {"sleeps": "time.sleep(60)", "computes": "all(True for _ in iter(int, 1))"}


@pytest.fixture
def other(session: Session) -> Iterator[None]:
    """Let a worker sleep in a call that is none of the loop's; it goes on sleeping whatever happens to the loop."""
    session.run("other = pydist.remotecall(time.sleep, pydist.workers()[0], 60)")
    yield
    assert session.run("pydist.frontend.running() == {pydist.workers()[0]: 1}")
    session.run("other.cancel()")
    assert outcome(session, "other") == "RemoteKeyboardInterrupt"


def body(bell: Bell, work: str) -> str:
    return f"""
def body(i):
    with open({str(bell)!r}, "a") as bell: bell.write("x")
    {work}
"""


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_an_interrupt_ends_it_and_nothing_else(work: str, session: Session, bell: Bell, other: None) -> None:
    session.start(body(bell, work) + "pydist.distributed(body, range(9), max)")
    bell.wait(2)
    session.interrupt()
    with pytest.raises(CellError) as caught:
        session.finish()
    assert caught.value.kind == "KeyboardInterrupt"


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_an_interrupt_of_who_waits_ends_the_loop(work: str, session: Session, bell: Bell, other: None) -> None:
    source = """
import os, signal, threading
loop = pydist.distributed(body, range(9))
def press():
    while not loop._running.waiting: pass
    os.kill(os.getpid(), signal.SIGINT)
"""
    session.run(body(bell, work) + source)
    bell.wait(2)
    with pytest.raises(CellError) as caught:
        session.run("threading.Thread(target=press).start(); loop.wait()")
    assert caught.value.kind == "KeyboardInterrupt"
    assert outcome(session, "loop") == "RemoteKeyboardInterrupt"


def test_a_loop_that_nobody_waits_for_goes_on(session: Session) -> None:
    session.run("loop = pydist.distributed(time.sleep, [60])")
    with pytest.raises(CellError):
        session.run("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    assert session.run("loop.done()") is False
    session.run("loop.cancel()")
    assert outcome(session, "loop") == "RemoteKeyboardInterrupt"
