"""Channels, of this process and of others: order, waiting, closing, and that nobody who gives up eats an item."""

from __future__ import annotations

import asyncio
import collections
import math
import pickle
import threading
from typing import Any

import pytest

import pydist
from pydist import Channel, InvalidStateException, RemoteChannel
from tests.core.gates import LIMIT, Gate

pytestmark = pytest.mark.processes


class Shelf:
    """A container of the user's own behind a RemoteChannel: items by key."""

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}
        self._news = threading.Condition()

    def put(self, key: str, value: Any) -> None:
        with self._news:
            self._items[key] = value
            self._news.notify_all()

    def take(self, key: str) -> Any:
        with self._news:
            self._news.wait_for(lambda: key in self._items)
            return self._items.pop(key)

    def fetch(self, key: str) -> Any:
        with self._news:
            self._news.wait_for(lambda: key in self._items)
            return self._items[key]

    def wait(self, key: str) -> None:
        self.fetch(key)

    def isready(self, key: str) -> bool:
        return key in self._items

    def close(self) -> None:
        self._items.clear()


def in_thread(work: Any) -> pydist.Future:
    """Run something in a thread of this process; its outcome is a Future."""
    return pydist.remotecall(work, pydist.myid())


# ---- in one process


def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    channel = Channel[int](math.inf)
    for i in range(100):
        channel.put(i)
    assert [channel.take() for _ in range(100)] == list(range(100))


def test_a_full_channel_makes_the_putter_wait_until_there_is_room() -> None:
    channel = Channel[int](1)
    channel.put(1)
    waiting = in_thread(lambda: channel.put(2))
    assert channel.take(timeout=LIMIT) == 1
    waiting.wait(LIMIT)
    assert channel.take(timeout=LIMIT) == 2


def test_an_unbuffered_channel_hands_over_from_putter_to_taker() -> None:
    channel = Channel[str]()
    waiting = in_thread(lambda: channel.put("hand to hand"))
    assert channel.take(timeout=LIMIT) == "hand to hand"
    waiting.wait(LIMIT)


def test_fetch_is_not_supported_on_an_unbuffered_channel() -> None:
    with pytest.raises(ValueError, match="not supported on an unbuffered Channel"):
        Channel[int]().fetch()


def test_a_taker_that_gives_up_leaves_no_ghost() -> None:
    channel = Channel[int](1)
    with pytest.raises(TimeoutError):
        channel.take(timeout=0.01)
    channel.put(5)
    assert channel.take(timeout=LIMIT) == 5


def test_a_putter_that_gives_up_adds_nothing() -> None:
    channel = Channel[int](1)
    channel.put(1)
    with pytest.raises(TimeoutError):
        channel.put(2, timeout=0.01)
    assert channel.take() == 1
    assert channel.isempty()


def test_the_nowait_pair_never_waits() -> None:
    channel = Channel[int](1)
    with pytest.raises(TimeoutError):
        channel.take_nowait()
    channel.put_nowait(1)
    with pytest.raises(TimeoutError):
        channel.put_nowait(2)


def test_close_wakes_everybody_and_leaves_what_is_in_it() -> None:
    empty, full = Channel[int](1), Channel[int](1)
    full.put(1)
    taker, putter = in_thread(empty.take), in_thread(lambda: full.put(2))
    empty.close()
    full.close()
    for waiting in (taker, putter):
        with pytest.raises(InvalidStateException, match="Channel is closed"):
            waiting.fetch(LIMIT)
    assert full.take() == 1
    with pytest.raises(InvalidStateException) as caught:
        full.take()
    assert caught.value.state == "closed"
    assert not full.isopen()


def test_iteration_ends_quietly_when_the_channel_is_closed() -> None:
    channel = Channel[int](3)
    for i in range(3):
        channel.put(i)
    channel.close()
    assert list(channel) == [0, 1, 2]


def test_a_typed_channel_refuses_what_is_not_of_its_type() -> None:
    channel = Channel(1, type=int)
    with pytest.raises(TypeError, match="takes int, not 'x'"):
        channel.put("x")  # type: ignore[arg-type]
    assert Channel(1, type=float).put(1).take() == 1.0


@pytest.mark.parametrize("size", [-1, 1.5, "3", True])
def test_a_size_that_makes_no_sense_is_refused_in_one_sentence(size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="the size of a channel must"):
        Channel(size)


def test_a_channel_that_is_pickled_is_a_copy_with_its_items() -> None:
    channel = Channel[int](2)
    channel.put(1)
    copy = pickle.loads(pickle.dumps(channel))
    assert copy.take() == 1
    assert channel.take() == 1


def test_async_iteration() -> None:
    channel = Channel[int](3)

    async def collect() -> list[int]:
        return [item async for item in channel]

    for i in range(3):
        channel.put(i)
    channel.close()
    assert asyncio.run(collect()) == [0, 1, 2]


# ---- in another process


def test_a_remote_channel_is_one_channel_wherever_it_travels(pids: list[int]) -> None:
    owner, other, third = pids
    channel = RemoteChannel(lambda: Channel(8), owner)
    pydist.remotecall_fetch(lambda: channel.put("from the second"), other)
    assert pydist.remotecall_fetch(lambda: channel.take(timeout=LIMIT), third) == "from the second"
    assert pydist.remotecall_fetch(lambda: channel, other) is channel


def test_it_is_made_at_its_first_use_without_a_factory(pids: list[int]) -> None:
    channel = RemoteChannel(pids[0])
    assert channel.put(1).take(timeout=LIMIT) == 1
    assert channel.where == pids[0]
    assert channel.whence == 1


def test_a_blocked_take_is_served_by_a_later_put(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(1), pids[0])
    taken = pydist.remotecall(lambda: channel.take(timeout=LIMIT), pids[1])
    channel.put("late")
    assert taken.fetch(LIMIT) == "late"


def test_fetch_wait_and_index_leave_the_item_there(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(1), pids[0])
    channel.put([10, 20, 30])
    assert channel.wait(timeout=LIMIT) is channel
    assert channel.fetch(timeout=LIMIT) == [10, 20, 30]
    assert channel[1] == 20
    assert channel[...] == [10, 20, 30]
    assert channel.isready()
    assert channel.take(timeout=LIMIT) == [10, 20, 30]
    assert channel.isempty()


def test_a_remote_taker_that_times_out_leaves_no_ghost(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(1), pids[0])
    for i in range(20):
        with pytest.raises(TimeoutError):
            channel.take(timeout=0.005)
        channel.put(i)
        assert channel.take(timeout=LIMIT) == i


def test_a_remote_taker_that_is_interrupted_leaves_no_ghost(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(1), pids[0])
    gate = Gate(pids[1], "before the take")

    def take() -> Any:
        gate.stand(gate.name)
        return channel.take(timeout=LIMIT)

    taking = pydist.remotecall(take, pids[1])
    gate.wait_for_arrival()
    gate.open()
    taking.cancel()
    with pytest.raises(KeyboardInterrupt):
        taking.fetch(LIMIT)
    channel.put("mine")
    assert channel.take(timeout=LIMIT) == "mine"


def test_a_dead_taker_leaves_no_ghost(pids: list[int], spare: Any) -> None:
    channel = RemoteChannel(lambda: Channel(1), pids[0])
    victim = spare()
    taking = pydist.remotecall(lambda: channel.take(), victim)
    pydist.rmprocs(victim, waitfor=LIMIT)
    with pytest.raises(pydist.ProcessExitedException):
        taking.fetch(LIMIT)
    channel.put("mine")
    assert channel.take(timeout=LIMIT) == "mine"


def test_a_closed_remote_channel_says_so(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(2), pids[0])
    waiting = pydist.remotecall(lambda: channel.take(), pids[1])
    channel.close()
    with pytest.raises(InvalidStateException):
        waiting.fetch(LIMIT)
    with pytest.raises(InvalidStateException) as caught:
        channel.put(1)
    assert caught.value.state == "closed"
    assert list(channel) == []


def test_a_rendezvous_between_processes(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(0), pids[0])
    putting = pydist.remotecall(lambda: channel.put(1).where, pids[1])
    assert channel.take(timeout=LIMIT) == 1
    assert putting.fetch(LIMIT) == pids[0]


def test_a_container_of_the_user_gets_the_extra_arguments(pids: list[int]) -> None:
    shelf = RemoteChannel(Shelf, pids[0])
    assert not shelf.isready("a")
    waiting = pydist.remotecall(lambda: shelf.take("a"), pids[1])
    shelf.put("a", 1)
    assert waiting.fetch(LIMIT) == 1
    shelf.put("b", 2)
    assert shelf.fetch("b") == 2


def test_what_is_no_channel_is_refused(pids: list[int]) -> None:
    with pytest.raises(TypeError, match="needs an object with put, take, fetch, isready and wait"):
        RemoteChannel(dict, pids[0])
    with pytest.raises(ValueError, match="no process with id 99 exists"):
        RemoteChannel(lambda: Channel(1), 99)


def test_jobs_and_results_over_channels(pids: list[int]) -> None:
    jobs, results = RemoteChannel(lambda: Channel(32)), RemoteChannel(lambda: Channel(32))

    def work() -> None:
        for job in jobs:
            results.put((pydist.myid(), job * job))

    working = [pydist.remotecall(work, pid) for pid in pids]
    for job in range(30):
        jobs.put(job, timeout=LIMIT)
    done = collections.Counter(results.take(timeout=LIMIT)[1] for _ in range(30))
    jobs.close()
    for future in working:
        future.wait(LIMIT)
    assert done == collections.Counter(job * job for job in range(30))


def test_async_iteration_over_a_remote_channel(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(3), pids[0])
    for i in range(3):
        channel.put(i)
    channel.close()

    async def collect() -> list[int]:
        return [item async for item in channel]

    assert asyncio.run(collect()) == [0, 1, 2]


# ---- the first of many


def test_select_takes_from_the_channel_that_has_something(pids: list[int]) -> None:
    first, second = (RemoteChannel(lambda: Channel(1), pid) for pid in pids[:2])
    pydist.remote_do(lambda: second.put("here"), pids[2])
    channel, item = pydist.select([first, second], timeout=LIMIT)
    assert channel is second
    assert item == "here"
    assert first.isempty()
    assert second.isempty()


def test_select_loses_nothing_when_its_time_is_over(pids: list[int]) -> None:
    channel = RemoteChannel(lambda: Channel(1), pids[0])
    with pytest.raises(TimeoutError):
        pydist.select([channel, Channel(1)], timeout=0.01)
    channel.put("kept")
    assert channel.take(timeout=LIMIT) == "kept"


def test_select_of_closed_channels_says_so() -> None:
    channel = Channel[int](1)
    channel.close()
    with pytest.raises(InvalidStateException):
        pydist.select([channel], timeout=LIMIT)


def test_as_completed_and_wait_any_give_what_is_ready_first(pids: list[int]) -> None:
    gate = Gate(pids[0], "the slow one")
    slow = gate.start("slow")
    quick = pydist.remotecall(abs, pids[1], -1)
    ready, pending = pydist.wait_any([slow, quick], timeout=LIMIT)
    assert (ready, pending) == ([quick], [slow])
    order = pydist.as_completed([slow, quick], timeout=LIMIT)
    assert next(order) is quick
    gate.open()
    assert next(order) is slow
    with pytest.raises(TimeoutError, match="1 of 1 Futures are not ready"):
        list(pydist.as_completed([pydist.Future()], timeout=0.01))
