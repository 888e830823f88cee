"""The process of the kernel: command line, configuration, and what is done before the first request."""

# ipykernel annotates only some of its functions.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import atexit
import os
import sys
from typing import Any

import zmq
from ipykernel.kernelapp import IPKernelApp, kernel_aliases
from traitlets import Bool, Dict, Integer, Type, Unicode, Union, default

import pydist
import pydist.frontend
from pydist_kernel._kernel import GRACE, PyDistKernel
from pydist_kernel._startup import WantedWorkers, WorkersAtStart

__all__ = ["PyDistKernelApp"]


class PyDistKernelApp(IPKernelApp):
    """Python for Jupyter, as process 1 of a cluster."""

    name = "pydist-kernel"
    description = (
        "The pydist kernel: IPython with workers. Front ends start it; install it with: python -m pydist_kernel install"
    )
    # No examples and no subcommands of ipykernel: install is ours.
    examples = ""
    subcommands = Dict()
    aliases = Dict(
        {**kernel_aliases, "workers": "PyDistKernelApp.workers", "machine-file": "PyDistKernelApp.machine_file"}
    )
    classes = [PyDistKernel, *IPKernelApp.classes]  # noqa: RUF012  # as traitlets has it
    kernel_class = Type(  # type: ignore[assignment]
        PyDistKernel, klass="ipykernel.kernelbase.Kernel", help="The kernel class to run."
    ).tag(config=True)

    workers: Any = Union(
        [Integer(), Unicode()],
        default_value="",
        help="How many workers to start with the kernel: a number, or auto for one per usable CPU. "
        "Without it the environment variable PYDIST_WORKERS decides.",
    ).tag(config=True)
    machine_file = Unicode(
        "", help="A file of machines to start workers on, one [count*][user@]host[:port] a line."
    ).tag(config=True)

    workers_required = Bool(
        False, help="Let the first cell fail, and not only complain, when the workers cannot be started."
    ).tag(config=True)

    @default("config_files")
    def _config_files_default(self) -> list[str]:
        # What a user has set for IPython kernels holds for this one too.
        return ["ipython_kernel_config.py", self.config_file_name]

    def _bind_socket(self, s: Any, port: int) -> Any:
        # One sentence in place of a traceback of zmq; ipykernel binds all sockets but the heartbeat's here.
        try:
            return super()._bind_socket(s, port)
        except zmq.ZMQError as error:
            where = f"{self.transport}://{self.ip}" + (f", port {port}" if port else "")
            sys.stderr.write(
                f"pydist-kernel: cannot listen at {where}: {os.strerror(error.errno or 0)}; end whatever has the port, "
                f"or start the kernel with another connection file than {self.connection_file or 'this one'}\n"
            )
            sys.stderr.flush()
            os._exit(1)  # the ordinary end waits for ever for the sockets that are open by now

    def init_path(self) -> None:
        """Complete the path, then start the workers: they copy it, and have time until the first cell."""
        super().init_path()
        wanted = self.wanted_workers()
        if wanted:
            self.kernel.workers_at_start = WorkersAtStart(wanted, required=self.workers_required)
            self.kernel.workers_at_start.begin()

    def wanted_workers(self) -> WantedWorkers:
        """Return the workers that the command line, the configuration or the environment ask for."""
        if str(self.workers) or self.machine_file:
            source = "--machine-file" if self.machine_file else "--workers"
            return WantedWorkers(str(self.workers), self.machine_file, source)
        return WantedWorkers(os.environ.get("PYDIST_WORKERS", ""), "", "PYDIST_WORKERS")

    def init_extensions(self) -> None:
        """Load pydist into the shell, then what the user configured.

        Not through the extension manager: that would make %load_ext pydist in a notebook complain that it is loaded.
        """
        try:
            pydist.load_ipython_extension(self.shell)
        except Exception:
            self.log.exception("pydist could not be loaded into IPython")
        super().init_extensions()

    def start(self) -> None:
        """Serve until the front end is done."""
        # The second line after do_shutdown, for a kernel that ends by itself. The third
        # is that workers leave when their master is gone.
        atexit.register(pydist.frontend.shutdown, GRACE)
        super().start()
