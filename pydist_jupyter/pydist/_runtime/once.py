"""What several peers get alike is pickled once, and its large buffers are copied once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydist._runtime.definitions import digest_of
from pydist._runtime.segments import LEND_FROM, Frozen, Pool, Segment, raw
from pydist._runtime.shield import shield_of_this_thread

if TYPE_CHECKING:
    from pydist._runtime.pickling import Outgoing

__all__ = ["Buffer", "Once"]

Buffer = memoryview | Frozen


class _Pickled(NamedTuple):
    """An object as it goes to everybody, and what it needs there."""

    obj: Any
    data: bytes | memoryview
    buffers: list[Buffer]
    functions: list[FunctionType]
    needed: list[bytes]


class Once:
    """The objects of one message to many, as they were when the first was written; to be closed.

    Args:
        pool: where large buffers are copied to.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: dict[Hashable, _Pickled] = {}
        self._digests: dict[Hashable, bytes] = {}
        self._segments: list[Segment] = []

    def encode(self, job: Outgoing, key: Hashable, obj: Any) -> tuple[bytes | memoryview, list[Buffer]]:
        """Do what ``job.encode(obj)`` does.

        Args:
            job: the message to one of the peers.
            key: which of the objects that all get this is; it may be another object each time, made of the same parts.
            obj: the object.
        """
        known = self._known.get(key)
        if known is not None and job.has_blobs(known.needed):
            job.functions += known.functions
            job.needed += known.needed
            return known.data, known.buffers
        functions, needed, refs = len(job.functions), len(job.needed), len(job.refs)
        data, buffers = job.encode(obj)
        if len(job.refs) > refs:
            return data, [*buffers]  # each holder of a reference gets one of its own
        frozen = self._freeze(buffers)
        if frozen is None:
            return data, [*buffers]
        self._known[key] = _Pickled(obj, data, frozen, job.functions[functions:], job.needed[needed:])
        return data, frozen

    def digest(self, key: Hashable, data: bytes | memoryview, buffers: Sequence[Buffer]) -> bytes:
        """Return the fingerprint of what `encode` has returned."""
        digest = self._digests.get(key)
        if digest is None:
            digest = digest_of(bytes(data), map(raw, buffers))
            if key in self._known:
                self._digests[key] = digest
        return digest

    def _freeze(self, buffers: list[memoryview]) -> list[Buffer] | None:
        """Return the buffers as nobody can change them any more; None if there is no room for that."""
        frozen: list[Buffer] = []
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            for buffer in buffers:
                if buffer.nbytes < LEND_FROM:
                    frozen.append(memoryview(bytes(buffer)))
                    continue
                copied = self._pool.copy(buffer, sure=True)
                if copied is None:
                    return None
                self._segments.append(copied.segment)
                frozen.append(copied)
        finally:
            shield.lower()
        return frozen

    def close(self) -> None:
        """All have it: forget it here."""
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            self._known.clear()
            self._digests.clear()
            while self._segments:
                self._pool.let_go(self._segments.pop())
        finally:
            shield.lower()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
