"""The items of one message of a map, while a worker goes through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from pydist._errors import CapturedException, capture

__all__ = ["NOTHING_BEHIND", "Items", "Outcome", "run_item", "run_items"]

_HIDE = frozenset({__file__})
#: Values, why the item after them has failed, and how many seconds all of it took here.
Outcome = tuple[list[Any], CapturedException | None, float]


class Items:
    """What is to be done, and what of it has not begun.

    One thread takes items from the front, another may take some from the back: each item is had by one of them only.

    Args:
        items: the arguments.
        star: they are argument tuples.
    """

    __slots__ = ("_kept", "_todo", "since", "star", "take")

    def __init__(self, items: Sequence[Any], star: bool) -> None:
        self.star = star
        #: When the one that is worked on has begun, if each is answered by itself.
        self.since = monotonic()
        self._kept = len(items)
        self._todo = deque(items)
        #: Return the next item; IndexError: there is none.
        self.take = self._todo.popleft

    def __len__(self) -> int:
        """How many have not begun."""
        return len(self._todo)

    def cut(self, lasted: float, longest: float) -> int | None:
        """Take away what will not have begun in ``longest`` seconds from now, as it goes.

        Args:
            lasted: seconds since the first began.
            longest: seconds.

        Returns:
            how many are left to this worker, those done included; None: all, nothing was taken away.
        """
        return self._cut(int((self._kept - len(self._todo) - 1) * longest / lasted))

    def cut_all(self) -> int | None:
        """Take away all that have not begun; see `cut`."""
        return self._cut(0)

    def _cut(self, more: int) -> int | None:
        taken, most = 0, len(self._todo) - more
        try:
            while taken < most:
                self._todo.pop()
                taken += 1
        except IndexError:
            pass  # the worker was quicker
        self._kept -= taken
        return self._kept if taken else None


#: What a message with a single item holds beyond that one.
NOTHING_BEHIND = Items((), False)


def run_item(f: Any, item: Any, star: int) -> Outcome:
    """Call ``f`` with one item: the same as `run_items`, quicker."""
    begun = monotonic()
    try:
        return [f(*item) if star else f(item)], None, monotonic() - begun
    except Exception as error:
        return [], capture(error, _HIDE), monotonic() - begun


def run_items(f: Any, items: Items) -> Outcome:
    """Call ``f`` with each of the items; stop at the first that fails."""
    values: list[Any] = []
    append, take, star = values.append, items.take, items.star
    begun = monotonic()
    while True:
        try:
            item = take()
        except IndexError:
            return values, None, monotonic() - begun
        try:
            append(f(*item) if star else f(item))
        except Exception as error:
            return values, capture(error, _HIDE), monotonic() - begun
