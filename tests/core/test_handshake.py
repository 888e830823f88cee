"""The handshake: both sides prove that they know the cookie, and a refusal says why."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from pydist._protocol import handshake
from pydist._protocol.handshake import HandshakeError
from pydist._runtime.handshaking import accept, initiate

OURS = (3, 11)


def test_a_message_is_json_behind_its_length() -> None:
    data = handshake.pack_message({"a": 1})
    assert handshake.size_of(data[:4]) == len(data) - 4
    assert json.loads(data[4:]) == {"a": 1}


@pytest.mark.parametrize("prefix", [b"GET ", b"SSH-", b"\xff\xff\xff\xff"])
def test_what_other_programs_would_say_is_refused(prefix: bytes) -> None:
    with pytest.raises(HandshakeError, match="does not speak pydist's protocol"):
        handshake.size_of(prefix)


def test_a_hello_gives_its_nonce() -> None:
    assert handshake.check_hello(handshake.hello("nonce", OURS, {}), OURS) == "nonce"


def test_another_python_is_refused_with_both_versions() -> None:
    with pytest.raises(HandshakeError, match=r"runs Python 3\.13, this process 3\.11: use the same minor version"):
        handshake.check_hello(handshake.hello("nonce", (3, 13), {}), OURS)


def test_another_protocol_is_refused_with_both_numbers() -> None:
    message = handshake.hello("nonce", OURS, {}) | {"pydist": 99}
    with pytest.raises(HandshakeError, match=rf"speaks protocol 99, this process {handshake.PROTOCOL}"):
        handshake.check_hello(message, OURS)


def test_what_is_no_hello_is_refused() -> None:
    with pytest.raises(HandshakeError, match="does not speak pydist's protocol"):
        handshake.check_hello({"nonce": "x"}, OURS)


def test_a_refusal_is_handed_on_with_its_reason() -> None:
    with pytest.raises(HandshakeError, match="because"):
        handshake.check_hello({"refused": "because"}, OURS)
    with pytest.raises(HandshakeError, match="because"):
        handshake.check_proof({"refused": "because"}, "cookie", "acceptor", "a", "b")


def test_who_knows_the_cookie_proves_it() -> None:
    said = {"proof": handshake.proof("cookie", "acceptor", "b", "a")}
    handshake.check_proof(said, "cookie", "acceptor", "a", "b")


@pytest.mark.parametrize(
    "said",
    [
        {"proof": handshake.proof("another", "acceptor", "b", "a")},
        {"proof": handshake.proof("cookie", "initiator", "b", "a")},  # our own proof, sent back to us
        {"proof": handshake.proof("cookie", "acceptor", "a", "b")},
        {"proof": ""},
        {"proof": None},
        {"proof": "ü"},
        {},
    ],
    ids=["cookie", "role", "order", "empty", "none", "no ascii", "missing"],
)
def test_any_other_proof_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(HandshakeError, match=r"Invalid connection credentials sent by remote\."):
        handshake.check_proof(said, "cookie", "acceptor", "a", "b")


def test_the_cookie_does_not_travel() -> None:
    assert "secret" not in handshake.proof("secret", "acceptor", "a", "b")


# Over a real socket pair; the other side in a thread of its own.


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def shake(ends: tuple[socket.socket, socket.socket], ours: str, theirs: str) -> tuple[Any, Any]:
    """Let two ends shake hands with these cookies; return what each got, or its exception."""
    left, right = ends
    outcome: Future[Any] = Future()

    def other() -> None:
        try:
            outcome.set_result(accept(right, theirs, {"i am": "acceptor"}, 10))
        except Exception as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=other)
    thread.start()
    result: Any
    try:
        result = initiate(left, ours, {"i am": "initiator"}, 10)
    except Exception as error:
        result = error
        left.close()  # as whoever asked for the handshake does
    thread.join(10)
    return result, outcome.exception(0) or outcome.result(0)


def test_two_that_know_the_cookie_learn_who_the_other_is(ends: tuple[socket.socket, socket.socket]) -> None:
    initiator, acceptor = shake(ends, "cookie", "cookie")
    assert initiator["i am"] == "acceptor"
    assert acceptor["i am"] == "initiator"
    assert "python" in initiator["versions"]


def test_a_wrong_cookie_is_refused_on_both_sides(ends: tuple[socket.socket, socket.socket]) -> None:
    initiator, acceptor = shake(ends, "cookie", "another")
    assert isinstance(initiator, HandshakeError)
    assert "credentials" in str(initiator)
    assert isinstance(acceptor, HandshakeError)


STRANGE = [
    b"[1, 2]",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[" * 60_000,
    b'{"pydist": 1}',
    b'{"pydist": 1, "python": 3, "nonce": "x"}',
    b'{"pydist": 1, "python": [], "nonce": "x"}',
    b'{"pydist": 1, "python": [3, 11], "nonce": 5}',
    b'{"pydist": 1, "python": {"3": 11, "4": 5}, "nonce": "x"}',
]


@pytest.mark.parametrize("said", STRANGE, ids=range(len(STRANGE)))
def test_a_stranger_is_refused_and_told_why(said: bytes, ends: tuple[socket.socket, socket.socket]) -> None:
    left, right = ends
    left.sendall(len(said).to_bytes(4, "little") + said)
    with pytest.raises(HandshakeError, match="does not speak pydist's protocol"):
        accept(right, "cookie", {}, 10)
    left.settimeout(10)
    assert b"does not speak" in left.recv(1000)


def test_a_browser_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    left, right = ends
    left.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(HandshakeError, match="does not speak pydist's protocol"):
        accept(right, "cookie", {}, 10)


def test_the_end_of_the_stream_is_said_in_words(ends: tuple[socket.socket, socket.socket]) -> None:
    left, right = ends
    left.close()
    with pytest.raises(HandshakeError, match="the other end closed the connection during the handshake"):
        accept(right, "cookie", {}, 10)


def test_a_silent_end_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        accept(ends[1], "cookie", {}, 0.05)
