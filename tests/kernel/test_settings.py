"""``c.PyDist`` in files of configuration and on command lines: our kernel, ipykernel and IPython itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.driver import LiveKernel, Specs

pytestmark = pytest.mark.kernel

VALUES = "(s := get_ipython()._pydist_session.settings).output_limit, s.fold, s.keep_results"
#: Of what a profile may have, and how the later of two files changes the earlier.
GENERAL = "c.PyDist.output_limit = 123\nc.PyDist.fold = False\n"
OF_KERNELS = "c.PyDist.output_limit = 456\n"


def profile(folder: Path, **files: str) -> dict[str, str]:
    """Write a profile, and return the environment that has IPython use it."""
    place = folder / "profile_default"
    place.mkdir()
    for name, text in files.items():
        (place / f"{name}.py").write_text(text)
    return {"IPYTHONDIR": str(folder)}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["pydist_kernel", "ipykernel_launcher"])
def test_a_kernel_has_what_the_files_say_and_what_its_command_line_says(module: str, tmp_path: Path) -> None:
    environment = profile(tmp_path, ipython_config=GENERAL, ipython_kernel_config=OF_KERNELS)
    environment["PYDIST_FOLD"] = "1"  # says nothing where a file does
    specs = Specs("--PyDist.keep_results=9", module=module)
    with LiveKernel(specs=specs, environment=environment) as kernel:
        assert kernel.run("%load_ext pydist").status == "ok"
        assert kernel.evaluate(VALUES) == (456, False, 9)
        shown = kernel.run("%pydist config").result
        assert shown is not None
        assert {line.split()[0]: line.split()[1:3] for line in shown.splitlines() if "set" in line.split()[:3]} == {
            "fold": ["False", "set"],
            "keep_results": ["9", "set"],
            "output_limit": ["456", "set"],
        }


@pytest.mark.slow
def test_ipython_in_a_terminal_has_what_the_file_says(tmp_path: Path) -> None:
    environment = profile(tmp_path, ipython_config=GENERAL + "c.InteractiveShellApp.extensions = ['pydist']\n")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--PyDist.keep_results=9", "-c", f"print({VALUES})"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("123 False 9\n", 0), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "argument"), [("c.PyDist.output_limit = 'much'\n", ""), ("", "--PyDist.output_limit=much")]
)
def test_a_value_that_makes_no_sense_is_told_and_the_kernel_works(line: str, argument: str, tmp_path: Path) -> None:
    environment = profile(tmp_path, ipython_kernel_config=line + "c.PyDist.keep_results = 9\n")
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        kernel = LiveKernel(*filter(None, [argument]), environment=environment)
        kernel._start["stderr"] = file  # type: ignore[assignment]
        with kernel:
            assert kernel.evaluate(VALUES) == (1_000_000, True, 9)
    assert "pydist: c.PyDist.output_limit = 'much' is not an int from 0 up; 1000000 holds\n" in errors.read_text()
    assert "Traceback" not in errors.read_text()
