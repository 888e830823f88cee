"""What is measured: the rows of the table."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GROWTH", "ROWS", "Row"]


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        key: its name on the command line and in the JSON.
        title: its name in the table.
        unit: of the value.
        part: which process of a system's script measures it, see `measure.PARTS`.
        more_is_better: rates; the rest are times and sizes.
    """

    key: str
    title: str
    unit: str
    part: str = "rows"
    more_is_better: bool = False


ROWS = {
    row.key: row
    for row in (
        Row("start_cold", "start of 4 workers, cold script", "ms"),
        Row("start_ready", "start of 4 workers, library loaded", "ms", "ready"),
        Row("import", "import, over bare Python", "ms", "ready"),
        Row("hot_p50", "no-op call, back to back on one worker, p50", "µs"),
        Row("hot_p99", "… p99", "µs"),
        Row("turn_p50", "no-op call, round robin over 4, p50", "µs"),
        Row("turn_p99", "… p99", "µs"),
        Row("pause_p50", "no-op call, after a pause of 2 ms, p50", "µs"),
        Row("pause_p99", "… p99", "µs"),
        Row("main_p50", "no-op call, function of __main__, p50", "µs"),
        Row("busy_p50", "no-op call beside a computing thread, p50", "µs"),
        Row("busy_p99", "… p99", "µs"),
        Row("pipe_1", "5,000 calls in flight to 1 worker", "/s", more_is_better=True),
        Row("pipe_4", "5,000 calls in flight to 4 workers", "/s", more_is_better=True),
        Row("map_1", "map of 5,000 no-ops, one at a time", "/s", more_is_better=True),
        Row("map_best", "map of 5,000 no-ops, automatic or best batches", "/s", more_is_better=True),
        Row("loop", "a loop of 10^8 additions, a part on each worker", "/s", more_is_better=True),
        Row("argument", "80 MB argument", "GB/s", more_is_better=True),
        Row("result", "80 MB result", "GB/s", more_is_better=True),
        Row("broadcast", "80 MB to 4 workers, nobody touches it", "ms"),
        Row("broadcast_write", "80 MB to 4 workers, all write to it", "ms"),
        Row("between", "80 MB from worker to worker", "GB/s", more_is_better=True),
        Row("channel", "channel: put and take, p50", "µs"),
        Row("everywhere", "a statement on all workers, p50", "µs"),
        Row("pss", "memory of an idle worker (PSS)", "MB"),
        Row("shutdown", "shutdown of 4 workers", "ms"),
    )
}

#: What is measured again while the number of workers or of items grows.
GROWTH = {
    row.key: row
    for row in (
        Row("start", "start of n workers", "ms", "workers"),
        Row("turn_p50", "no-op call, round robin over n workers, p50", "µs", "workers"),
        Row("everywhere", "a statement on n workers, p50", "µs", "workers"),
        Row("broadcast_8", "8 MB to n workers", "ms", "workers"),
        Row("pipe_n", "5,000 calls in flight to n workers", "ms", "workers"),
        Row("map_n", "map of 5,000 no-ops on n workers, one at a time", "ms", "workers"),
        Row("pss", "memory of an idle worker (PSS)", "MB", "workers"),
        Row("shutdown", "shutdown of n workers", "ms", "workers"),
        Row("pipe_items", "n calls in flight to 1 worker", "ms", "items"),
        Row("map_items", "map of n no-ops, one at a time", "ms", "items"),
        Row("map_best_items", "map of n no-ops, automatic or best batches", "ms", "items"),
    )
}
