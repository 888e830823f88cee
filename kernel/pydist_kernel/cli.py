"""The command ``pydist``: run notebooks and scripts with workers, and look after what runs."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import metadata
from typing import NoReturn

from pydist_kernel._complaint import Complaint

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Do what ``arguments`` say and return the exit code: 0 done, 1 the notebook or script failed, 2 a wrong use."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        # argparse cannot tell the options of a script from ours; "--" can.
        cut = arguments.index("--") if "--" in arguments else len(arguments)
        ours, scripts = arguments[:cut], arguments[cut + 1 :]
        return dispatch(parser().parse_args(ours, argparse.Namespace(arguments=scripts)))
    except Complaint as complaint:
        print(f"pydist: {complaint}", file=sys.stderr)
        return complaint.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left. Python would say so once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def dispatch(options: argparse.Namespace) -> int:
    """Call the command that was named; each imports what it needs itself."""
    if options.command == "run":
        from pydist_kernel._cli_run import run

        return run(options)
    if options.command == "worker":
        raise Complaint(
            "worker: this version has workers of its own host only, and those are started by addprocs; "
            "there is no cluster on another host that this process could join"
        )
    from pydist_kernel import _cli_runs

    return _cli_runs.ps() if options.command == "ps" else _cli_runs.clean()


class Parser(argparse.ArgumentParser):
    """A parser that complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Complain about the command line."""
        raise Complaint(f"{message} (see: {self.prog} --help)")


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="pydist", description="Notebooks and scripts with workers.")
    top.add_argument("--version", action="version", version=f"pydist {metadata.version('pydist-jupyter')}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a notebook or a script with workers",
        usage="%(prog)s [OPTIONS] notebook.ipynb|script.py [-- ARGUMENTS OF THE SCRIPT]",
        description="Run a notebook on the pydist kernel, or a script in Python, with workers that are there from "
        "the start. Exit code 1: a cell or the script failed (what was done until then is written all the same).",
    )
    run.add_argument("file", metavar="notebook.ipynb|script.py")
    run.add_argument("-p", "--workers", metavar="N", help="number of workers, or auto for one per usable CPU")
    run.add_argument(
        "--machine-file", metavar="F", help="machines to start workers on, one [count*][user@]host[:port] a line"
    )
    run.add_argument(
        "-o", "--output", metavar="OUT", help="write the notebook with its results to out.ipynb or out.html"
    )
    run.add_argument("--timeout", metavar="T", help="seconds that a cell, or the script, may take")
    commands.add_parser("ps", help="list the clusters of this user on this machine")
    commands.add_parser("clean", help="end the workers that a dead master has left, and forget them")
    commands.add_parser(
        "worker",
        help="be a worker of a cluster on another host (this version has workers of its own host only)",
        description="Be a worker that joins a cluster over the network. This version has workers of its own host "
        "only, and those are started by addprocs.",
    )
    return top


if __name__ == "__main__":
    sys.exit(main())
