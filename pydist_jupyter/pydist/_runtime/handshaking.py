"""The handshake of _protocol/handshake.py over a real socket."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from pydist._protocol import handshake
from pydist._protocol.handshake import HandshakeError

__all__ = ["accept", "initiate"]


def _python() -> tuple[int, int]:
    return sys.version_info[0], sys.version_info[1]


def _versions() -> dict[str, str]:
    return {"python": ".".join(map(str, sys.version_info[:3])), "implementation": sys.implementation.name}


class _Line:
    """Whole handshake messages on a blocking socket, until a deadline."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._sock = sock
        self._deadline = monotonic() + timeout

    def send(self, message: dict[str, Any]) -> None:
        self._sock.settimeout(max(0.001, self._deadline - monotonic()))
        self._sock.sendall(handshake.pack_message(message))

    def receive(self) -> dict[str, Any]:
        size = handshake.size_of(self._exactly(4))
        try:
            message = handshake.unpack_message(self._exactly(size))
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise HandshakeError("the other end does not speak pydist's protocol")
        return message

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            more = self._sock.recv(n - len(data))
            if not more:
                raise HandshakeError("the other end closed the connection during the handshake")
            data += more
        return data


def initiate(sock: socket.socket, cookie: str, details: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Prove ourselves to the process at the other end, have it prove itself; return what it says of itself.

    Raises:
        HandshakeError: it is not one of us; the text says why.
        TimeoutError: it does not answer.
    """
    line = _Line(sock, timeout)
    ours = os.urandom(16).hex()
    line.send(handshake.hello(ours, _python(), _versions()))
    answer = line.receive()
    theirs = handshake.check_hello(answer, _python())
    handshake.check_proof(answer, cookie, "acceptor", ours, theirs)
    line.send({"proof": handshake.proof(cookie, "initiator", ours, theirs), "details": details})
    welcome = line.receive()
    if "refused" in welcome:
        raise HandshakeError(str(welcome["refused"]))
    sock.settimeout(None)
    return {**welcome["details"], "versions": answer["versions"]}


def accept(
    sock: socket.socket,
    cookie: str,
    details: dict[str, Any],
    timeout: float,
    answer_to: Callable[[dict[str, Any]], dict[str, Any]] = lambda said: {},
) -> dict[str, Any]:
    """The other side of `initiate`; ``answer_to`` returns more details, which depend on those of the other end.

    Raises:
        HandshakeError: the other end was refused, and told why.
        TimeoutError: it does not speak.
    """
    line = _Line(sock, timeout)
    try:
        opening = line.receive()
        theirs = handshake.check_hello(opening, _python())
        ours = os.urandom(16).hex()
        line.send(
            {
                **handshake.hello(ours, _python(), _versions()),
                "proof": handshake.proof(cookie, "acceptor", ours, theirs),
            }
        )
        answer = line.receive()
        handshake.check_proof(answer, cookie, "initiator", ours, theirs)
    except HandshakeError as error:
        with contextlib.suppress(OSError):  # it may be gone already
            line.send({"refused": str(error)})
        raise
    line.send({"details": {**details, **answer_to(answer["details"])}})
    sock.settimeout(None)
    return {**answer["details"], "versions": opening["versions"]}
