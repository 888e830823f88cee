"""``pydist run script.py``: a script with workers, in this very process."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path
from types import CodeType, ModuleType

from pydist_kernel._complaint import FAILED, Complaint
from pydist_kernel._startup import WantedWorkers, add_workers, one_sentence

__all__ = ["run_script"]


def run_script(source: Path, arguments: list[str], wanted: WantedWorkers, timeout: float | None) -> int:
    """Run ``source`` as ``__main__`` with its workers there; return the exit code."""
    code = compiled(source)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(source), __builtins__=__builtins__)
    # As `python script.py` has it. This comes first, because workers copy the path and look at the main module.
    sys.argv = [str(source), *arguments]
    sys.path[0:1] = [str(source.parent.absolute())]
    sys.modules["__main__"] = main
    if not wanted:
        wanted = WantedWorkers(os.environ.get("PYDIST_WORKERS", ""), "", "PYDIST_WORKERS")
    try:
        add_workers(wanted)
    except Exception as error:
        raise Complaint(f"cannot start the workers: {one_sentence(error)}", FAILED) from error
    if timeout is not None:
        end_after(timeout, source)
    try:
        exec(code, main.__dict__)
    except Exception as error:
        # The first frame is this function's.
        traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        return FAILED
    return 0


def compiled(source: Path) -> CodeType:
    """Compile the script; a mistake in it is shown as Python shows it."""
    try:
        return compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
    except OSError as error:
        raise Complaint(f"cannot read {source}: {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        traceback.print_exception(None, error, None)
        raise Complaint(f"{source} is not a Python script", FAILED) from error


def end_after(timeout: float, source: Path) -> None:
    """End this process, with its workers, when the time is over."""

    def end() -> None:
        from pydist import frontend

        sys.stderr.write(f"pydist: {source} took longer than {timeout:g} s\n")
        sys.stderr.flush()
        frontend.shutdown(0.5)
        os._exit(FAILED)

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
