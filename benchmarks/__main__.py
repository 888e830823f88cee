"""``python -m benchmarks``: one table of pydist, its peers and the floor, measured in the same run.

The scripts of the systems run one after the other, round by round, so that a change of the machine's mood meets all of
them alike. Everything they start ends with them.
"""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import importlib.util
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import growth, peers, table
from benchmarks.measure import Job
from benchmarks.rows import GROWTH, ROWS
from benchmarks.running import SYSTEMS, Place, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.install_peers:
        peers.install(options.peers)
        return 0
    known = GROWTH if options.growth else ROWS
    systems = options.systems or (["ours", "floor"] if options.growth else list(SYSTEMS))
    for what, names, all_names in (("system", systems, SYSTEMS), ("row", options.rows, known)):
        for name in names:
            if name not in all_names:
                print(f"no such {what}: {name} (there are {', '.join(all_names)})", file=sys.stderr)
                return 2
    rows = tuple(options.rows)
    rounds = options.rounds or (1 if options.quick else 2 if options.growth else 3)
    if options.growth:
        jobs = [growth.jobs(quick=options.quick, rows=rows, number=number) for number in range(rounds)]
    else:
        parts = [part for part in ("ready", "rows") if not rows or any(ROWS[key].part == part for key in rows)]
        jobs = [[Job(part, rows, quick=options.quick) for part in parts]] * rounds
    about = _about(options.peers)
    answers = _run_all(systems, jobs, options.peers)
    if options.json:
        options.json.write_text(json.dumps({"about": about, "answers": answers}, indent=1), encoding="utf-8")
    loads = [load for answer in answers for load in answer["load"]]
    print(f"{date.today()}; {'; '.join(f'{key} {value}' for key, value in about.items())}; {rounds} round(s), medians")
    print("and (least–greatest) of the rounds" + (f"; load average {min(loads):.1f}–{max(loads):.1f}" if loads else ""))
    print()
    print("\n".join(growth.lines(answers) if options.growth else table.lines(answers, markdown=options.markdown)))
    for remark in table.remarks(answers):
        print(f"* {remark}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])

    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser.add_argument("--systems", type=names, default=[], help=f"some of {','.join(SYSTEMS)}")
    parser.add_argument("--rows", type=names, default=[], help=f"some of {','.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=0, help="how often each system has its turn (3; growth: 2)")
    parser.add_argument("--quick", action="store_true", help="one round with fewer repeats")
    parser.add_argument("--growth", action="store_true", help="1 to 64 workers, 10^3 to 10^6 items, with the exponent")
    parser.add_argument("--json", type=Path, help="write every value of every round to this file")
    parser.add_argument("--markdown", action="store_true", help="print the table as markdown")
    parser.add_argument("--peers", type=Path, default=peers.DEFAULT, help="the environment with the peers")
    parser.add_argument("--install-peers", action="store_true", help="make that environment, and end")
    return parser


def _about(folder: Path) -> dict[str, str]:
    """Return what the figures depend on."""
    about = {"machine": _processor(), "CPUs": str(os.cpu_count()), "system": platform.platform(terse=True)}
    about["Python"] = platform.python_version()
    python = peers.python_of(folder)
    if python is not None:
        about.update({name: version for name, version in peers.versions(python).items() if name != "cloudpickle"})
    return about


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _run_all(systems: list[str], jobs: list[list[Job]], folder: Path) -> list[dict[str, Any]]:
    """Run the jobs of each round."""
    _compile()
    answers = []
    with tempfile.TemporaryDirectory(prefix="pydist-benchmarks-", ignore_cleanup_errors=True) as temporary:
        place = Place(peers.python_of(folder), Path(temporary))
        for number, jobs_now in enumerate(jobs):
            # Each round another one is the first, and nobody always follows the same neighbour's left-overs.
            for job in jobs_now:
                for key in _rotated(systems, number):
                    print(f"round {number + 1} of {len(jobs)}: {key} ({job.part}) …", file=sys.stderr, flush=True)
                    answer = run(SYSTEMS[key], job, place)
                    if answer is not None:
                        answers.append({**answer, "round": number, "job": dataclasses.asdict(job)})
    return answers


def _rotated(systems: list[str], number: int) -> list[str]:
    start = number % len(systems)
    return systems[start:] + systems[:start]


def _compile() -> None:
    """Compile what an installation would have compiled: the first start of a checkout is nobody's figure."""
    for name in ("pydist", "pydist_kernel", "pydist_magics", "pydist_widgets", "benchmarks"):
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations if spec is not None else None) or ():
            compileall.compile_dir(folder, quiet=2)


if __name__ == "__main__":
    # Whoever ends it ends the script that runs just now, too, and what that has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
