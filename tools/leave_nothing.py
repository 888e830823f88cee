"""Run a command and fail if it leaves a process or a piece of shared memory behind.

    python3 -m tools.leave_nothing COMMAND ARGUMENT...

On Linux this process becomes what init is for a system: everything below it that loses its parent is given to it. So
it sees what the command left, by whatever way it was started, and never takes another user's process for it. Elsewhere
the command is run and nothing is checked.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

from tools.leftovers import SHARED_MEMORY, SharedMemory, command_line, descendants

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
# The product promises 5 s after a kill -9 of the kernel; the rest is for a slow machine.
GRACE = 10.0
# A shell ignores them for what it starts in the background, and so would every process of the tests that interrupt.
INTERRUPTS = [signal.SIGINT, signal.SIGQUIT]


def main(command: list[str]) -> int:
    """Run ``command``; return its exit code, or 1 when it left something."""
    if not sys.platform.startswith("linux"):
        return subprocess.call(command)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    memory = SharedMemory(at_work=False).watch()
    # Blocked, so that sigtimedwait below may wait for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    child = os.posix_spawnp(command[0], command, os.environ, setsigmask=[], setsigdef=INTERRUPTS)
    code = reap_until(child)
    left = wait_for_the_rest(GRACE)
    for pid in left:
        print(f"left running: {pid} {command_line(pid) or '(ended meanwhile)'}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    names = memory.left()
    for name in sorted(names):
        print(f"left in shared memory: {SHARED_MEMORY / name}", file=sys.stderr)
    return code or int(bool(left or names))


def reap_until(child: int) -> int:
    """Wait for ``child`` and return its exit code; bury the orphans that end before it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def wait_for_the_rest(grace: float) -> list[int]:
    """Give what still runs ``grace`` seconds to end; return the process ids that did not."""
    deadline = time.monotonic() + grace
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants(os.getpid())
        remaining = deadline - time.monotonic()
        if not left or remaining <= 0:
            return left
        signal.sigtimedwait([signal.SIGCHLD], min(remaining, 1.0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
