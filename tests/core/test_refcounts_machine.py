"""Reference counts as a state machine: processes that send, receive, drop and die in any order.

Each process is a `Receipts`, the owner a `Holders`; a stream between two of them keeps its order, and
nothing is said about the order of different streams. Process 0 owns the value.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pydist._protocol.refcounts import Holders, Receipts

OWNER = 0
REF = (0, 1)
PIDS = range(4)
pids = st.sampled_from(PIDS)


class Note(NamedTuple):
    """What is on a stream: a handle, or a change of what ``pid`` holds."""

    handle: bool = False
    pid: int = 0
    n: int = 0


class References(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.holders = Holders()
        self.holders.add(OWNER)
        self.freed = False
        self.receipts = {pid: Receipts() for pid in PIDS}
        self.receipts[OWNER].add(REF)
        self.streams: dict[tuple[int, int], deque[Note]] = {
            (source, target): deque() for source in PIDS for target in PIDS if source != target
        }
        self.dead: set[int] = set()

    def _hold(self, pid: int, n: int) -> None:
        if pid not in self.dead:
            self.holders.add(pid, n)
        self.freed = self.freed or not self.holders

    def _tell_owner(self, source: int, pid: int, n: int) -> None:
        if source == OWNER:
            self._hold(pid, n)
        else:
            self.streams[source, OWNER].append(Note(pid=pid, n=n))

    @rule(source=pids, to=pids)
    def send(self, source: int, to: int) -> None:
        if source != to and not {source, to} & self.dead and REF in self.receipts[source]:
            self._tell_owner(source, to, 1)  # before the handle goes
            self.streams[source, to].append(Note(handle=True))

    @rule(pid=pids)
    def drop(self, pid: int) -> None:
        if pid not in self.dead and (n := self.receipts[pid].settle(REF)):
            self._tell_owner(pid, pid, -n)

    @rule(source=pids, to=pids)
    def deliver(self, source: int, to: int) -> None:
        stream = self.streams.get((source, to))
        if stream and to not in self.dead:
            note = stream.popleft()
            if note.handle:
                self.receipts[to].add(REF)
            else:
                self._hold(note.pid, note.n)

    @precondition(lambda self: len(self.dead) < 2)
    @rule(pid=st.sampled_from(PIDS[1:]))
    def die(self, pid: int) -> None:
        if pid in self.dead:
            return
        # What it wrote is still read; the owner hears of its death behind that.
        while self.streams[pid, OWNER]:
            self.deliver(pid, OWNER)
        for other in PIDS:
            if other not in self.dead | {pid, OWNER}:
                while self.streams[pid, other]:
                    self.deliver(pid, other)
            if other != pid:
                self.streams[other, pid].clear()
        self.dead.add(pid)
        self.receipts[pid] = Receipts()
        self.holders.forget(pid)
        self.freed = self.freed or not self.holders

    @invariant()
    def what_somebody_holds_lives(self) -> None:
        held = any(REF in self.receipts[pid] for pid in PIDS)
        under_way = any(note.handle for stream in self.streams.values() for note in stream)
        assert not (self.freed and (held or under_way))

    def teardown(self) -> None:
        """Let all go: then the value is free."""
        while any(self.streams[pair] for pair in self.streams if pair[1] not in self.dead):
            for source, target in self.streams:
                self.deliver(source, target)
        for pid in PIDS:
            self.drop(pid)
        for source in PIDS[1:]:
            while self.streams[source, OWNER]:
                self.deliver(source, OWNER)
        assert self.freed


References.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestReferences = References.TestCase
