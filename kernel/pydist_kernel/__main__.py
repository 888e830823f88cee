"""``python -m pydist_kernel``: the kernel, or ``install`` and ``uninstall`` of its kernelspec."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Do what the command line says."""
    if sys.argv[1:2] in (["install"], ["uninstall"]):
        from pydist_kernel._install import main as install

        return install(sys.argv[1:])
    # -m puts the working directory first on the path; a notebook's neighbour called types.py must not become part of
    # the kernel. IPKernelApp.init_path puts the directory back for the user.
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    from pydist_kernel._app import PyDistKernelApp

    PyDistKernelApp.launch_instance()
    return 0


if __name__ == "__main__":
    sys.exit(main())
