"""The checks that Jupyter has for kernels, on ours."""

from __future__ import annotations

from typing import ClassVar

import jupyter_kernel_test
import pytest

from pydist_kernel._install import main

NAME = "pydist-under-test"

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def kernelspec() -> None:
    """Install the kernelspec where the checks look for it, under a name that is nobody else's."""
    assert main(["install", "--user", "--name", NAME]) == 0


class TestKernel(jupyter_kernel_test.KernelTests):  # type: ignore[misc]  # it publishes no types
    kernel_name = NAME
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    code_page_something = "print?"
    code_generate_error = "raise ValueError('no')"
    code_execute_result: ClassVar = [
        {"code": "6 * 7", "result": "42"},
        {"code": "await __import__('asyncio').sleep(0, 'late')", "result": "'late'"},
    ]
    code_display_data: ClassVar = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('x'))", "mime": "text/latex"},
    ]
    code_clear_output = "from IPython.display import clear_output; clear_output()"
    code_history_pattern = "6 * 7"
    # A stock kernel cannot answer "range" either.
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    completion_samples: ClassVar = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples: ClassVar = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n", "%workers"]
    incomplete_code_samples: ClassVar = ["print('''hello", "def f(x):\n  x*2", "%%everywhere\nx = ("]
    invalid_code_samples: ClassVar = ["import = 7q"]
    support_iopub_welcome = True
