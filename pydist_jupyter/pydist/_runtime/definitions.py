"""Code and classes by digest: each is made once here, and sent once to each peer.

A function of the notebook travels as "code number so-and-so, with these captured values"; a class as "class number
so-and-so". What the numbers mean is sent in DEFINE frames ahead of the message that needs it.
"""

from __future__ import annotations

import functools
import marshal
import pickle
import struct
import sys
import threading
import weakref
from _blake2 import blake2b  # hashlib's own, without the time that importing OpenSSL takes
from collections.abc import Callable, Iterable, Sequence
from types import CodeType
from typing import Any

from pydist._runtime.current import current_node
from pydist._runtime.sources import bring_up_to_date, is_changed, version
from pydist._runtime.survey import INCIDENTAL, is_same

__all__ = ["DIGEST_SIZE", "Definitions", "load_class", "load_code"]

DIGEST_SIZE = 16
_COUNT = struct.Struct("<H")


def digest_of(data: bytes, buffers: Iterable[memoryview] = ()) -> bytes:
    """Return the short fingerprint of some bytes and of the buffers that go with them."""
    digest = blake2b(data, digest_size=DIGEST_SIZE)
    for buffer in buffers:
        from hashlib import sha256  # twice as fast where the processor has it built in, but slow to import

        digest.update(sha256(buffer).digest())
    return digest.digest()


class Definitions:
    """The definitions that one process knows."""

    def __init__(self) -> None:
        #: digest -> (blob, digests that it needs)
        self.blobs: dict[bytes, tuple[bytes, tuple[bytes, ...]]] = {}
        self._objects: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()
        # Code objects compare by content, which is slow: they are found by identity, and kept so that it stays theirs.
        self._codes: dict[int, tuple[CodeType, bytes]] = {}
        self._classes: weakref.WeakKeyDictionary[type, _Known] = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()

    def code(self, code: CodeType) -> bytes:
        """Return the digest of a code object, whose blob is then in `blobs`."""
        known = self._codes.get(id(code))
        if known is not None:
            return known[1]
        blob = marshal.dumps(code)
        digest = digest_of(blob)
        self.blobs[digest] = (blob, ())
        self._codes[id(code)] = (code, digest)
        self._objects.setdefault(digest, code)
        return digest

    def is_own(self, cls: type) -> bool:
        """Say whether a class is this process's: it has not come in, nor has `everywhere` defined it."""
        known = self._classes.get(cls)
        return known is None or known.content is not None

    def class_(self, cls: type, parts: Sequence[Any] | None) -> bytes | None:
        """Return the digest of a class, or None if it is new or may have been changed since.

        Args:
            cls: the class.
            parts: what it consists of (survey.py); None: identity does not say.
        """
        known = self._classes.get(cls)
        if known is None:
            return None
        if known.content is None:
            return known.digest if known.parts == _state_of(cls) else None
        return known.digest if is_same(known.parts, parts) else None

    def add_class(
        self, cls: type, parts: Sequence[Any] | None, digest: bytes | None, blob: bytes, needs: tuple[bytes, ...]
    ) -> bytes:
        """Note the blob of a class; ``digest`` if it has one already. Return its digest."""
        content = digest_of(blob)
        with self._lock:
            known = self._classes.get(cls)
            if digest is not None:
                pass
            elif known is None:
                digest = content
            elif known.content == content:
                digest = known.digest
            else:
                # A peer changes the class that it has. If this is what it has been before, it is not so there any more.
                digest = digest_of(blob + known.digest)
            self.blobs[digest] = (blob, needs)
            self._objects[digest] = cls
            self._classes[cls] = _Known(digest, parts, content)
        return digest

    def adopt(self, cls: type, digest: bytes) -> None:
        """Let ``digest`` stand for ``cls``, which the same statement has defined on every process."""
        with self._lock:
            self._objects[digest] = cls
            self._classes[cls] = _Known(digest, _state_of(cls), None)

    def load(self, digest: bytes, make: Callable[[bytes], Any]) -> Any:
        """Return the object of a digest, made from its blob the first time."""
        found = self._objects.get(digest)
        if found is not None:
            return found
        with self._lock:
            found = self._objects.get(digest)
            if found is None:
                if digest not in self.blobs:
                    raise pickle.UnpicklingError("a definition that this process has never received was asked for")
                found = make(self.blobs[digest][0])
                self._objects[digest] = found
                if isinstance(found, CodeType):
                    self._codes[id(found)] = (found, digest)
                else:
                    self._classes[found] = _Known(digest, _state_of(found), None)
            return found

    # ---- the wire

    def pack(self, digest: bytes) -> bytes:
        """Return the body of a DEFINE frame."""
        blob, needs = self.blobs[digest]
        return b"".join((digest, _COUNT.pack(len(needs)), *needs, blob))

    def unpack(self, body: bytes) -> bytes:
        """Take the body of a DEFINE frame in; return its digest."""
        digest = bytes(body[:DIGEST_SIZE])
        (count,) = _COUNT.unpack_from(body, DIGEST_SIZE)
        start = DIGEST_SIZE + _COUNT.size
        needs = tuple(bytes(body[start + i * DIGEST_SIZE : start + (i + 1) * DIGEST_SIZE]) for i in range(count))
        self.blobs.setdefault(digest, (bytes(body[start + count * DIGEST_SIZE :]), needs))
        return digest


class _Known:
    """What is known of a class.

    Args:
        digest: its number.
        parts: what it consisted of.
        content: the digest of its blob; None if it is not this process's own.
    """

    __slots__ = ("content", "digest", "parts")

    def __init__(self, digest: bytes, parts: Sequence[Any] | None, content: bytes | None) -> None:
        self.digest = digest
        self.parts = parts
        self.content = content


def _state_of(cls: type) -> tuple[tuple[str, int], ...]:
    return tuple((name, id(value)) for name, value in vars(cls).items() if name not in INCIDENTAL)


def find_class(module: str, qualname: str) -> type | None:
    """Return the class of that name in an imported module, None if there is none."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


@functools.lru_cache(maxsize=1024)
def _file_digest(file: str, version: float | None) -> bytes:
    """Return the digest of a file; ``version`` is another one when it has been imported again."""
    try:
        with open(file, "rb") as source:
            return digest_of(source.read())
    except OSError:
        return b""


def name_digest(module: str, qualname: str) -> bytes | None:
    """Return the digest for a class of a module that both sides may have imported from equal files.

    None: it is not such a class, or the file is no longer what was imported.
    """
    cls = find_class(module, qualname)
    home = sys.modules.get(module)
    file = getattr(home, "__file__", None)
    if cls is None or home is None or file is None or module == "__main__" or is_changed(home):
        return None
    content = _file_digest(file, version(module))
    return digest_of(b"\0".join((content, module.encode(), qualname.encode()))) if content else None


def load_named_class(digest: bytes, module: str, qualname: str) -> type:
    """Return this process's own class of that name if it comes from an equal file, else the one that was sent."""
    if name_digest(module, qualname) == digest or (
        bring_up_to_date(module) and name_digest(module, qualname) == digest
    ):
        cls = find_class(module, qualname)
        assert cls is not None
        return cls
    return load_class(digest)


def load_code(digest: bytes) -> CodeType:
    """Return a code object by its digest; called by unpickling."""
    return current_node().definitions.load(digest, marshal.loads)  # type: ignore[no-any-return]


def load_class(digest: bytes) -> type:
    """Return a class by its digest; called by unpickling."""
    return current_node().definitions.load(digest, pickle.loads)  # type: ignore[no-any-return]
