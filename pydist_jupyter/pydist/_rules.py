"""What a map does about failures and progress, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydist import frontend
from pydist._errors import unwrap
from pydist._runtime.node import Node

__all__ = ["Item", "Rules", "View", "annotate", "here"]

#: A progress display is told no more often than this (seconds).
_PROGRESS = 0.05


class View:
    """The progress display, told now and then."""

    def __init__(self, node: Node, f: Any, progress: bool | str | None, total: int | None) -> None:
        factory = frontend.progress()
        wanted = progress is not False and factory is not None and (node.pid == 1 or progress)
        label = progress if isinstance(progress, str) else getattr(f, "__name__", "") or type(f).__name__
        self._view = factory(label, total) if wanted and factory is not None else None
        self._told = 0.0
        self.total = total
        self.done = self.failed = 0

    def tick(self) -> None:
        """Tell it, if the last time is a while ago."""
        if self._view is not None:
            now = time.monotonic()
            if now - self._told >= _PROGRESS:
                self._told = now
                self._view.update(self.done, self.failed, self.total)

    def close(self, state: str) -> None:
        """Tell it the end."""
        view, self._view = self._view, None
        if view is not None:
            view.update(self.done, self.failed, self.total)
            view.close(state)


class Rules:
    """What happens to an item that has failed."""

    def __init__(
        self, on_error: Callable[[BaseException], Any] | None, delays: Iterable[float], check: Callable[..., Any] | None
    ) -> None:
        self.on_error = on_error
        self.delays = [float(delay) for delay in delays]
        self.check = check

    def again(self, item: Item, error: BaseException) -> float | None:
        """Return after how many seconds to try again, or None."""
        if item.attempts > len(self.delays):
            return None
        if self.check is not None:
            said = self.check(item.state, unwrap(error))
            if isinstance(said, tuple):
                item.state, said = said
            if not said:
                return None
        return self.delays[item.attempts - 1]


class Item:
    """An input that has failed."""

    __slots__ = ("attempts", "state")

    def __init__(self) -> None:
        self.attempts = 0
        self.state: Any = None


def here(
    f: Callable[..., Any], source: Iterator[tuple[Any, ...]], rules: Rules, view: View
) -> Iterator[tuple[int, Any]]:
    """Without workers: one after the other, in this thread; yields ``(index, result)``."""
    results: dict[int, Any] = {}
    for index, args in enumerate(source):
        item = Item()
        while True:
            item.attempts += 1
            try:
                value = f(*args)
            except Exception as error:
                delay = rules.again(item, error)
                if delay is not None:
                    time.sleep(delay)
                    continue
                view.failed += 1
                if rules.on_error is None:
                    annotate(error, index, results)
                    raise
                value = rules.on_error(error)
            break
        view.done += 1
        view.tick()
        results[index] = value
        yield index, value


def annotate(error: BaseException, index: int, results: dict[int, Any]) -> None:
    """Let an exception say at which item it came, and what had been computed."""
    error.index = index  # type: ignore[attr-defined]
    error.results = results  # type: ignore[attr-defined]
    error.add_note(f"pmap: item {index} failed; .results has the {len(results)} that were computed")
