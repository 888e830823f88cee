"""Memory that another process can open: the pool of the sender, and what the receiver makes of it."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from pydist._protocol.frames import Loan
from pydist._runtime import segments
from pydist._runtime.mappings import Borrower, Returns, read_notes
from pydist._runtime.segments import Frozen, Lender, Pool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd is Linux")

MB = 1 << 20


class _Line:
    """Takes the place of a connection: keeps what is written."""

    closed = False

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.waiting: list[bytes] = []

    def post(self, data: bytes) -> None:
        self.written.append(data)

    def hold(self, data: bytes) -> None:
        self.waiting.append(data)

    def flush_outbox(self) -> None:
        self.written += self.waiting
        self.waiting.clear()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.delenv("PYDIST_SHARED_MEMORY", raising=False)
    pool = Pool()
    yield pool
    pool.give_back_idle(monotonic())


@pytest.fixture
def lender(pool: Pool) -> Lender:
    return Lender(pool)


@pytest.fixture
def returns() -> Returns:
    return Returns(lambda: None)


@pytest.fixture
def borrower(pool: Pool, returns: Returns) -> Borrower:
    """Return the other side, which is this very process."""
    borrower = Borrower(offer(pool), returns)
    borrower.connection = _Line()  # type: ignore[assignment]
    return borrower


def offer(pool: Pool) -> list[int]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        memory: list[int] = pool.offer(ours)["memory"]
    return memory


def lend(lender: Lender, data: bytes) -> Loan:
    loan = lender.lend(memoryview(data))
    assert loan is not None
    return loan


def give_back(lender: Lender, returns: Returns, borrower: Borrower) -> None:
    """Bring what the receiver has to say to the sender."""
    returns.tidy()
    line: Any = borrower.connection
    for frame in line.written:
        lender.returned(frame[28:])
    line.written.clear()


def test_a_loan_is_seen_by_the_borrower_and_comes_back_when_the_last_view_is_gone(
    pool: Pool, lender: Lender, returns: Returns, borrower: Borrower
) -> None:
    loan = lend(lender, b"abc" * MB)
    buffer: Any = borrower.borrow(loan)
    view = memoryview(buffer)[MB : MB + 3]
    assert bytes(buffer[:6]) == b"abcabc"
    assert len(buffer) == 3 * MB
    del buffer
    give_back(lender, returns, borrower)
    assert lender.lent == 3 * MB
    del view
    give_back(lender, returns, borrower)
    assert lender.lent == 0
    assert len(pool.free) == 1


def test_what_the_borrower_writes_nobody_else_sees(lender: Lender, borrower: Borrower) -> None:
    loan = lend(lender, bytes(MB))
    mine: Any = borrower.borrow(loan)
    other: Any = borrower.borrow(loan)
    mine[:3] = b"abc"
    assert bytes(mine[:4]) == b"abc\0"
    assert bytes(other[:4]) == bytes(4)


def test_the_next_loan_takes_the_memory_that_came_back(
    pool: Pool, lender: Lender, returns: Returns, borrower: Borrower
) -> None:
    first = lend(lender, b"a" * MB)
    del_me = borrower.borrow(first)
    del del_me
    give_back(lender, returns, borrower)
    second = lend(lender, b"b" * (MB - 1000))
    assert second.number == first.number
    assert bytes(borrower.borrow(second)) == b"b" * (MB - 1000)  # type: ignore[call-overload]
    third = lend(lender, b"c" * MB)  # the second has not come back
    assert third.number != first.number
    assert len(pool.segments) == 2


def test_the_free_one_that_fits_best_is_taken_and_none_that_is_much_too_large(pool: Pool) -> None:
    large, small = pool.take(8 * MB), pool.take(5 * MB)
    assert large is not None
    assert small is not None
    pool.let_go(small)
    pool.let_go(large)
    assert pool.take(4 * MB) is small
    assert pool.take(4 * MB + 1) is large
    pool.let_go(large)
    assert pool.take(MB) not in (large, small)


def test_segments_are_made_on_trust_which_those_that_come_back_restore(pool: Pool) -> None:
    held = [pool.take(MB) for _ in range(4)]
    assert [one is not None for one in held] == [True, True, False, False]
    assert pool.take(MB, sure=True) is not None
    assert held[0] is not None
    pool.let_go(held[0])
    assert pool.take(MB) is held[0]
    assert pool.take(MB) is not None
    assert pool.take(MB) is None


def test_if_none_comes_back_one_is_tried_now_and_then(pool: Pool) -> None:
    assert [pool.take(MB) is not None for _ in range(12)] == [True, True, *[False] * 4, True, *[False] * 4, True]


def test_one_segment_can_go_to_many_and_is_free_when_all_have_let_go(pool: Pool) -> None:
    lenders = [Lender(pool), Lender(pool)]
    frozen = pool.copy(memoryview(b"x" * MB))
    assert isinstance(frozen, Frozen)
    loans = [lender.lend(frozen) for lender in lenders]
    pool.let_go(frozen.segment)
    assert loans[0] == loans[1]
    assert pool.free == []
    lenders[0].close()
    assert frozen.segment.holds == 1
    lenders[1].close()
    assert pool.segments == {}


def test_what_a_lost_peer_had_is_never_written_again(pool: Pool, borrower: Borrower) -> None:
    lender = Lender(pool)
    seen: Any = borrower.borrow(lend(lender, b"x" * MB))
    lender.close()
    assert pool.segments == {}
    assert lender.lend(memoryview(bytes(MB))) is None  # it is too late for that
    other = Lender(pool)
    lend(other, b"y" * MB)
    assert bytes(seen) == b"x" * MB


def test_a_process_that_was_forked_meanwhile_says_so(
    pool: Pool, lender: Lender, returns: Returns, borrower: Borrower
) -> None:
    held = borrower.borrow(lend(lender, bytes(MB)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads; the child does nothing
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert held is not None
    del held
    after: Any = borrower.borrow(lend(lender, bytes(MB)))
    del after
    returns.tidy()
    line: Any = borrower.connection
    assert [abandoned for frame in line.written for _, abandoned in read_notes(frame[28:])] == [True, False]
    give_back(lender, returns, borrower)
    assert len(pool.segments) == len(pool.free) == 1


def test_notes_are_joined_and_may_go_out_with_the_next_message(
    lender: Lender, returns: Returns, borrower: Borrower
) -> None:
    held = [borrower.borrow(lend(lender, bytes(MB))) for _ in range(2)]
    held.clear()
    line: Any = borrower.connection
    returns.begin()
    assert line.written == []
    assert [len(read_notes(frame[28:])) for frame in line.waiting] == [2]
    returns.tidy()  # nothing else was written
    assert len(line.written) == 1
    assert line.waiting == []


def test_where_descriptors_are_short_a_loan_is_copied_and_given_back_at_once(
    lender: Lender, returns: Returns, borrower: Borrower
) -> None:
    returns.limit = 1
    kept = [borrower.borrow(lend(lender, bytes([i]) * MB)) for i in (1, 2)]
    give_back(lender, returns, borrower)
    assert lender.lent == MB
    assert [bytes(one) for one in kept] == [b"\1" * MB, b"\2" * MB]  # type: ignore[call-overload]


def test_no_more_than_a_bound_lies_with_one_peer_but_one_buffer_of_any_size(
    monkeypatch: pytest.MonkeyPatch, lender: Lender
) -> None:
    monkeypatch.setattr(segments, "_LENT_BYTES", 3 * MB)
    monkeypatch.setattr(segments, "_TRUST", 99)
    lend(lender, bytes(8 * MB))
    assert lender.lend(memoryview(bytes(MB))) is None
    assert Lender(lender._pool).lend(memoryview(bytes(MB))) is not None


def test_what_is_free_is_kept_up_to_a_bound_and_for_a_while(monkeypatch: pytest.MonkeyPatch, pool: Pool) -> None:
    monkeypatch.setattr(segments, "_IDLE_BYTES", 3 * MB)
    taken = [pool.take(MB, sure=True) for _ in range(5)]
    for segment in taken:
        assert segment is not None
        pool.let_go(segment)
    assert pool.free == taken[2:]
    assert pool.bytes == 3 * MB
    pool.give_back_idle(pool.free[0].since)
    assert pool.bytes < 3 * MB
    pool.give_back_idle(monotonic())
    assert pool.segments == {}


def test_what_nobody_uses_is_given_back_by_itself(monkeypatch: pytest.MonkeyPatch, pool: Pool) -> None:
    monkeypatch.setattr(segments, "_IDLE", 0.0)
    segment = pool.take(MB)
    assert segment is not None
    pool.let_go(segment)
    timer = pool._timer
    assert timer is not None
    timer.join(20)
    assert pool.segments == {}
    assert pool._timer is None


def test_the_pool_stays_within_its_part_of_the_memory_and_drops_what_is_free_first(pool: Pool) -> None:
    first = pool.take(MB)
    assert first is not None
    pool._most_bytes = 3 * MB
    pool.let_go(first)
    assert pool.take(3 * MB) is not None
    assert first.number not in pool.segments
    assert pool.take(MB, sure=True) is None


def test_memory_that_is_something_else_is_not_taken_for_a_loan(
    pool: Pool, lender: Lender, returns: Returns, borrower: Borrower
) -> None:
    process, fd, device, inode = offer(pool)
    with pytest.raises(OSError, match="has something else under the descriptor"):
        Borrower([process, fd, device, inode + 1], returns)
    loan = lend(lender, bytes(MB))
    with pytest.raises(OSError, match="has something else under the descriptor"):
        borrower.borrow(loan._replace(inode=loan.inode + 1))
    with pytest.raises(FileNotFoundError):
        borrower.borrow(loan._replace(fd=10**6))


def test_nothing_is_offered_over_tcp_or_when_it_is_switched_off(monkeypatch: pytest.MonkeyPatch, pool: Pool) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        assert pool.offer(tcp) == {}
        assert pool.offer(unix) != {}
        monkeypatch.setenv("PYDIST_SHARED_MEMORY", "0")
        assert Pool().offer(unix) == {}


def test_descriptors_come_back(pool: Pool, returns: Returns) -> None:
    borrower = Borrower(offer(pool), returns)
    pool._trust = 99
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        lender = Lender(pool)
        held = [borrower.borrow(lend(lender, bytes(MB))) for _ in range(2)]
        held.clear()
        lender.close()
    assert len(os.listdir("/proc/self/fd")) == before
