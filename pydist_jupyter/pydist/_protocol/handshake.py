"""Who is at the other end: a proof both ways, before a byte of pickle is read.

    initiator                                       acceptor
    Hello(nonce a, versions)            ──────▶
                                        ◀──────     Hello(nonce b, versions, proof over a and b)
    Proof(over b and a, details)        ──────▶
                                        ◀──────     Welcome(details)   or   Refused(reason), at any step

A proof is an HMAC-SHA256 with the cluster's cookie as key over a role name and both nonces; the cookie itself never
travels. Protocol number and Python's major.minor must be equal (code travels as marshalled bytecode); other versions
are only told. Messages are JSON behind a 4-byte length, never larger than 64 KB.
"""

from __future__ import annotations

import struct
from typing import Any

__all__ = [
    "MAX_MESSAGE",
    "PROTOCOL",
    "HandshakeError",
    "check_hello",
    "check_proof",
    "hello",
    "pack_message",
    "proof",
    "size_of",
]

#: Raised by one with each change of the wire that an older peer would misread.
PROTOCOL = 1
MAX_MESSAGE = 64 * 1024
_LENGTH = struct.Struct("<I")


class HandshakeError(Exception):
    """The other end is not one of us, or not one we can talk to; the text is one sentence for people."""


def pack_message(message: dict[str, Any]) -> bytes:
    """Return a handshake message as bytes."""
    import json  # slow to import; needed by those alone that have company

    data = json.dumps(message).encode()
    return _LENGTH.pack(len(data)) + data


def unpack_message(data: bytes) -> Any:
    """Return the handshake message of some bytes."""
    import json

    return json.loads(data)


def size_of(prefix: bytes) -> int:
    """Return how many bytes follow the 4-byte prefix.

    Raises:
        HandshakeError: when no pydist process would send that.
    """
    (size,) = _LENGTH.unpack(prefix)
    if size > MAX_MESSAGE:
        raise HandshakeError("the other end does not speak pydist's protocol")
    return int(size)


def hello(nonce: str, python: tuple[int, int], versions: dict[str, str]) -> dict[str, Any]:
    """Return the opening message of either side."""
    return {"pydist": PROTOCOL, "python": list(python), "nonce": nonce, "versions": versions}


def check_hello(message: dict[str, Any], python: tuple[int, int]) -> str:
    """Return the nonce of the other side's hello.

    Raises:
        HandshakeError: when the two cannot work together; the sentence names both sides.
    """
    if "refused" in message:
        raise HandshakeError(str(message["refused"]))
    if "pydist" not in message:
        raise HandshakeError("the other end does not speak pydist's protocol")
    if message["pydist"] != PROTOCOL:
        raise HandshakeError(
            f"the other end speaks protocol {message['pydist']}, this process {PROTOCOL}: install one version of pydist"
        )
    theirs, nonce = message.get("python"), message.get("nonce")
    if not (isinstance(theirs, list) and len(theirs) == 2 and isinstance(nonce, str)):
        raise HandshakeError("the other end does not speak pydist's protocol")
    if tuple(theirs) != python:
        raise HandshakeError(
            f"the other end runs Python {theirs[0]}.{theirs[1]}, this process {python[0]}.{python[1]}: "
            "use the same minor version"
        )
    return nonce


def proof(cookie: str, role: str, ours: str, theirs: str) -> str:
    """Return the proof that ``role`` (``"initiator"`` or ``"acceptor"``) knows the cookie."""
    import hmac  # with OpenSSL behind it: a tenth of what `import pydist` may cost

    return hmac.new(cookie.encode(), f"{role}:{ours}:{theirs}".encode(), "sha256").hexdigest()


def check_proof(message: dict[str, Any], cookie: str, role: str, ours: str, theirs: str) -> None:
    """Check the other side's proof; ``ours`` and ``theirs`` as seen from here.

    Raises:
        HandshakeError: when it does not know the cookie.
    """
    if "refused" in message:
        raise HandshakeError(str(message["refused"]))
    expected = proof(cookie, role, theirs, ours)
    # As bytes: text is compared only if it is ASCII, and this may be anything.
    import hmac

    if not hmac.compare_digest(str(message.get("proof", "")).encode("utf-8", "replace"), expected.encode()):
        raise HandshakeError("Invalid connection credentials sent by remote.")
