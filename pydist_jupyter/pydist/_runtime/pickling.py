"""Objects to bytes and back.

Three steps, the cheapest that will do: plain builtin values by the C pickler alone; everything importable by the C
pickler with an eye on what it meets; what the notebook has defined (functions, classes) by cloudpickle's rules, with
code and classes by digest and globals apart (definitions.py, namespaces.py).
"""

from __future__ import annotations

import io
import pickle
import sys
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pydist._errors import set_slots, slots_of
from pydist._protocol.frames import DEFINE, FUNCTION, MAX_BUFFERS, NAMES, REFS, pack
from pydist._runtime.buffers import OUT_OF_BAND
from pydist._runtime.definitions import Definitions, digest_of
from pydist._runtime.knowledge import Knowledge
from pydist._runtime.namespaces import MISSING, STABLE, home_of, mentions, travels_by_value
from pydist._runtime.segments import raw
from pydist._runtime.sources import identity, name_if_changed
from pydist._runtime.wrappers import CACHE

if TYPE_CHECKING:
    from pydist._runtime.once import Buffer, Once

__all__ = [
    "Outgoing",
    "are_atoms",
    "are_plain",
    "current_job",
    "decode",
    "is_plain",
    "rebuild_exception",
]

_ATOMS = frozenset({type(None), bool, int, float, complex})
_TEXTS = frozenset({str, bytes})
_MAIN = ("__main__", None)
#: Lists up to this length are looked through for values that need no care, one by one.
_FEW = 64
_dumps = pickle.dumps
_loads = pickle.loads


class _Job(threading.local):
    """What is being pickled in this thread: references note themselves here."""

    active: Outgoing | None = None


_job = _Job()


def current_job() -> Outgoing | None:
    """Return the message that this thread is pickling for a peer, or None (a file, a queue of somebody else's)."""
    return _job.active


class _NeedsCloudpickle(Exception):
    """The quick pickler met something that must go by value."""


class _Quick(pickle.Pickler):
    """The C pickler, stopping at what the other side could not find by name."""

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType or kind is type or kind is CACHE:
            if travels_by_value(obj.__module__ or "__main__") or "<locals>" in obj.__qualname__:
                raise _NeedsCloudpickle
        elif isinstance(obj, type):
            if travels_by_value(obj.__module__) or "<locals>" in obj.__qualname__:
                raise _NeedsCloudpickle
        elif isinstance(obj, BaseException):
            return reduce_exception(obj)
        return NotImplemented


def reduce_exception(ex: BaseException) -> Any:
    """Pickle an exception without its ``__init__``, whose arguments nobody knows; rules of its own are kept."""
    cls = type(ex)
    if (
        cls.__module__ == "builtins"
        or cls.__reduce__ is not BaseException.__reduce__
        or cls.__reduce_ex__ is not object.__reduce_ex__
    ):
        return NotImplemented
    attributes = {k: v for k, v in ex.__dict__.items() if k != "__notes__"}
    return rebuild_exception, (cls, ex.args, attributes, slots_of(ex))


def rebuild_exception(
    cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any], slots: Mapping[str, Any] | None = None
) -> BaseException:
    """Make an exception without its ``__init__``. Called by unpickling."""
    ex = cls.__new__(cls, *args)
    ex.args = args
    ex.__dict__.update(attributes)
    set_slots(ex, slots or {})
    return ex


class Outgoing:
    """One message on its way to one peer: collects what must be sent ahead of it.

    Nothing is noted in `knowledge` before `commit`, which the sender calls once the bytes are out; it holds
    ``knowledge.lock`` from the first `encode` to there.

    Args:
        definitions: of this process.
        knowledge: of the peer.
        once: what several peers get alike, this one among them.
    """

    def __init__(self, definitions: Definitions, knowledge: Knowledge, once: Once | None = None) -> None:
        self.definitions = definitions
        self.knowledge = knowledge
        self._once = once
        #: Functions met; what they mention must be over there.
        self.functions: list[FunctionType] = []
        #: Digests used, in the order in which they are needed.
        self.needed: list[bytes] = []
        #: Classes that were looked at for this message: digest, whether it is that of the name, functions.
        self.classes: dict[type, tuple[bytes, bool, list[FunctionType]]] = {}
        #: Those that are being looked at.
        self.looked_at: set[type] = set()
        #: Those that are being pickled.
        self.pickling: set[type] = set()
        #: References met: (owner, RRID).
        self.refs: list[Any] = []
        #: Large globals, to be written before this message: definitions, the request that uses them, pickle, buffers.
        self.ahead: tuple[bytes, int, bytes, list[Buffer]] | None = None
        self._digests: list[bytes] = []
        self._sent: dict[tuple[str, str], tuple[Any, bytes]] = {}
        self._numbered: tuple[Any, CodeType | None, int] | None = None

    @property
    def flags(self) -> int:
        """What the frame must say about the body."""
        return REFS if self.refs else 0

    # ---- values

    def encode(self, obj: Any, out_of_band: bool = True) -> tuple[bytes | memoryview, list[memoryview]]:
        """Return the pickle of ``obj`` and its out-of-band buffers.

        Raises:
            Exception: whatever the pickling of the user's object raises; nothing has been sent then.
        """
        before, _job.active = _job.active, self
        refs = len(self.refs)
        buffers: list[memoryview] = []
        collect = _collector(buffers) if out_of_band else None
        try:
            file = io.BytesIO()
            if not self._quickly(obj, file, collect):
                # Not in an `except`: what it raises shall not be told after what the quick one has raised.
                del self.refs[refs:]
                buffers.clear()
                file = io.BytesIO()
                full_pickler()(file, self, collect).dump(obj)
            return file.getbuffer(), buffers
        finally:
            _job.active = before

    def encode_alike(self, key: Hashable, obj: Any) -> tuple[bytes | memoryview, list[Buffer]]:
        """Do the same for an object that others may get, too; ``key`` says which of them it is."""
        if self._once is not None:
            return self._once.encode(self, key, obj)
        data, buffers = self.encode(obj)
        return data, [*buffers]

    def _digest(self, key: Hashable, data: bytes | memoryview, buffers: Sequence[Buffer]) -> bytes:
        if self._once is not None:
            return self._once.digest(key, data, buffers)
        return digest_of(bytes(data), map(raw, buffers))

    @staticmethod
    def _quickly(obj: Any, file: io.BytesIO, collect: Any) -> bool:
        """Pickle by the C pickler; return whether that could be done."""
        try:
            _Quick(file, 5, buffer_callback=collect).dump(obj)
        except (_NeedsCloudpickle, pickle.PicklingError, AttributeError, TypeError):
            return False
        return True

    def need(self, digest: bytes) -> None:
        """A definition is used by this message."""
        self.needed.append(digest)

    def has_blobs(self, digests: list[bytes]) -> bool:
        """Say whether the peer has these definitions, or can be sent them."""
        return all(digest in self.definitions.blobs or digest in self.knowledge.digests for digest in digests)

    # ---- what goes ahead

    def prelude(self, rid: int) -> bytes:
        """Return the frames to be written in front: definitions, and the globals that the functions mention.

        What is large among those globals is in `ahead`, and must be written before anything else.
        """
        names = self._names(rid) if self.functions else b""
        return self._definitions() + names

    def _definitions(self) -> bytes:
        parts: list[bytes] = []
        blobs = self.definitions.blobs

        def add(digest: bytes) -> None:
            if digest not in self.knowledge.digests and digest not in self._digests:
                self._digests.append(digest)
                for need in blobs[digest][1]:
                    add(need)
                parts.append(pack(DEFINE, 0, self.definitions.pack(digest)))

        for digest in self.needed:
            add(digest)
        return b"".join(parts)

    def _names(self, rid: int) -> bytes:
        """Pickle the globals that are not over there as they are here; they may mention more."""
        knowledge = self.knowledge
        for function in self.functions:
            if function.__module__ not in _MAIN:
                name_if_changed(function.__module__)
        changed: dict[tuple[str, str], tuple[bytes, int]] = {}
        large: list[Buffer] = []
        done: set[tuple[str, str]] = set()
        while todo := [(mention, value) for mention, value in mentions(self.functions) if mention not in done]:
            for mention, value in todo:
                done.add(mention)
                known, kind = identity(value), type(value)
                if knowledge.has_own(mention, known):
                    continue
                last = knowledge.sent.get(mention)
                if last is not None and last[0] is known and kind in STABLE:
                    continue
                try:
                    key = mention, id(value)
                    data, buffers = self.encode_alike(key, value)
                except Exception as error:
                    raise pickle.PicklingError(
                        f"the global {mention[1]!r} that the function uses cannot be sent "
                        f"to process {knowledge.pid}: {error}"
                    ) from None
                digest = self._digest(key, data, buffers)
                if last is None or last[1] != digest or (kind is ModuleType and known is not value):
                    changed[mention] = bytes(data), len(buffers)
                    large += buffers
                    self._sent[mention] = (known if kind in STABLE else MISSING, digest)
        if not changed:
            return b""
        knowledge.state += 1  # before the first byte is out
        body = _dumps(changed, 5)
        if not large:
            return pack(NAMES, rid, body)
        if len(large) > MAX_BUFFERS:
            raise pickle.PicklingError(f"the globals that the function uses have more than {MAX_BUFFERS:,} arrays")
        self.ahead = (self._definitions(), rid, body, large)
        return b""

    # ---- functions by number

    def function_number(self, f: Any) -> tuple[int, bytes]:
        """Return the number of ``f`` at the peer, and the FUNCTION frame to send ahead if it is new there.

        0: it has no number (it carries values of its own) and must travel in the message.
        """
        kind = type(f)
        knowledge = self.knowledge
        if kind is FunctionType:
            number = knowledge.functions.get(f)
            if number is not None:
                return number, b""
            if travels_by_value(f.__module__ or "__main__") or "<" in f.__qualname__:
                if f.__closure__ or f.__defaults__ or f.__kwdefaults__ or f.__dict__:
                    return 0, b""
                self.functions.append(f)
                known = knowledge.by_code.get((id(f.__code__), home_of(f.__globals__)))
                return (known[1], b"") if known is not None else self._number(f, f.__code__)
            return self._number(f, None)
        if kind is BuiltinFunctionType and (f.__self__ is None or type(f.__self__) is type(sys)):
            number = knowledge.functions.get(f)
            return (number, b"") if number is not None else self._number(f, None)
        return 0, b""

    def _number(self, f: Any, code: CodeType | None) -> tuple[int, bytes]:
        data, _ = self.encode(f, out_of_band=False)
        number = next(self.knowledge.numbers)
        self._numbered = (f, code, number)
        return number, pack(FUNCTION, 0, bytes(data), aux=number)

    def commit(self) -> None:
        """The message is out: the peer has what it carried."""
        knowledge = self.knowledge
        knowledge.digests.update(self._digests)
        for mention, sent in self._sent.items():
            knowledge.drop_own(mention)
            knowledge.sent[mention] = sent
        if self._numbered is not None:
            f, code, number = self._numbered
            if code is None:
                knowledge.functions[f] = number
            else:
                knowledge.by_code[id(code), home_of(f.__globals__)] = (code, number)


def _collector(buffers: list[memoryview]) -> Any:
    def collect(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not contiguous: in band
        if raw.nbytes < OUT_OF_BAND or len(buffers) >= MAX_BUFFERS:
            return True
        buffers.append(raw)
        return False

    return collect


_full: list[Any] = []


def full_pickler() -> Any:
    """Return the pickler for what the notebook has defined; cloudpickle is imported when it is needed first."""
    if not _full:
        from pydist._runtime.byvalue import FullPickler

        _full.append(FullPickler)
    return _full[0]


def is_plain(value: Any, depth: int = 2) -> bool:
    """Say whether a value is small and made of builtin atoms only, so that pickling it costs nothing to speak of."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind in _TEXTS:
        return len(value) <= 2048
    if kind is tuple:
        return depth > 0 and len(value) <= 8 and all(is_plain(item, depth - 1) for item in value)
    return False


def are_atoms(values: Iterable[Any]) -> bool:
    """Say whether all values are numbers and the like."""
    return _ATOMS.issuperset(map(type, values))


def are_plain(values: Sequence[Any]) -> bool:
    """Say whether all values are plain, as far as that can be found quickly; see `is_plain`."""
    if type(values) is range:
        return True
    return _ATOMS.issuperset(map(type, values)) or (len(values) <= _FEW and all(map(is_plain, values)))


def decode(body: Any, buffers: Sequence[object] = ()) -> Any:
    """Return the object of a body."""
    return _loads(body, buffers=buffers) if buffers else _loads(body)
