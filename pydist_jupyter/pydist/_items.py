"""What goes into a map and what comes out of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["Inputs", "Results"]

_AT_HAND = (list, tuple, range)


class Inputs:
    """What is mapped over.

    Args:
        iterables: the function's arguments, one iterable each.
    """

    def __init__(self, iterables: Sequence[Any]) -> None:
        #: The inputs are tuples of arguments; else there is one argument.
        self.star = len(iterables) > 1
        self.iterator: Iterator[Any] = zip(*iterables, strict=False) if self.star else iter(iterables[0])
        self.total = min((len(it) for it in iterables if hasattr(it, "__len__")), default=None)
        #: Taking many at once costs nothing and does nothing: they are all there.
        self.at_hand = all(type(it) in _AT_HAND for it in iterables)
        #: If there is one sequence: that, to be taken by slices. A slice of a range is a range, and travels as one.
        self._sequence: Any = iterables[0] if self.at_hand and not self.star else None
        self._taken = 0

    def take(self, n: int) -> Sequence[Any]:
        """Return the next ``n`` inputs, fewer if there are no more."""
        if self._sequence is None:
            return list(itertools.islice(self.iterator, n))
        items = self._slice(n)
        self._taken += len(items)
        return items

    def peek(self, n: int) -> Sequence[Any]:
        """Return what `take` will return."""
        if self._sequence is not None:
            return self._slice(n)
        items = list(itertools.islice(self.iterator, n))
        self.iterator = itertools.chain(items, self.iterator)
        return items

    def _slice(self, n: int) -> Sequence[Any]:
        items: Sequence[Any] = self._sequence[self._taken : self._taken + n]
        return list(items) if type(items) is tuple else items

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the inputs as tuples of arguments."""
        return self.iterator if self.star else zip(self.iterator)


class Results:
    """What has been computed.

    Args:
        keep: keep it for a list of all; else it is given away as it comes.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._list: list[Any] = []
        #: What of the list there is: ranges or tuples of numbers.
        self._there: list[Sequence[int]] = []
        self._pairs: list[tuple[int, Any]] = []

    def put(self, indices: Sequence[int], values: list[Any]) -> None:
        """Put some in."""
        if not self._keep:
            self._pairs += zip(indices, values, strict=True)
        elif values:
            self._there.append(indices)
            last = indices[-1] if type(indices) is range else max(indices)
            self._list += [None] * (last + 1 - len(self._list))
            if type(indices) is range:
                self._list[indices.start : indices.stop] = values
            else:
                for index, value in zip(indices, values, strict=True):
                    self._list[index] = value

    def put_one(self, index: int, value: Any) -> None:
        """Put a single one in."""
        if not self._keep:
            self._pairs.append((index, value))
            return
        self._there.append((index,))
        missing = index + 1 - len(self._list)
        if missing == 1:
            self._list.append(value)
        else:
            if missing > 0:
                self._list += [None] * missing
            self._list[index] = value

    def in_order(self) -> list[Any]:
        """Return the list, when nothing is missing."""
        return self._list

    def by_index(self) -> dict[int, Any]:
        """Return what is there and has not been given away."""
        return {**{i: self._list[i] for indices in self._there for i in indices}, **dict(self._pairs)}

    def pop(self) -> list[tuple[int, Any]]:
        """Give away what there is, as ``(index, result)``, in the order in which it came."""
        pairs, self._pairs = self._pairs, []
        return pairs
