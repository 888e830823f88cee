"""What a map has sent to each worker and has no answer to yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydist._runtime.asking import Prepared
from pydist._runtime.slots import Slot

if TYPE_CHECKING:
    from pydist._protocol.frames import Frame

__all__ = ["Message", "Place"]


class Place:
    """A worker, as a map sees it."""

    __slots__ = ("flying", "gone", "lasting", "lost", "pid", "prepared")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.prepared: Prepared | None = None
        #: What is there, in the order in which it is worked on.
        self.flying: list[Message] = []
        #: Nothing can be sent to it.
        self.gone = False
        #: The message that lasts there, so that what stood behind it was given back.
        self.lasting: Message | None = None
        #: It has ended with work, and the first message has been blamed.
        self.lost = False

    def load(self) -> int:
        """Return how many answers are to come from there."""
        return sum([message.left for message in self.flying])


class Message(Slot):
    """Inputs that travel together to one worker, and the place for the answer.

    Args:
        rid: the number of the request.
        origin: the cell that all this happens for.
        place: where they go; the function is there.
        indices: their places in the order.
        items: the inputs.
        each: each of them is answered by itself.
        landed: called when there is news of it, by the thread that reads.
    """

    __slots__ = ("indices", "items", "kept", "landed", "left", "parts", "place", "position", "sent")

    def __init__(
        self,
        rid: int,
        origin: int,
        place: Place,
        indices: Sequence[int],
        items: Sequence[Any],
        each: bool,
        landed: Callable[[Message], None],
    ) -> None:
        assert place.prepared is not None
        Slot.__init__(self, rid, place.prepared.connection, origin)
        self.place = place
        self.indices = indices
        self.items = items
        #: How many of them are done there.
        self.kept = len(items)
        #: If each item is answered by itself: all of these answers but the last.
        self.parts: deque[Frame] | None = deque() if each else None
        #: How many answers are to come.
        self.left = len(items) if each else 1
        self.landed = landed
        #: When it was sent, as the how-manieth of those that were there.
        self.sent = 0.0
        self.position = 1

    def done_before(self) -> int:
        """Return how many of its items have been answered, one by one."""
        return len(self.items) - self.left if self.parts is not None else 0

    def settle(self, frame: Frame | None, failure: BaseException | None = None) -> bool:
        """The answer has come."""
        first = Slot.settle(self, frame, failure)
        if first:
            self.landed(self)
        return first

    def part(self, frame: Frame) -> None:
        """One of the answers has come, and not the last."""
        assert self.parts is not None
        self.parts.append(frame)
        self.landed(self)

    def cut(self, kept: int) -> None:
        """Only the first ``kept`` are done there."""
        self.kept = kept
        self.landed(self)
