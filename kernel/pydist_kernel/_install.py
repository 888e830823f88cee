"""Installing the kernelspec: ``python -m pydist_kernel install`` and ``uninstall``."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["SPEC", "kernel_argv", "main", "read_spec"]

SPEC = Path(__file__).parent / "spec"
NAME = "pydist"
# What jupyter_client accepts.
_LEGAL_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)


class InstallError(Exception):
    """The kernelspec cannot be (un)installed; the text is the sentence for the user."""


def read_spec() -> dict[str, Any]:
    """Return the kernel.json that ships with the package."""
    spec: dict[str, Any] = json.loads((SPEC / "kernel.json").read_text(encoding="utf-8"))
    return spec


def kernel_argv(workers: str = "", machine_file: str = "") -> list[str]:
    """Return the command of the kernel with this interpreter and these workers at start."""
    argv = [sys.executable, *read_spec()["argv"][1:]]
    if workers:
        argv += ["--workers", workers]
    if machine_file:
        # The kernel runs in the folder of the notebook.
        argv += ["--machine-file", str(Path(machine_file).absolute())]
    return argv


def install(options: argparse.Namespace) -> Path:
    """Write the kernelspec and return its folder."""
    from jupyter_client.kernelspec import KernelSpecManager

    folder = folder_of(options)
    if folder.exists() and not is_ours(folder) and not options.replace:
        raise InstallError(
            f"{folder} is another kernel's; --replace puts pydist in its place, --name takes another name"
        )
    spec = read_spec()
    spec["argv"] = kernel_argv(options.workers, options.machine_file)
    if options.display_name or options.name != NAME:
        spec["display_name"] = options.display_name or options.name
    if options.env:
        spec["env"] = dict(options.env)
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary, options.name)
        shutil.copytree(SPEC, draft, copy_function=shutil.copyfile)
        (draft / "kernel.json").write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
        manager = KernelSpecManager()
        try:
            manager.install_kernel_spec(str(draft), options.name, user=options.user, prefix=options.prefix)
        except OSError as error:
            hint = "" if options.user or options.prefix else "; --user or --sys-prefix need no special rights"
            raise InstallError(f"cannot write {folder}: {error.strerror or error}{hint}") from error
    return folder


def uninstall(options: argparse.Namespace) -> Path:
    """Remove the kernelspec and return the folder it was in."""
    if options.user or options.prefix:
        folder = folder_of(options)
    else:
        from jupyter_client.kernelspec import KernelSpecManager

        found = KernelSpecManager().find_kernel_specs().get(options.name)
        if found is None:
            raise InstallError(f"no kernelspec named {options.name} is installed")
        folder = Path(found)
    if not (folder / "kernel.json").is_file():
        raise InstallError(f"there is no kernelspec in {folder}")
    if not is_ours(folder):
        raise InstallError(f"{folder} is another kernel's and stays")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InstallError(f"cannot remove {folder}: {error.strerror or error}") from error
    return folder


def folder_of(options: argparse.Namespace) -> Path:
    """Return the folder that the options name."""
    from jupyter_core.paths import SYSTEM_JUPYTER_PATH, jupyter_data_dir

    if options.user:
        return Path(jupyter_data_dir(), "kernels", options.name)
    if options.prefix:
        return Path(options.prefix, "share", "jupyter", "kernels", options.name)
    return Path(SYSTEM_JUPYTER_PATH[0], "kernels", options.name)


def is_ours(folder: Path) -> bool:
    """Say whether the kernelspec in ``folder`` starts this kernel."""
    try:
        return "pydist_kernel" in json.loads((folder / "kernel.json").read_text(encoding="utf-8"))["argv"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _legal_name(text: str) -> str:
    if not _LEGAL_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} has other characters than letters, digits, '.', '-' and '_'")
    return text.lower()


def parser() -> argparse.ArgumentParser:
    """Return the parser of both commands."""
    both = argparse.ArgumentParser(add_help=False)
    place = both.add_mutually_exclusive_group()
    place.add_argument("--user", action="store_true", help="for this user only")
    place.add_argument(
        "--sys-prefix",
        action="store_const",
        const=sys.prefix,
        dest="prefix",
        help=f"for this environment ({sys.prefix})",
    )
    place.add_argument("--prefix", metavar="P", help="into P/share/jupyter/kernels")
    both.add_argument("--name", type=_legal_name, default=NAME, metavar="N", help=f"name of the kernelspec ({NAME})")

    top = argparse.ArgumentParser(
        prog="python -m pydist_kernel", description="Install or remove the kernelspec of pydist."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="install | uninstall")
    add = commands.add_parser(
        "install", parents=[both], help="install the kernelspec", description="Install the kernelspec."
    )
    add.add_argument("--display-name", metavar="D", help="the name that front ends show")
    add.add_argument("--workers", default="", metavar="N", help="workers that start with the kernel: a number, or auto")
    add.add_argument("--machine-file", default="", metavar="F", help="machines with workers that start with the kernel")
    add.add_argument(
        "--env", nargs=2, action="append", metavar=("K", "V"), help="set the environment variable K for the kernel"
    )
    add.add_argument("--replace", action="store_true", help="replace another kernel's spec of that name")
    commands.add_parser("uninstall", parents=[both], help="remove the kernelspec", description="Remove the kernelspec.")
    return top


def main(arguments: list[str]) -> int:
    """Do what ``arguments`` say and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "install":
            check_workers(options)
            sys.stdout.write(f"installed kernelspec {options.name} in {install(options)}\n")
        else:
            sys.stdout.write(f"removed kernelspec {options.name} from {uninstall(options)}\n")
    except InstallError as error:
        sys.stderr.write(f"pydist_kernel: {error}\n")
        return 1
    return 0


def check_workers(options: argparse.Namespace) -> None:
    """Complain now about what the kernel would complain about in the first cell of each notebook."""
    from pydist_kernel._startup import WantedWorkers, one_sentence, read_machine_file

    try:
        WantedWorkers(options.workers).local()
        if options.machine_file:
            read_machine_file(options.machine_file)
    except (OSError, ValueError) as error:
        raise InstallError(one_sentence(error)) from error
