"""Workers that are asked for before there is a cell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.driver import LiveKernel

pytestmark = [pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

WORKERS = "__import__('pydist').workers()"


def test_workers_are_there_before_the_first_cell() -> None:
    with LiveKernel("--workers", "2") as kernel:
        assert kernel.evaluate(WORKERS) == [2, 3]


def test_the_environment_asks_for_workers() -> None:
    with LiveKernel(environment={"PYDIST_WORKERS": "1"}) as kernel:
        assert kernel.evaluate(WORKERS) == [2]


def test_the_command_line_beats_the_environment() -> None:
    with LiveKernel("--workers", "0", environment={"PYDIST_WORKERS": "1"}) as kernel:
        assert kernel.evaluate(WORKERS) == [1]


def test_the_configuration_asks_for_workers(tmp_path: Path) -> None:
    profile = tmp_path / "profile_default"
    profile.mkdir()
    # What is set for every IPython kernel holds for this one.
    (profile / "ipython_kernel_config.py").write_text("c.PyDistKernelApp.workers = 1\n")
    with LiveKernel(environment={"IPYTHONDIR": str(tmp_path)}) as kernel:
        assert kernel.evaluate(WORKERS) == [2]


def test_a_wish_that_cannot_be_met_is_told_once_and_the_kernel_works() -> None:
    with LiveKernel("--workers", "many") as kernel:
        first, second = kernel.run("6 * 7"), kernel.run("6 * 7")
    assert first.stderr == (
        "pydist could not start many workers, as --workers asked: "
        "--workers takes a number of workers or auto, not 'many'\n"
    )
    assert (first.result, second.result, second.stderr) == ("42", "42", "")


def test_a_wish_that_must_be_met_lets_the_first_cells_fail() -> None:
    with LiveKernel("--machine-file", "/nowhere", "--PyDistKernelApp.workers_required=True") as kernel:
        first, second = kernel.run("6 * 7"), kernel.run("6 * 7")
    assert (first.error, first.result) == ("LaunchWorkerError", None)
    assert first.reply is not None
    assert first.reply["evalue"] == (
        "pydist could not start the workers of /nowhere, as --machine-file asked: /nowhere: No such file or directory"
    )
    assert second.error == "LaunchWorkerError"


def test_the_kernel_answers_while_workers_start_and_the_first_cell_can_be_interrupted(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    os.mkfifo(machines)  # nobody starts a worker before something is written here
    with LiveKernel("--machine-file", str(machines)) as kernel:
        assert kernel.info()["implementation"] == "pydist"
        first = kernel.begin("'ran'").wait_until_running()
        kernel.interrupt()
        assert first.wait().error == "KeyboardInterrupt"
        assert first.result is None
        second = kernel.begin("'ran'").wait_until_running()
        machines.write_text("*\n")
        assert "line 1 of" in second.wait().stderr
        assert second.result == "'ran'"


def test_settings_are_taken_from_the_command_line_the_environment_and_config_in_this_order() -> None:
    with LiveKernel(
        "--PyDist.output_limit=1234", environment={"PYDIST_OUTPUT_LIMIT": "9", "PYDIST_FOLD": "0"}
    ) as kernel:
        value = "(s := get_ipython()._pydist_session.settings).output_limit, s.fold"
        assert kernel.evaluate(value) == (1234, False)
        assert kernel.run("%config PyDist.output_limit = 77").status == "ok"
        assert kernel.evaluate(value) == (77, False)


def test_the_machine_file_is_read_by_the_kernel(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    machines.write_text("# none\n")
    with LiveKernel("--machine-file", str(machines)) as kernel:
        assert f"the machine file {machines} names no machine" in kernel.run("1").stderr
