"""One cluster for all tests of the folder, looked over before each test; workers of their own for those that kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

import pydist
from pydist import frontend
from tests.core.bells import Bell
from tests.core.sessions import Session

#: Seconds for one test.
_LIMIT = 30


class _Cluster:
    """The workers that the tests share. A test that leaves them damaged costs the next one new ones, nothing else."""

    def __init__(self) -> None:
        self._ospids: dict[int, int] = {}

    def make_ready(self) -> None:
        if not self._is_well():
            self.close()
            self._ospids = {pid: pydist.remotecall_fetch(os.getpid, pid) for pid in pydist.addprocs(3)}

    def _is_well(self) -> bool:
        if not self._ospids or pydist.workers() != list(self._ospids) or frontend.running() or pydist.everywhere_log():
            return False
        try:
            said = {pid: pydist.remotecall(os.getpid, pid).fetch(timeout=2) for pid in self._ospids}
        except (pydist.DistributedError, TimeoutError):
            return False
        return said == self._ospids

    def close(self) -> None:
        pydist.rmprocs([pid for pid in pydist.workers() if pid != 1], waitfor=10)
        pydist.everywhere_log().clear()
        self._ospids.clear()


class _Sessions:
    """The session that tests share which need a real ``__main__``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._session: Session | None = None
        self._count = 0

    def make_ready(self, factory: pytest.TempPathFactory) -> Session:
        if self._session is not None and not self._is_well(self._session):
            self.close()
        if self._session is None:
            self._session = Session(factory.mktemp("session"), workers=2)
        return self._session

    def _is_well(self, session: Session) -> bool:
        try:
            return bool(session.run("pydist.workers()", timeout=5) == session.pids)
        except Exception:
            return False

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.kill()


_cluster = _Cluster()
_sessions = _Sessions()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make what is shared ready before any fixture of the test looks at what processes there are."""
    wanted = getattr(item, "fixturenames", ())
    if "pids" in wanted:
        _cluster.make_ready()
    if "session" in wanted:
        _sessions.make_ready(item.session.config._tmp_path_factory)  # type: ignore[attr-defined]


@pytest.fixture(scope="package", autouse=True)
def _at_the_end() -> Iterator[None]:
    yield
    _sessions.close()
    _cluster.close()


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    """End a test that hangs: the alarm strikes wherever its thread waits."""

    def strike(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test has not ended within {_LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, strike)
    signal.alarm(_LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def pids() -> list[int]:
    """Return the ids of the three shared workers, which are idle and well."""
    return pydist.workers()


@pytest.fixture
def spare(pids: list[int]) -> Iterator[Callable[[], int]]:
    """Return a function that adds a worker which the test may spoil, and returns its id."""
    added: list[int] = []

    def add() -> int:
        added.extend(pydist.addprocs(1))
        return added[-1]

    yield add
    pydist.rmprocs(added, waitfor=10)


@pytest.fixture
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Return the shared session with two workers. Its ``__main__`` keeps the names of other tests."""
    session = _sessions.make_ready(tmp_path_factory)
    yield session
    if session.process.poll() is None:
        session.run("pydist.everywhere_log().clear()")


@pytest.fixture
def own_session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Return a function that starts a session for this test alone."""
    sessions: list[Session] = []

    def start(workers: int = 2) -> Session:
        sessions.append(Session(tmp_path, workers))
        return sessions[-1]

    yield start
    for session in sessions:
        session.kill()


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    """Return a bell that any process can ring."""
    bell = Bell(tmp_path / "bell")
    yield bell
    bell.close()
