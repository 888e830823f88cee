"""How a failure travels: as the exception itself if that can be pickled, and always by name, text and traceback."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydist._errors import CapturedException, OpaqueException, RemoteException, remote_exception
from pydist._protocol.frames import ERROR, Frame, pack
from pydist._runtime.pickling import Outgoing, rebuild_exception

if TYPE_CHECKING:
    from pydist._runtime.connection import Connection
    from pydist._runtime.node import Node

__all__ = ["decode_failure", "encode_failure", "qualified"]


def encode_failure(
    node: Node, connection: Connection, rid: int, origin: int, captured: CapturedException, flags: int
) -> bytes:
    """Return the frames of an ERROR reply. What cannot travel goes by name, text and traceback."""
    knowledge = connection.knowledge
    ex = captured.ex
    data, prelude = b"", b""
    with knowledge.lock:
        for shape in (lambda: ex, lambda: _Slim(ex, lambda part: _can_travel(node, connection, part))):
            job = Outgoing(node.definitions, knowledge)
            try:
                pickled, _ = job.encode(shape(), out_of_band=False)
                prelude = job.prelude(rid)
                node.send_ahead(job, connection)
                job.commit()
            except BaseException:
                prelude = b""
            else:
                data, flags = bytes(pickled), flags | job.flags
                break
    text = (qualified(type(ex)), _text_of(ex), captured.frames, captured.prologue, data)
    return prelude + pack(ERROR, rid, pickle.dumps(text, 5), 0, origin, flags)


class _Slim:
    """An exception without what cannot travel: such an attribute is left out, such an argument goes as its repr."""

    def __init__(self, ex: BaseException, can_travel: Callable[[Any], bool]) -> None:
        args = tuple(arg if can_travel(arg) else repr(arg) for arg in ex.args)
        attributes = {k: v for k, v in vars(ex).items() if k != "__notes__" and can_travel(v)}
        self._made = (type(ex), args, attributes)

    def __reduce__(self) -> Any:
        return rebuild_exception, self._made


def _can_travel(node: Node, connection: Connection, value: Any) -> bool:
    try:
        Outgoing(node.definitions, connection.knowledge).encode(value, out_of_band=False)
    except Exception:
        return False
    return True


def qualified(cls: type) -> str:
    """Return the name of a class as tracebacks have it."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _text_of(ex: BaseException) -> str:
    try:
        return str(ex)
    except Exception:
        return traceback.format_exception_only(type(ex), None)[0].strip()


def decode_failure(pid: int, frame: Frame) -> RemoteException:
    """Return the exception to raise for an ERROR reply of process ``pid``."""
    name, text, frames, prologue, data = pickle.loads(frame.body)
    try:
        if not data:
            raise pickle.UnpicklingError
        ex = pickle.loads(data)
        if not isinstance(ex, BaseException):
            raise pickle.UnpicklingError
    except Exception:
        ex = OpaqueException(name, text)
    found = remote_exception(pid, CapturedException(ex, frames, prologue))
    if isinstance(ex, ModuleNotFoundError) and ex.name:
        _tell_where_it_is(found, ex.name)
    return found


def _tell_where_it_is(error: RemoteException, module: str) -> None:
    """Say so if a module that a worker has not found can be imported here."""
    from importlib.util import find_spec

    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return
    if spec is not None:
        error.add_note(
            f"{module!r} can be imported here, from {spec.origin}, but not on worker {error.pid}: its sys.path is "
            "the one that this process had when the worker started; restart() gives it the present one"
        )
