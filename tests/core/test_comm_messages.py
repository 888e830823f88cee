"""Messages of comms: which of them are one, in which order they leave, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from pydist import _comm_messages
from pydist._comm_messages import CLOSE, MESSAGE, MOST, OPEN, Outbox, Update, merged

HEADER = {"msg_id": "1"}


def update(comm_id: str = "a", paths: Any = (), buffers: Any = (), request: Any = None, **state: Any) -> Update:
    data = {"method": "update", "state": state, "buffer_paths": list(paths)}
    return Update(MESSAGE, comm_id, data, {}, list(buffers), request)


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_comm_messages, "monotonic", clock)
    return clock


class Sent:
    """An outbox, what it has sent, and how often it has asked to be flushed."""

    def __init__(self) -> None:
        self.messages: list[Update] = []
        self.asked = 0
        self.box = Outbox(self.messages.append, self._later, period=1.0)

    def _later(self) -> None:
        self.asked += 1

    @property
    def states(self) -> list[Any]:
        return [message.data.get("state") for message in self.messages]


def test_of_two_updates_the_later_value_of_each_trait_counts() -> None:
    both = merged(update(value=1, min=0), update(value=2, max=9))
    assert both is not None
    assert both.data["state"] == {"value": 2, "min": 0, "max": 9}


def test_buffers_stay_with_the_trait_they_belong_to() -> None:
    both = merged(
        update(paths=[["image"], ["x", 0]], buffers=[b"old", b"x"], value=1),
        update(paths=[["image"]], buffers=[b"new"]),
    )
    assert both is not None
    assert dict(zip(map(str, both.data["buffer_paths"]), both.buffers, strict=True)) == {
        "['x', 0]": b"x",
        "['image']": b"new",
    }
    assert both.data["state"] == {"value": 1}


def test_a_plain_value_takes_the_place_of_a_buffer_and_the_other_way_round() -> None:
    plain = merged(update(paths=[["image"]], buffers=[b"old"]), update(image=None))
    assert plain is not None
    assert (plain.data["state"], plain.data["buffer_paths"], plain.buffers) == ({"image": None}, [], [])
    binary = merged(update(image=None), update(paths=[["image"]], buffers=[b"new"]))
    assert binary is not None
    assert (binary.data["state"], binary.data["buffer_paths"], binary.buffers) == ({}, [["image"]], [b"new"])


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (update("a", value=1), update("b", value=2)),
        (update(value=1), Update(MESSAGE, "a", {"method": "custom", "content": {}}, {}, [])),
        (update(value=1), Update(CLOSE, "a", {}, {}, [])),
        (Update(OPEN, "a", {"method": "update", "state": {}}, {}, []), update(value=1)),
        (update(value=1), update(value=2)._replace(metadata={"of": "somebody"})),
    ],
)
def test_what_is_more_than_an_update_of_one_comm_stays_a_message_of_its_own(earlier: Update, later: Update) -> None:
    assert merged(earlier, later) is None


def test_the_first_update_leaves_at_once_and_the_last_of_many_a_period_later(clock: Clock) -> None:
    sent = Sent()
    for value in range(1000):
        sent.box.put(update(value=value))
    assert sent.states == [{"value": 0}]
    assert sent.asked
    sent.box.flush(everything=False)
    assert len(sent.messages) == 1
    clock.now += 1.0
    sent.box.flush(everything=False)
    assert sent.states == [{"value": 0}, {"value": 999}]


def test_nothing_overtakes_an_update(clock: Clock) -> None:
    sent = Sent()
    click = Update(MESSAGE, "b", {"method": "custom", "content": {}}, {}, [])
    for message in (update(value=0), update(value=1), click):
        sent.box.put(message)
    assert [(message.comm_id, message.data.get("state")) for message in sent.messages] == [
        ("a", {"value": 0}),
        ("a", {"value": 1}),
        ("b", None),
    ]


def test_answers_to_different_requests_are_not_merged(clock: Clock) -> None:
    sent = Sent()
    for value, request in enumerate((None, HEADER, HEADER, {"msg_id": "2"})):
        sent.box.put(update(value=value, request=request))
    sent.box.flush()
    assert [(message.data["state"]["value"], message.request) for message in sent.messages] == [
        (0, None),
        (2, HEADER),
        (3, {"msg_id": "2"}),
    ]


def test_many_comms_together_do_not_exceed_what_a_server_takes(clock: Clock) -> None:
    sent = Sent()
    for number in range(3 * MOST):
        sent.box.put(update(f"comm {number}", value=number))
    assert len(sent.messages) == MOST
    for round_ in (2, 3):
        clock.now += 1.0
        sent.box.flush(everything=False)
        assert len(sent.messages) == round_ * MOST
    assert {message.comm_id for message in sent.messages} == {f"comm {number}" for number in range(3 * MOST)}


def test_what_waits_for_a_comm_that_is_gone_is_dropped(clock: Clock) -> None:
    sent = Sent()
    sent.box.put(update(value=0))
    sent.box.put(update(value=1))
    sent.box.forget("a")
    sent.box.flush()
    assert sent.states == [{"value": 0}]
