"""Cells that end their worker, or ask it for what it has not: an executed notebook says so in one sentence each."""

from __future__ import annotations

import re
from typing import Any

import nbformat.v4
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

LIMIT = 120
BEGIN = "%load_ext pydist\nimport os, sys, pydist\npids = %addprocs 8"
KILLED = "was ended by SIGKILL (perhaps the system ran out of memory)"

#: What a cell does to a worker of its own, and what the notebook says of that process.
DEATHS = {
    2: ("ended = %spawnat 2 os._exit(1)\n_ = ended.exception(60)", "exited with code 1"),
    3: ("%%everywhere 3\nimport os\nos.kill(os.getpid(), 9)", KILLED),
    4: ("%%everywhere 4\nimport ctypes\nctypes.string_at(0)", "was ended by SIGSEGV"),
    5: ("%fetchfrom 5 os.abort()", "was ended by SIGABRT"),
    6: (
        "def stand(n):\n    import threading\n    threading.Event().wait(600)\n"
        "calls = [pydist.remotecall(stand, 6, n) for n in range(4)]\n%fetchfrom 6 os._exit(7)",
        "exited with code 7",
    ),
    7: (
        "def visit(n):\n    if n == 5:\n        os.kill(os.getpid(), 9)\n    return n\n"
        "pydist.pmap(visit, range(20), pool=pydist.WorkerPool([7]))",
        KILLED,
    ),
}
#: What a cell asks of worker 8, and the error.
REFUSALS = {
    "exit()": ("%%everywhere 8\nexit()", "sys.exit() ended the call, not the worker; rmprocs(8) would"),
    "sys.exit": ("%fetchfrom 8 sys.exit(3)", "sys.exit(3) ended the call, not the worker; rmprocs(8) would"),
    "input": ("%%everywhere 8\ninput('name? ')", "worker 8 has no keyboard: call input() in process 1"),
    "memory": (
        "%%everywhere 8\nimport resource\nlimits = resource.getrlimit(resource.RLIMIT_AS)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, limits[1]))\n"
        "try:\n    x = bytearray(2**34)\nfinally:\n    resource.setrlimit(resource.RLIMIT_AS, limits)",
        "MemoryError",
    ),
}
AFTER = {
    "calls": "[type(call.exception(60)).__name__ for call in calls]",
    "workers": "pydist.workers()",
    "fine": "%%everywhere\nprint('fine')",
}


@pytest.fixture(scope="module", params=["pydist", "python3"])
def cells(request: pytest.FixtureRequest) -> dict[Any, Any]:
    """The cells of a notebook that was executed, by their names."""
    sources: dict[Any, str] = {"begin": BEGIN}
    sources |= {pid: code for pid, (code, _) in DEATHS.items()} | {name: code for name, (code, _) in REFUSALS.items()}
    sources |= AFTER
    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in sources.values()])
    NotebookClient(notebook, timeout=LIMIT, kernel_name=request.param, allow_errors=True).execute()
    return dict(zip(sources, notebook.cells, strict=True))


def texts(cell: Any, kind: str) -> str:
    """Return what a cell shows of a kind, without colours."""
    shown = {
        "stdout": lambda output: output.get("text", "") if output.get("name") == "stdout" else "",
        "stderr": lambda output: output.get("text", "") if output.get("name") == "stderr" else "",
        "error": lambda output: output.get("evalue", ""),
        "plain": lambda output: output.get("data", {}).get("text/plain", ""),
        "traceback": lambda output: "\n".join(output.get("traceback", ())),
    }[kind]
    return re.sub("\x1b\\[[0-9;]*m", "", "".join(map(shown, cell.outputs)))


@pytest.mark.parametrize("pid", DEATHS)
def test_the_end_of_a_worker_is_told_in_the_cell_that_caused_it(cells: dict[Any, Any], pid: int) -> None:
    cell, how = cells[pid], DEATHS[pid][1]
    sentence = f"process {pid} on [^ ]+ {re.escape(how)}"
    assert re.fullmatch(f"Worker {pid} terminated: {sentence}\n", texts(cell, "stderr"))
    if pid != 2:  # where the error is looked at only
        assert re.search(sentence, texts(cell, "error"))


@pytest.mark.parametrize("what", REFUSALS)
def test_what_a_worker_cannot_do_is_one_sentence(cells: dict[Any, Any], what: str) -> None:
    assert REFUSALS[what][1] in texts(cells[what], "error")
    assert texts(cells[what], "error").count("\n") == 0


def test_no_frame_of_the_machinery_is_shown(cells: dict[Any, Any]) -> None:
    shown = "".join(texts(cell, kind) for cell in cells.values() for kind in ("traceback", "stderr", "stdout"))
    assert not re.search(r"pydist_jupyter|/pydist/|pydist_magics|Exception ignored", shown)


def test_the_calls_of_a_worker_fail_with_it_and_the_cluster_is_usable(cells: dict[Any, Any]) -> None:
    assert texts(cells["calls"], "plain").count("ProcessExitedException") == 4
    assert texts(cells["workers"], "plain") == "[8, 9]"
    assert texts(cells["fine"], "stdout") == "fine\n From worker 8:\tfine\n From worker 9:\tfine\n"
