"""pmap: one function over many inputs, on all workers."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pydist
from pydist import frontend
from pydist._mapping import Run
from pydist._runtime.current import current_node
from tests.core.gates import LIMIT, Gate

pytestmark = pytest.mark.processes


def square(x: int) -> int:
    return x * x


def negative(x: int) -> int:
    return -x


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Any]]:
    """Return a function that starts another in a thread and returns its future."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def test_the_results_are_a_list_in_input_order(pids: list[int]) -> None:
    assert pydist.pmap(square, range(500)) == [x * x for x in range(500)]


def test_the_order_is_kept_when_the_first_ends_last(pids: list[int]) -> None:
    gate = Gate(1, "first is last")

    def work(i: int) -> int:
        if i == 0:
            pydist.remotecall_fetch(gate.stand, 1, gate.name)
        elif i == 10:
            gate.open()
        return i

    assert pydist.pmap(work, range(20)) == [*range(20)]


@pytest.mark.parametrize("batch_size", [1, "auto"])
def test_an_item_may_wait_for_one_that_stands_far_behind_it(pids: list[int], batch_size: int | str) -> None:
    """Quick items are sent many at a time; what stands behind one that lasts is given back, and done elsewhere."""
    gate = Gate(1, f"far behind {batch_size}")

    def work(i: int) -> int:
        if i == 300:
            pydist.remotecall_fetch(gate.stand, 1, gate.name)
        elif i == 599:
            gate.open()
        return i

    assert pydist.pmap(work, range(600), batch_size=batch_size) == [*range(600)]


def test_each_item_is_answered_when_it_is_done_though_many_travel_together(pids: list[int]) -> None:
    gate = Gate(1, "answered")

    def work(i: int) -> int:
        if i == 400:
            pydist.remotecall_fetch(gate.stand, 1, gate.name)
        return i

    results = pydist.pimap(work, range(450), ordered=False)
    assert {next(results) for _ in range(449)} == {*range(450)} - {400}
    gate.open()
    assert [*results] == [400]


def test_a_function_that_was_called_can_be_mapped_and_called_again(pids: list[int]) -> None:
    expected = [-i for i in range(100)]
    for _ in range(3):
        assert [pydist.remotecall_fetch(negative, pid, 1) for pid in pids] == [-1, -1, -1]
        assert pydist.pmap(negative, range(100)) == expected
        assert pydist.pmap(abs, expected, batch_size="auto") == [*range(100)]


def test_maps_of_one_function_do_not_wait_for_each_other(pids: list[int], in_thread: Callable[..., Any]) -> None:
    gate = Gate(pids[0], "of one function")
    standing = in_thread(pydist.pmap, gate.stand, [gate.name], ["stood"], pool=pids[:1])
    gate.wait_for_arrival()
    other = Gate(pids[0], "another")
    other.open()
    assert pydist.pmap(gate.stand, [other.name] * 3, range(3), pool=pids[:1]) == [0, 1, 2]
    gate.open()
    assert standing.result(LIMIT) == ["stood"]


def test_what_was_given_back_is_not_sent_behind_the_same_item_again(
    pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(1, "not again")
    given_back = 0
    cut = Run._return

    def count(run: Run, message: Any, begun: int) -> None:
        nonlocal given_back
        given_back += len(message.items) - begun
        cut(run, message, begun)

    def work(i: int) -> int:
        if i == 100:
            pydist.remotecall_fetch(gate.stand, 1, gate.name)
        elif i > 100:
            sum(range(20_000))  # so that many times the patience of a worker goes by
        if i == 2999:
            gate.open()
        return i

    monkeypatch.setattr(Run, "_return", count)
    assert pydist.pmap(work, range(3000)) == [*range(3000)]
    assert given_back < 1000  # what lay there when the items became slow; without that rule, 6,000 and more


def test_no_answer_is_missed_that_another_thread_has_read_meanwhile(
    pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_parts = Run._take_parts

    def and_then_all_the_others_come(run: Run, message: Any, parts: Any) -> None:
        take_parts(run, message, parts)
        node.wait(message, LIMIT)

    node = current_node()
    monkeypatch.setattr(Run, "_take_parts", and_then_all_the_others_come)
    assert pydist.pmap(square, range(500)) == [x * x for x in range(500)]


def test_each_worker_does_one_item_at_a_time(pids: list[int]) -> None:
    def work(i: int) -> bool:
        lock = vars(threading).setdefault("_one_at_a_time", threading.Lock())
        if not lock.acquire(blocking=False):
            return False
        try:
            return sum(range(2000 if i % 50 else 200_000)) > 0
        finally:
            lock.release()

    assert all(pydist.pmap(work, range(1000)))
    assert all(pydist.pmap(work, range(1000), batch_size="auto"))


def test_no_input_gives_no_results(pids: list[int]) -> None:
    assert pydist.pmap(square, []) == []


def test_several_inputs_go_together_until_the_shortest_ends(pids: list[int]) -> None:
    assert pydist.pmap(pow, [1, 2, 3], itertools.repeat(2), iter([7, 7])) == [1, 4]


class Indexed:
    """Can be gone through in the old way only."""

    def __getitem__(self, i: int) -> int:
        if i == 3:
            raise IndexError
        return i


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("abc", ["a", "b", "c"]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        ((x for x in range(3)), [0, 1, 2]),
        (Indexed(), [0, 1, 2]),
        (b"ab", [97, 98]),
    ],
    ids=["text", "dict", "generator", "indexed", "bytes"],
)
def test_anything_iterable_is_an_input(values: Any, expected: list[Any], pids: list[int]) -> None:
    assert pydist.pmap(lambda x: x, values) == expected


def test_large_items_and_results_travel(pids: list[int]) -> None:
    import numpy as np

    arrays = pydist.pmap(lambda x: x * 2, (np.full(200_000, i) for i in range(12)))
    assert [int(array[-1]) for array in arrays] == [2 * i for i in range(12)]


def test_all_workers_work(pids: list[int]) -> None:
    barrier = threading.Barrier(3)

    def meet(_: int) -> int:
        pydist.remotecall_fetch(barrier_of_master, 1)
        return pydist.myid()

    def barrier_of_master() -> None:
        vars(threading)["_barrier_of_pmap"].wait(LIMIT)

    vars(threading)["_barrier_of_pmap"] = barrier
    assert sorted(pydist.pmap(meet, range(3))) == pids


@pytest.mark.parametrize("batch_size", [1, 5, "auto"])
def test_the_input_is_taken_lazily_a_little_ahead(
    batch_size: Any, pids: list[int], in_thread: Callable[..., Any]
) -> None:
    taken = itertools.count()
    gate = Gate(1, f"lazy {batch_size}")

    def work(i: int) -> int:
        return pydist.remotecall_fetch(gate.stand, 1, gate.name, i)  # type: ignore[no-any-return]

    def source() -> Iterator[int]:
        for i in range(100):
            next(taken)
            yield i

    result = in_thread(pydist.pmap, work, source(), batch_size=batch_size)
    gate.wait_for_arrival()
    assert next(taken) <= 2 * 3 * (1 if batch_size == "auto" else batch_size)
    gate.open()
    assert result.result(LIMIT) == [*range(100)]


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000, "auto"])
def test_any_batch_size_gives_the_same_results(batch_size: Any, pids: list[int]) -> None:
    assert pydist.pmap(square, range(300), batch_size=batch_size) == [x * x for x in range(300)]


def test_a_batch_is_one_message(pids: list[int]) -> None:
    def done() -> int:
        return sum(pydist.worker_info(pid).done for pid in pids)

    before = done()
    pydist.pmap(square, range(20), batch_size=7)
    assert done() - before == 3


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "many", None])
def test_a_batch_size_that_makes_no_sense_is_refused(batch_size: Any, pids: list[int]) -> None:
    with pytest.raises(
        ValueError, match=f"batch_size must be specified as a positive integer.*batch_size={batch_size}"
    ):
        pydist.pmap(square, [1], batch_size=batch_size)


def test_what_the_function_captures_goes_once_to_each_worker(pids: list[int]) -> None:
    class Counted:
        pickled = 0

        def __reduce__(self) -> Any:
            Counted.pickled += 1
            return int, ("5",)

    captured: Any = Counted()
    assert pydist.pmap(lambda x: x + captured, range(50)) == [*range(5, 55)]
    assert Counted.pickled == 1  # and its bytes went to all of them


@pytest.mark.parametrize("batch_size", [1, "auto"])
def test_eighty_captured_megabytes_travel_once_to_each_worker(batch_size: Any, pids: list[int]) -> None:
    table = bytearray(80_000_000)

    def sent() -> list[int]:
        return [pydist.worker_info(pid).bytes_out for pid in pids]

    before = sent()
    assert pydist.pmap(lambda i: table[i], range(100), batch_size=batch_size) == [0] * 100
    grown = [now - then for now, then in zip(sent(), before, strict=True)]
    assert all(80_000_000 < size < 81_000_000 for size in grown), grown


# Who works


def test_a_pool_of_ids_does_the_work(pids: list[int]) -> None:
    assert set(pydist.pmap(lambda _: pydist.myid(), range(20), pool=pids[:2])) <= set(pids[:2])
    assert set(pydist.pmap(lambda _: pydist.myid(), range(20), pool=pids[1])) == {pids[1]}


def test_distributed_false_runs_here(pids: list[int]) -> None:
    thread = threading.get_ident()
    assert (
        pydist.pmap(lambda _: (pydist.myid(), threading.get_ident()), range(2), distributed=False) == [(1, thread)] * 2
    )


def test_a_pool_of_oneself_runs_here(pids: list[int]) -> None:
    assert pydist.pmap(lambda _: os.getpid(), range(2), pool=[1]) == [os.getpid()] * 2


def test_workers_that_join_take_part(pids: list[int], spare: Callable[[], int], in_thread: Callable[..., Any]) -> None:
    gate = Gate(1, "join")

    def work(i: int) -> int:
        if i < 20:
            pydist.remotecall_fetch(gate.stand, 1, gate.name)
        threading.Event().wait(0.001)  # it takes its time
        return pydist.myid()

    result = in_thread(pydist.pmap, work, range(200))
    gate.wait_for_arrival()
    joined = spare()
    gate.open()
    assert joined in result.result(LIMIT)


def test_it_can_be_used_in_several_threads_at_once(pids: list[int], in_thread: Callable[..., Any]) -> None:
    results = [in_thread(pydist.pmap, lambda x, n=n: n * x, range(100)) for n in range(4)]
    assert [result.result(LIMIT) for result in results] == [[n * x for x in range(100)] for n in range(4)]


def test_it_can_be_used_on_a_worker(pids: list[int]) -> None:
    assert pydist.remotecall(pydist.pmap, pids[0], square, range(20)).fetch(LIMIT) == [x * x for x in range(20)]


def test_it_can_be_used_inside_of_itself(pids: list[int]) -> None:
    def outer(n: int) -> list[int]:
        return pydist.pmap(lambda x: n * x, range(10))

    assert pydist.pmap(outer, range(6)) == [[n * x for x in range(10)] for n in range(6)]


# Progress


class Progress:
    """What a front end would show."""

    def __init__(self, label: str, total: int | None) -> None:
        self.start = (label, total)
        self.updates: list[tuple[int, int, int | None]] = []
        self.closed: list[str] = []

    def update(self, done: int, failed: int, total: int | None) -> None:
        self.updates.append((done, failed, total))

    def close(self, state: str) -> None:
        self.closed.append(state)


@pytest.fixture
def shown() -> Iterator[list[Progress]]:
    """Return the list of all displays that are made."""
    made: list[Progress] = []

    def factory(label: str, total: int | None) -> Progress:
        made.append(Progress(label, total))
        return made[-1]

    before = frontend.progress()
    frontend.set_progress(factory)
    yield made
    frontend.set_progress(before)


def test_progress_is_shown_with_its_label_and_total(shown: list[Progress], pids: list[int]) -> None:
    pydist.pmap(square, range(30))
    pydist.pmap(square, iter(range(3)), progress="my label")
    assert [view.start for view in shown] == [("square", 30), ("my label", None)]
    assert shown[0].updates[-1] == (30, 0, 30)
    assert [view.closed for view in shown] == [["done"], ["done"]]


def test_progress_can_be_switched_off(shown: list[Progress], pids: list[int]) -> None:
    pydist.pmap(square, range(3), progress=False)
    assert shown == []


def test_progress_says_that_it_failed(shown: list[Progress], pids: list[int]) -> None:
    with pytest.raises(ZeroDivisionError):
        pydist.pmap(lambda x: 1 // x, [1, 0])
    assert shown[0].closed == ["failed"]
    assert shown[0].updates[-1][1] == 1


def test_progress_does_not_go_back(shown: list[Progress], pids: list[int]) -> None:
    pydist.pmap(square, range(500), batch_size=3)
    done = [update[0] for update in shown[0].updates]
    assert done == sorted(done)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ((5, [1]), TypeError, "pmap: the first argument must be callable, not 5"),
        ((square,), TypeError, "pmap needs at least one iterable after the function"),
        ((square, 5), TypeError, "pmap: 5 is not iterable"),
        ((square, [1], 5), TypeError, "pmap: 5 is not iterable"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(
    arguments: tuple[Any, ...], kind: type[Exception], text: str, pids: list[int]
) -> None:
    with pytest.raises(kind) as caught:
        pydist.pmap(*arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("pool", "kind", "text"),
    [
        ([], ValueError, "No active worker available in pool"),
        ([99], ValueError, "no process with id 99 exists"),
        (["x"], TypeError, "a process id is an integer, not 'x'"),
    ],
)
def test_a_bad_pool_is_refused_in_a_sentence(pool: Any, kind: type[Exception], text: str, pids: list[int]) -> None:
    with pytest.raises(kind) as caught:
        pydist.pmap(square, [1], pool=pool)
    assert str(caught.value) == text


def test_an_unknown_option_is_refused(pids: list[int]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'batchsize'"):
        pydist.pmap(square, [1], batchsize=2)  # type: ignore[call-arg]


def test_a_map_leaves_nothing_on_its_workers(pids: list[int], tmp_path: Path) -> None:
    def functions() -> int:
        from pydist._runtime.current import current_node

        node = current_node()
        return sum(len(peer.connection.knowledge.received) for peer in node.peers.all() if peer.connection is not None)

    def known() -> list[int]:
        return [pydist.remotecall_fetch(functions, pid) for pid in pids]

    known()
    before = known()
    x = 5
    for _ in range(10):
        pydist.pmap(lambda y: x + y, range(9))
    assert known() == before
