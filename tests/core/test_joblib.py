"""joblib on the workers, and scikit-learn by way of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

import pydist
from tests.core.bells import Bell
from tests.core.gates import LIMIT
from tests.core.sessions import CellError, Session

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.processes


@pytest.fixture
def backend(pids: list[int]) -> Iterator[list[int]]:
    """Let joblib use the shared workers; return their ids."""
    with joblib.parallel_config("pydist"):
        yield pids


def each(f: Any, *iterables: Any, **options: Any) -> Any:
    return joblib.Parallel(**options)(joblib.delayed(f)(*args) for args in zip(*iterables, strict=True))


def where(i: int) -> int:
    return pydist.myid()


def die(i: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kept() -> int:
    return len(sys.modules["pydist._joblib_backend"]._kept)


def sent(pids: list[int]) -> int:
    return sum(pydist.worker_info(pid).bytes_out for pid in pids)


def wait_until_nothing_runs() -> None:
    """Joblib returns when it has asked for the end of what runs, and that takes its moment."""
    deadline = time.monotonic() + LIMIT
    while pydist.frontend.running():
        assert time.monotonic() < deadline, pydist.frontend.running()
        time.sleep(0.01)


@pytest.mark.parametrize("order", ["import pydist, joblib", "import joblib, pydist", "import joblib.parallel, pydist"])
def test_joblib_knows_the_name_whichever_is_imported_first(order: str) -> None:
    script = f"""
{order}
pydist.addprocs(2)
with joblib.parallel_config("pydist"):
    print(joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(5)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 1, 4, 9, 16]\n", "")


def test_pydist_alone_brings_no_joblib() -> None:
    script = "import pydist, sys; print([name for name in sys.modules if name.startswith('joblib')])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60) == "[]\n"


def test_the_results_are_in_order_and_come_from_the_workers(backend: list[int]) -> None:
    assert each(pow, range(100), [2] * 100) == [n * n for n in range(100)]
    assert set(each(where, range(30))) <= set(backend)


def test_n_jobs_says_how_many_workers(backend: list[int]) -> None:
    assert joblib.effective_n_jobs(-1) == len(backend)
    assert joblib.effective_n_jobs(-2) == len(backend) - 1
    assert len(set(each(where, range(30), n_jobs=2))) <= 2
    with pytest.raises(ValueError, match="n_jobs == 0"):
        each(where, range(3), n_jobs=0)


def test_a_pool_says_which(pids: list[int]) -> None:
    with joblib.parallel_config("pydist", pool=pids[1:]):
        assert set(each(where, range(30))) <= set(pids[1:])


@pytest.mark.parametrize("way", ["generator", "generator_unordered"])
def test_results_can_be_had_as_they_come(way: str, backend: list[int]) -> None:
    assert sorted(each(abs, range(20), return_as=way)) == [*range(20)]


def test_one_parallel_can_be_called_again(backend: list[int]) -> None:
    with joblib.Parallel() as parallel:
        for n in range(3):
            assert parallel(joblib.delayed(pow)(i, n) for i in range(10)) == [i**n for i in range(10)]


def test_an_error_keeps_its_class_and_the_next_call_works(backend: list[int]) -> None:
    def inverse(n: int) -> float:
        return 1 / n

    with joblib.Parallel() as parallel:
        with pytest.raises(ZeroDivisionError):
            parallel(joblib.delayed(inverse)(n) for n in range(20))
        assert parallel(joblib.delayed(abs)(-n) for n in range(20)) == [*range(20)]
    wait_until_nothing_runs()


def test_the_death_of_a_worker_is_an_error_and_not_the_end(pids: list[int]) -> None:
    new = pydist.addprocs(2)
    try:
        with joblib.parallel_config("pydist", pool=new):
            with pytest.raises(BrokenProcessPool):
                each(die, range(1), n_jobs=2)
    finally:
        pydist.rmprocs(new, waitfor=10)
    with joblib.parallel_config("pydist"):
        assert each(abs, [-1, -2]) == [1, 2]


def test_a_time_limit_is_kept(backend: list[int]) -> None:
    before = time.monotonic()
    with pytest.raises(multiprocessing.TimeoutError):  # joblib's choice
        each(time.sleep, [60] * 4, timeout=0.1)
    assert time.monotonic() - before < 20


def test_parallel_inside_of_parallel(backend: list[int]) -> None:
    def inner(n: int) -> tuple[int, int]:
        return pydist.myid(), sum(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-i) for i in range(n)))

    places, sums = zip(*each(inner, range(10)), strict=True)
    assert sums == tuple(sum(range(n)) for n in range(10))
    assert set(places) <= set(backend)


def test_a_worker_may_ask_for_the_workers(backend: list[int]) -> None:
    def inner(n: int) -> list[int]:
        with joblib.parallel_config("pydist"):
            return joblib.Parallel()(joblib.delayed(abs)(-i) for i in range(n))  # type: ignore[no-any-return]

    assert each(inner, range(4)) == [[*range(n)] for n in range(4)]


def test_a_large_array_goes_once_to_each_worker_and_is_forgotten_there(backend: list[int]) -> None:
    table = np.arange(500_000.0)

    def read(table: Any, i: int) -> float:
        return float(table[i])

    before = sent(backend)
    assert each(read, [table] * 60, range(60), batch_size=1) == [*range(60)]
    # The batches that were sent before it was seen a second time have it inside.
    assert sent(backend) - before < table.nbytes * (2 * len(backend) + 0.5)
    assert [pydist.remotecall_fetch(kept, pid) for pid in backend] == [0] * len(backend)


def test_a_shared_array_cannot_be_changed_for_the_next_batch(backend: list[int]) -> None:
    table = np.zeros(500_000)

    def write(table: Any, i: int) -> float:
        table[0] += 1
        return float(table[0])

    with pytest.raises(ValueError, match="read-only"):
        each(write, [table] * 30, range(30), batch_size=1)
    assert table[0] == 0


def test_an_interrupt_ends_it_and_the_cluster_is_usable(session: Session, bell: Bell) -> None:
    session.run(f"def work(i):\n    with open({str(bell)!r}, 'a') as bell: bell.write('x')\n    time.sleep(60)")
    session.start(
        "import joblib\nwith joblib.parallel_config('pydist'): joblib.Parallel()(map(joblib.delayed(work), range(9)))"
    )
    bell.wait(2)
    session.interrupt()
    with pytest.raises(CellError) as caught:
        session.finish()
    assert caught.value.kind == "KeyboardInterrupt"
    assert session.run("pydist.pmap(abs, [-1, -2])") == [1, 2]
    session.run("t = time.monotonic()\nwhile pydist.frontend.running() and time.monotonic() - t < 20: time.sleep(0.01)")
    assert session.run("pydist.frontend.running()") == {}


@pytest.mark.slow
def test_a_grid_search_of_scikit_learn(backend: list[int]) -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    X, y = load_digits(return_X_y=True)
    done = {pid: pydist.worker_info(pid).done for pid in backend}
    search = GridSearchCV(SVC(), {"C": [1, 10], "gamma": [1e-3, 1e-4]}, n_jobs=-1, cv=3).fit(X[:600], y[:600])
    with joblib.parallel_config("sequential"):
        alone = GridSearchCV(SVC(), {"C": [1, 10], "gamma": [1e-3, 1e-4]}, cv=3).fit(X[:600], y[:600])
    assert search.best_params_ == alone.best_params_
    assert search.cv_results_["mean_test_score"] == pytest.approx(alone.cv_results_["mean_test_score"])
    assert sum(pydist.worker_info(pid).done - before for pid, before in done.items()) >= 12 / 4
