"""One request, as it stands in the process that is to do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydist._protocol.frames import Frame
    from pydist._runtime.connection import Connection
    from pydist._runtime.mapped import Items
    from pydist._runtime.mappings import Mapping
    from pydist._runtime.output import TextBuffer
    from pydist._runtime.shield import Shield

__all__ = ["LATER", "Call", "Verb"]

#: What a verb returns that will answer later.
LATER = object()


class Call:
    """One request that came in (or was made to this very process: then there is no connection)."""

    __slots__ = (
        "abandon",
        "answered",
        "asked",
        "cancelled",
        "connection",
        "frame",
        "items",
        "loans",
        "local",
        "made",
        "origin",
        "rid",
        "shield",
        "struck_at",
        "task",
        "texts",
        "turn",
    )

    #: Function and arguments, noted when it has failed.
    made: Any

    def __init__(self, connection: Connection | None, frame: Frame | None, rid: int, origin: int) -> None:
        self.connection = connection
        self.frame = frame
        self.rid = rid
        self.origin = origin
        self.asked = 0 if frame is None else frame.flags
        #: Calls with equal turns run one after the other; see turns.py.
        self.turn = (0, 0) if frame is None or connection is None else (connection.pid, frame.aux)
        #: Of a map: what it goes through, once it has begun.
        self.items: Items | None = None
        self.answered = False
        #: Of its large arguments: those to look at when it has ended, see habits.py.
        self.loans: list[Mapping] | None = None
        self.cancelled = False
        #: When it was interrupted last (monotonic).
        self.struck_at = 0.0
        #: For a verb that answers later: takes back what it waits for; False if it is too late for that.
        self.abandon: Callable[[], bool] | None = None
        #: The shield of the lane that runs it now.
        self.shield: Shield | None = None
        #: Its coroutine's task.
        self.task: Any = None
        #: What it has written and not sent, on stdout and stderr.
        self.texts: list[TextBuffer | None] | None = None
        #: For a call to this process itself: the function, and where the outcome goes.
        self.local: Any = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if the call has been interrupted."""
        if self.cancelled:
            raise KeyboardInterrupt

    def is_withdrawn(self) -> bool:
        """Say whether the call has been interrupted and what it waits for could be taken back."""
        return self.cancelled and self.abandon is not None and self.abandon()


class Verb(NamedTuple):
    """Something that the runtime itself does when it is asked."""

    handler: Callable[[Call, Any], Any]
