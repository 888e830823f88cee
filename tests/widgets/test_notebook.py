"""The displays in a plain ipykernel and in a terminal's IPython, with real workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import nbformat.v4
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

TIMEOUT = 120
WIDGET = "application/vnd.jupyter.widget-view+json"


def run(*sources: str, metadata: Mapping[str, str] | None = None) -> list[list[dict[str, Any]]]:
    """Return the outputs of the cells, in a kernel that has only loaded the extension."""
    cells = [nbformat.v4.new_code_cell(source) for source in ("import pydist\n%load_ext pydist", *sources)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3").execute()
    return [cell.outputs for cell in cells[1:]]


def text(output: Mapping[str, Any]) -> str:
    return str(output["data"]["text/plain"])


def test_a_worker_list_shows_itself_and_stays_true() -> None:
    (table,), _, (again,) = run(
        "pydist.addprocs(1)\npydist.worker_info()",
        "for _ in range(3):\n    pydist.remotecall_fetch(abs, 2, -1)",
        "pydist.worker_info()",
    )
    assert table["data"].keys() == {"text/plain", "text/html"}
    assert text(table) == text(again)
    row = text(table).splitlines()[-1].split()
    assert row[:3] == ["2", "●", "idle"]
    assert int(row[4]) >= 3


def test_a_pmap_leaves_its_end() -> None:
    failing = "pydist.pmap(lambda n: 1 / n, [1, 0, 2], progress='one of them fails')"
    done, failed = run(
        "pydist.addprocs(1)\nresults = pydist.pmap(abs, range(5), progress='five')",
        f"try:\n    {failing}\nexcept ZeroDivisionError:\n    pass",
    )
    assert "five [########################] ✔ done · 5/5 · " in text(done[0])
    assert "one of them fails" in text(failed[0])
    assert "✘ failed" in text(failed[0])


def test_an_interrupted_pmap_says_so() -> None:
    source = """
import os, signal, threading, time

threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    pydist.pmap(lambda _: time.sleep(60), range(3), progress='long')
except KeyboardInterrupt:
    print("stopped")
"""
    _, outputs, after = run("pydist.addprocs(1)", source, "pydist.remotecall_fetch(abs, 2, -7)")
    shown = [output for output in outputs if "data" in output]
    assert "■ interrupted · 0/3" in text(shown[0])
    assert text(after[0]) == "7"


def test_a_future_shows_where_it_is_and_how_it_ended() -> None:
    # Behind each of them stands the empty place for what the call may write later.
    _, (good, _), (bad, _), _ = run(
        "pydist.addprocs(1)",
        "good = pydist.remotecall(abs, 2, -1)\ngood",
        "bad = pydist.remotecall(divmod, 2, 1, 0)\nbad",
        "good.wait()\nbad.exception()",
    )
    assert "✔ done on worker 2" in text(good)
    assert "✘ failed on worker 2" in text(bad)


def test_a_live_front_end_without_anywidget_gets_html() -> None:
    _, (table,), _ = run(
        "import os, sys\nos.environ['PYDIST_DISPLAY'] = 'widget'\nsys.modules['anywidget'] = None",
        "pydist.worker_info()",
        "pydist.addprocs(1)",
    )
    assert WIDGET not in table["data"]
    assert "1 worker " in text(table)


def test_live_views_load_the_widget_library_and_nothing_else_does() -> None:
    loaded = "import sys\nprint('ipywidgets' in sys.modules, 'anywidget' in sys.modules)"
    before, (table,), after = run(
        f"pydist.worker_info()\npydist.pmap(abs, range(3), progress=True)\n{loaded}",
        "import os\nos.environ['PYDIST_DISPLAY'] = 'widget'\npydist.worker_info()",
        loaded,
    )
    assert before[-1]["text"] == "False False\n"
    assert WIDGET in table["data"]
    assert after[-1]["text"] == "True True\n"


def test_the_extension_can_be_unloaded_and_loaded_again() -> None:
    unloaded, _, (table,) = run(
        "%unload_ext pydist\nimport pydist\nprint(pydist.frontend.progress())\npydist.worker_info()",
        "%reload_ext pydist",
        "pydist.worker_info()",
    )
    assert unloaded[0]["text"] == "None\n"
    assert "text/html" not in unloaded[-1]["data"]
    assert "text/html" in table["data"]


def test_a_terminal_gets_plain_text_once() -> None:
    code = "\n".join(
        [
            "get_ipython().run_line_magic('load_ext', 'pydist')",
            "import pydist",
            "ids = pydist.addprocs(1)",
            "get_ipython().run_cell('pydist.worker_info()')",
            "squares = pydist.pmap(abs, range(5), progress='five')",
            "pydist.rmprocs(2)",
        ]
    )
    command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert ended.stdout.count("1 worker · ") == 1
    assert "<table" not in ended.stdout
    assert ended.stderr.count("five [") == 1
    assert "five [########################] ✔ done · 5/5" in ended.stderr


def test_a_script_shows_no_progress() -> None:
    code = "import pydist\npydist.addprocs(1)\nprint(pydist.pmap(abs, [-1, -2]))\npydist.rmprocs(2)"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert ended.stdout == "[1, 2]\n"
    assert ended.stderr == ""


def test_importing_the_package_imports_no_front_end() -> None:
    code = "import sys, pydist_widgets\nprint([m for m in ('IPython', 'ipywidgets', 'anywidget') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert ended.stdout == "[]\n"
