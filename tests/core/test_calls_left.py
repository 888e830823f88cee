"""Which calls of a cell nobody has waited for, as the runtime tells a front end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import pydist
from pydist import frontend

pytestmark = pytest.mark.processes

ORIGIN = 7_000_001


class Router:
    """One cell that never ends."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, int]] = []

    def origin(self) -> int:
        return ORIGIN

    def text(self, origin: int, stream: str, text: str, call: int = 0) -> None:
        self.texts.append((text, call))

    def display(self, origin: int, pid: int, msg_type: str, content: Mapping[str, Any], call: int = 0) -> None:
        """Nothing is shown here."""


@pytest.fixture
def router() -> Iterator[Router]:
    before, router = frontend.router(), Router()
    frontend.set_router(router)
    yield router
    frontend.set_router(before)


def awaited(future: pydist.Future) -> None:
    async def wait() -> None:
        await future

    asyncio.run(wait())


def synced(pid: int) -> None:
    with pydist.sync():
        pydist.spawnat(pid, abs, -1)


@pytest.mark.parametrize(
    "work",
    [
        lambda pid: pydist.remotecall_fetch(abs, pid, -1),
        lambda pid: pydist.remotecall_wait(abs, pid, -1),
        lambda pid: pydist.spawnat(pid, abs, -1).fetch(),
        lambda pid: pydist.spawnat(pid, abs, -1).result(),
        lambda pid: pydist.spawnat(pid, divmod, 1, 0).exception(),
        lambda pid: awaited(pydist.spawnat(pid, abs, -1)),
        synced,
        lambda pid: pydist.pmap(abs, [-1, -2]),
        lambda pid: pydist.everywhere("1", pid),
        lambda pid: pydist.distributed(abs, range(3)).wait(),
        lambda pid: pydist.distributed(abs, range(3), max),
    ],
)
def test_a_cell_that_waits_for_its_calls_leaves_none(
    router: Router, pids: list[int], work: Callable[[int], Any]
) -> None:
    frontend.follow_calls(ORIGIN)
    work(pids[0])
    pydist.everywhere_log().clear()
    assert not frontend.leaves_calls(ORIGIN)


@pytest.mark.parametrize(
    "start",
    [
        lambda pid: pydist.spawnat(pid, abs, -1),
        lambda pid: pydist.remotecall(lambda x: x, pid, [1]),
        lambda pid: pydist.remote_do(abs, pid, -1),
        lambda pid: pydist.distributed(abs, range(3)),
    ],
)
def test_a_call_that_nobody_waits_for_is_left_also_when_it_has_ended(
    router: Router, pids: list[int], start: Callable[[int], Any]
) -> None:
    frontend.follow_calls(ORIGIN)
    handle = start(pids[0])
    frontend.wait_idle(10)
    assert frontend.leaves_calls(ORIGIN)
    del handle


def test_a_fetch_of_what_is_there_is_a_wait_too(router: Router, pids: list[int]) -> None:
    frontend.follow_calls(ORIGIN)
    future = pydist.spawnat(pids[0], abs, -1)
    frontend.wait_idle(10)
    future.fetch()
    assert not frontend.leaves_calls(ORIGIN)


def test_a_time_out_is_no_wait(router: Router, pids: list[int]) -> None:
    frontend.follow_calls(ORIGIN)
    never = pydist.RemoteChannel()
    future = pydist.spawnat(pids[0], pydist.take, never)
    with pytest.raises(TimeoutError):
        future.fetch(0.01)
    assert frontend.leaves_calls(ORIGIN)
    never.put(1)
    future.fetch()


def test_text_tells_the_call_that_wrote_it(router: Router, pids: list[int]) -> None:
    calls = frontend.follow_calls(ORIGIN)
    future = pydist.spawnat(pids[0], print, "one")
    (number,) = calls
    future.wait()
    pydist.remotecall_fetch(lambda: pydist.remotecall_fetch(print, pids[1], "from another"), pids[0])
    frontend.leaves_calls(ORIGIN)
    assert router.texts == [
        (f" From worker {pids[0]}:\tone\n", number),
        (f" From worker {pids[1]}:\tfrom another\n", 0),
    ]


def test_nothing_is_kept_of_cells_that_are_not_followed(router: Router, pids: list[int]) -> None:
    pydist.spawnat(pids[0], abs, -1)
    frontend.wait_idle(10)
    assert not frontend.leaves_calls(ORIGIN)
