"""Cutting work into pieces, and waiting between tries. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["ExponentialBackOff", "batchsplit", "head_and_tail", "splitrange"]

T = TypeVar("T")


def splitrange(first: int, last: int, parts: int) -> list[range]:
    """Cut ``first..last`` (both included) into at most ``parts`` contiguous ranges of nearly equal length.

    The first ranges are the longer ones; there are never empty ranges. Julia: ``Distributed.splitrange``.

    Args:
        first: the first number.
        last: the last number; smaller than ``first`` means there is nothing to cut.
        parts: how many ranges are wanted, at least 1.

    Raises:
        ValueError: if ``parts`` is not positive.

    Example:
        >>> splitrange(1, 7, 3)
        [range(1, 4), range(4, 6), range(6, 8)]
    """
    if parts < 1:
        raise ValueError(f"parts must be at least 1, not {parts}")
    each, extras = divmod(max(0, last - first + 1), parts)
    ranges: list[range] = []
    start = first
    for i in range(parts if each else extras):
        stop = start + each + (i < extras)
        ranges.append(range(start, stop))
        start = stop
    return ranges


def head_and_tail(iterable: Iterable[T], n: int) -> tuple[list[T], Iterator[T]]:
    """Return the first ``n`` items (fewer if there are not so many) and an iterator over the rest.

    Julia: ``Distributed.head_and_tail``.

    Example:
        >>> head, tail = head_and_tail("abcd", 1)
        >>> head, list(tail)
        (['a'], ['b', 'c', 'd'])
    """
    iterator = iter(iterable)
    return list(itertools.islice(iterator, n)), iterator


def batchsplit(iterable: Iterable[T], *, min_batch_count: int = 1, max_batch_size: int = 100) -> Iterator[list[T]]:
    """Cut an iterable into batches: at least ``min_batch_count`` if it is long enough, none above ``max_batch_size``.

    Julia: ``Distributed.batchsplit``.

    Raises:
        ValueError: if either number is below 1.

    Example:
        >>> list(batchsplit(range(5), min_batch_count=2))
        [[0, 1, 2], [3, 4]]
    """
    if min_batch_count < 1:
        raise ValueError(f"min_batch_count must be at least 1, not {min_batch_count}")
    if max_batch_size < 1:
        raise ValueError(f"max_batch_size must be at least 1, not {max_batch_size}")
    return _batches(iterable, min_batch_count, max_batch_size)


def _batches(iterable: Iterable[T], min_batch_count: int, max_batch_size: int) -> Iterator[list[T]]:
    # Whether the input is short is known once the items of the smallest number of full batches have been seen.
    head, tail = head_and_tail(iterable, min_batch_count * max_batch_size)
    size = min(max_batch_size, max(1, -(-len(head) // min_batch_count)))
    rest = itertools.chain(head, tail)
    while batch := list(itertools.islice(rest, size)):
        yield batch


class ExponentialBackOff:
    """``n`` waiting times in seconds, each ``factor`` times the one before. Julia: ``ExponentialBackOff``.

    Args:
        n: how many.
        first_delay: the first, in seconds.
        max_delay: none is longer.
        factor: by what each grows.
        jitter: each growth is multiplied by a random number in ``1 ± jitter``.

    Raises:
        ValueError: if a number makes no sense.

    Example:
        >>> list(ExponentialBackOff(3, first_delay=1, factor=2, jitter=0))
        [1.0, 2.0, 4.0]
    """

    def __init__(
        self, n: int = 1, first_delay: float = 0.05, max_delay: float = 10.0, factor: float = 5.0, jitter: float = 0.1
    ) -> None:
        if n < 0:
            raise ValueError(f"n must not be negative, it is {n}")
        if first_delay < 0 or max_delay < 0 or factor < 0:
            raise ValueError("first_delay, max_delay and factor must not be negative")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter must lie between 0 and 1, it is {jitter}")
        self.n, self.first_delay, self.max_delay, self.factor, self.jitter = n, first_delay, max_delay, factor, jitter

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[float]:
        delay = min(float(self.first_delay), float(self.max_delay))
        for _ in range(self.n):
            yield delay
            spread = 1 - self.jitter + 2 * self.jitter * random.random()
            delay = min(delay * self.factor * spread, float(self.max_delay))
