"""What can go wrong, and whose side it was.

    DistributedError
    ├── RemoteException          your function raised over there; also an instance of the class that it raised
    ├── ProcessExitedException   that process is gone
    ├── LaunchWorkerError        a worker could not be started
    └── InvalidStateException    closed channel, Future set twice; also a concurrent.futures.InvalidStateError
    CompositeException           several of these at once; an ExceptionGroup

Time outs are ``TimeoutError``; bad arguments ``ValueError`` and ``TypeError``.
"""

from __future__ import annotations

import functools
import signal as _signal
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import InvalidStateError
from typing import Any, Self

from pydist._remote_frames import RemoteFrame, frame_text, frames_of

__all__ = [
    "ELEMENT",
    "CapturedException",
    "CompositeException",
    "DistributedError",
    "InvalidStateException",
    "LaunchWorkerError",
    "OpaqueException",
    "ProcessExitedException",
    "RemoteException",
    "capture",
    "remote_exception",
    "set_slots",
    "slots_of",
    "unwrap",
]


class DistributedError(Exception):
    """The root of what pydist itself raises."""


class LaunchWorkerError(DistributedError):
    """A worker could not be started; the text says where, with which command, and its last words."""


class InvalidStateException(DistributedError, InvalidStateError):
    """The channel is closed, or the Future is set already.

    Attributes:
        state: ``"closed"`` or ``"set"``.
    """

    def __init__(self, message: str, state: str = "closed") -> None:
        super().__init__(message)
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return (InvalidStateException, (self.args[0], self.state))


class ProcessExitedException(DistributedError):
    """A process is gone, and with it the call or the value. Julia: ``ProcessExitedException``.

    Attributes:
        pid: its id in the cluster.
        exitcode: its exit code, or None if a signal ended it or nothing is known.
        signal: the number of the signal that ended it, or None.
        host: where it ran.
        last_output: the last lines it wrote.
        running: how many calls of this process it was working on.
        removed: it ended because it was asked to, by `rmprocs` or `restart`.
    """

    def __init__(
        self,
        pid: int,
        exitcode: int | None = None,
        signal: int | None = None,
        host: str = "",
        last_output: str = "",
        running: int = 0,
        removed: bool = False,
    ) -> None:
        super().__init__(pid)
        self.pid = pid
        self.exitcode = exitcode
        self.signal = signal
        self.host = host
        self.last_output = last_output
        self.running = running
        self.removed = removed

    def __str__(self) -> str:
        where = f" on {self.host}" if self.host else ""
        if self.removed:
            return f"process {self.pid}{where} was removed"
        if self.signal is not None:
            how = f"was ended by {_signal_name(self.signal)}"
            if self.signal == _signal.SIGKILL:
                how += " (perhaps the system ran out of memory)"
        elif self.exitcode is not None:
            how = f"exited with code {self.exitcode}"
        else:
            how = "is gone"
        text = f"process {self.pid}{where} {how}"
        if self.last_output.strip():
            text += "; its last output was:\n" + "\n".join(
                f"    {line}" for line in self.last_output.rstrip().splitlines()
            )
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            ProcessExitedException,
            (self.pid, self.exitcode, self.signal, self.host, self.last_output, self.running, self.removed),
        )


def _signal_name(number: int) -> str:
    try:
        return _signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class CompositeException(ExceptionGroup[Exception]):
    """Several failures of one statement. Julia: ``CompositeException``.

    Attributes:
        exceptions: all of them.
        pids: for addprocs, the workers that came up and stay.
    """

    pids: list[int]

    def __new__(cls, message: str, exceptions: Sequence[Exception], pids: Sequence[int] = ()) -> Self:
        """Make the group; ``pids`` are the workers that came up in spite of it."""
        self = super().__new__(cls, message, list(exceptions))
        self.pids = list(pids)
        return self

    def __init__(self, message: str, exceptions: Sequence[Exception], pids: Sequence[int] = ()) -> None:
        super().__init__(message, list(exceptions))

    def derive(self, excs: Sequence[Exception]) -> CompositeException:  # type: ignore[override]
        """Return a group of the same kind, as ``split`` and ``except*`` need it."""
        return CompositeException(self.message, excs, self.pids)

    def __reduce__(self) -> tuple[Any, ...]:
        return (CompositeException, (self.message, list(self.exceptions), self.pids))


class OpaqueException(Exception):
    """Stands for an exception that could not travel: its class is not known here, or could not be pickled.

    Attributes:
        type_name: the qualified name of its class.
        text: its ``str``.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(type_name, text)
        self.type_name = type_name
        self.text = text

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}"


class CapturedException:
    """An exception taken in the process where it happened (Julia: ``CapturedException``).

    Attributes:
        ex: the exception.
        frames: the frames of its traceback, outermost first, without those of pydist's own machinery.
        prologue: what is printed in front of the frames: the causes, as text.
    """

    __slots__ = ("ex", "frames", "prologue")

    def __init__(self, ex: BaseException, frames: Sequence[RemoteFrame] = (), prologue: str = "") -> None:
        self.ex = ex
        self.frames = tuple(frames)
        self.prologue = prologue

    @property
    def traceback(self) -> str:
        """The remote traceback as text, in Python's own form."""
        lines = [self.prologue] if self.prologue else []
        if self.frames:
            lines.append("Traceback (most recent call last):\n")
            lines += [frame_text(frame) for frame in self.frames]
        last = traceback.TracebackException(type(self.ex), self.ex, None, compact=True)
        if isinstance(last.__notes__, list):  # ours tells of these same frames
            last.__notes__ = [note for note in last.__notes__ if not _tells_where(note)]
        return "".join([*lines, *last.format_exception_only()])

    def __getstate__(self) -> Any:
        return (self.ex, self.frames, self.prologue)

    def __setstate__(self, state: Any) -> None:
        self.ex, self.frames, self.prologue = state


#: So begins the note on an exception that says where it happened in another process.
_WHERE = "Traceback on worker "


def _tells_where(note: object) -> bool:
    return isinstance(note, str) and note.startswith(_WHERE)


def capture(ex: BaseException, hide: frozenset[str] = frozenset()) -> CapturedException:
    """Take an exception with its traceback; frames of the code files in ``hide`` are left out.

    Julia: ``CapturedException``.
    """
    return CapturedException(ex, frames_of(ex.__traceback__, hide, names=True), _causes(ex, hide))


#: More causes than these are not told: a loop of retries may have piled up thousands.
_MOST_CAUSES = 50


def _causes(ex: BaseException, hide: frozenset[str]) -> str:
    """Return what Python would print in front of the exception: its causes, the first one first."""
    parts: list[str] = []
    seen = {id(ex)}
    while len(parts) < _MOST_CAUSES and not isinstance(ex, RemoteException):
        direct = ex.__cause__
        cause = direct or (None if ex.__suppress_context__ else ex.__context__)
        if cause is None or id(cause) in seen:  # users can make rings of them
            break
        seen.add(id(cause))
        bridge = "The above exception was the direct cause of" if direct else "During handling of"
        tail = " the following exception:" if direct else " the above exception, another exception occurred:"
        text = CapturedException(cause, frames_of(cause.__traceback__, hide)).traceback
        parts.append(f"{text}\n{bridge}{tail}\n\n")
        ex = cause
    return "".join(reversed(parts))


#: Under this name an exception says, on its way out of a loop, at which element it came (see _loop_handle.py).
ELEMENT = "_pydist_element"
_TOLD = ("index", ELEMENT)
#: What an exception made of another does not take over from that.
_OWN = ("__notes__", "pid", "captured", ELEMENT)


class RemoteException(DistributedError):
    """Your function raised in another process (or in a call to this one). Julia: ``RemoteException``.

    What is raised is an instance of this class **and** of the exception's own class, so that both
    ``except RemoteException`` and ``except ZeroDivisionError`` catch it.

    Attributes:
        pid: the process in which it was raised.
        captured: the exception and its traceback there: ``.captured.ex``, ``.captured.traceback``.
    """

    pid: int
    captured: CapturedException

    def __init__(self, pid: int, captured: CapturedException) -> None:
        super().__init__(pid, captured)
        _fill(self, pid, captured)

    def __str__(self) -> str:
        try:
            text = words_of(self.captured.ex, self.pid)
        except Exception:
            text = ""  # the user's own class cannot say it
        text = text or type(self.captured.ex).__name__
        return f"On worker {self.pid}: {text}" if self.pid != 1 else text

    def __reduce__(self) -> tuple[Any, ...]:
        # At which element of a loop it came is told further; what else hangs on it may be large, or bound to here.
        return (remote_exception, (self.pid, self.captured), {k: v for k, v in vars(self).items() if k in _TOLD})


def words_of(ex: BaseException, pid: int) -> str:
    """Return what an exception of a process says of itself.

    >>> words_of(SystemExit(3), 2)
    'sys.exit(3) ended the call, not the worker; rmprocs(2) would'
    """
    if not isinstance(ex, SystemExit) or pid == 1:
        return str(ex)
    code = "" if ex.code is None else repr(ex.code)
    return f"sys.exit({code}) ended the call, not the worker; rmprocs({pid}) would"


def _fill(self: RemoteException, pid: int, captured: CapturedException) -> None:
    self.pid = pid
    self.captured = captured
    self.__cause__ = captured.ex
    ex = captured.ex
    notes = getattr(ex, "__notes__", [])
    if isinstance(ex, RemoteException) or not isinstance(notes, list) or any(map(_tells_where, notes)):
        return
    if captured.frames or captured.prologue:
        # Python prints the cause first; the note under it is where it happened over there. Its own causes, which do not
        # travel, stand there in Python's form, and then the exception once more: it is what they are the causes of.
        frames = "".join(frame_text(frame) for frame in captured.frames)
        text = captured.traceback if captured.prologue else frames
        ex.add_note(f"{_WHERE}{pid}:\n{text.rstrip()}")


def unwrap(ex: BaseException) -> BaseException:
    """Return what was raised in the first place, however many processes it has come through."""
    while isinstance(ex, RemoteException):
        ex = ex.captured.ex
    return ex


def remote_exception(pid: int, captured: CapturedException) -> RemoteException:
    """Return the exception to raise for what was captured on ``pid``."""
    original = unwrap(captured.ex)
    cls = _remote_class(type(original))  # type: ignore[arg-type]
    if cls is RemoteException:
        return RemoteException(pid, captured)
    try:
        self = _shape_like(cls, original)
    except Exception:
        # A class that refuses to be made a second time: still a RemoteException, with everything in .captured.
        return RemoteException(pid, captured)
    _fill(self, pid, captured)
    return self


@functools.cache
def _remote_class(kind: type[BaseException]) -> type[RemoteException]:
    if kind is OpaqueException:
        return RemoteException
    body = {"__module__": "pydist", "__init__": _no_init, "__str__": RemoteException.__str__}
    try:
        # A notebook tells an error by the name: the one that the user knows. Tracebacks have the qualified one.
        return type(kind.__name__, (RemoteException, kind), {**body, "__qualname__": f"Remote{kind.__name__}"})
    except TypeError:
        # Bases that cannot stand side by side (a final class, a metaclass of its own).
        return RemoteException


def slots_of(ex: BaseException) -> dict[str, Any]:
    """Return what an exception keeps in ``__slots__``, as numpy's AxisError does, and not in ``__dict__``."""
    values: dict[str, Any] = {}
    for cls in type(ex).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(ex, name) and not name.startswith("__"):
                values[name] = getattr(ex, name)
    return values


def set_slots(ex: BaseException, values: Mapping[str, Any]) -> None:
    """Give an exception what `slots_of` has returned of its like."""
    for name, value in values.items():
        setattr(ex, name, value)


def _no_init(self: RemoteException, *args: Any, **kwargs: Any) -> None:
    """Say nothing: `_shape_like` has filled the object in already."""


def _shape_like(cls: type[RemoteException], original: BaseException) -> RemoteException:
    """Return a ``cls`` that carries what ``original`` carries, without running any ``__init__`` of the user's."""
    builtin = next(base for base in type(original).__mro__ if base.__module__ == "builtins")
    if issubclass(builtin, BaseExceptionGroup):
        assert isinstance(original, BaseExceptionGroup)
        self = cls.__new__(cls, original.message, original.exceptions)
    else:
        # Not by __new__, which MemoryError's refuses to make a class of two bases by; `_no_init` runs nothing.
        self = cls(*original.args)
        builtin.__init__(self, *original.args)
    self.args = original.args
    self.__dict__.update({k: v for k, v in original.__dict__.items() if k not in _OWN})
    set_slots(self, slots_of(original))
    for name in ("code", "value", "name", "obj", "errno", "strerror", "filename", "filename2", "path"):
        # Fields that C code keeps beside __dict__; they need not come from args.
        if hasattr(original, name) and hasattr(self, name):
            try:
                setattr(self, name, getattr(original, name))
            except (AttributeError, TypeError):
                continue
    return self
