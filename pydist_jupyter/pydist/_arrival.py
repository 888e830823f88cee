"""One worker that has been launched, on its way into the cluster."""

from __future__ import annotations

import os
from typing import Any

from pydist._errors import LaunchWorkerError, ProcessExitedException
from pydist._protocol.handshake import HandshakeError
from pydist._runtime.handshaking import initiate
from pydist._runtime.joining import attach
from pydist._runtime.node import Node
from pydist._runtime.peers import CONNECTED, Peer
from pydist._runtime.pipe import Pipe
from pydist.managers import WorkerConfig

__all__ = ["take_in", "words_of"]


def take_in(node: Node, peer: Peer, params: dict[str, Any]) -> None:
    """Connect to a worker that has been launched, and take it in.

    Raises:
        LaunchWorkerError: it did not come up; it is ended then.
    """
    config: WorkerConfig = peer.config
    try:
        sock = peer.manager.connect(peer.pid, config)
        welcome = {"pid": peer.pid, "topology": params["topology"], "main": _main_file(), **node.pool.offer(sock)}
        peer.details = initiate(sock, node.cookie, welcome, params["timeout"])
    except (OSError, HandshakeError, ValueError) as error:
        failure = _launch_failure(peer, error, params["timeout"])
        node.peers.bury(peer.pid, ProcessExitedException(peer.pid, host=config.host))
        peer.manager.kill(peer.pid, config)
        if config.stream is not None:
            config.stream.close()
        raise failure from None
    peer.address = peer.details.get("address")
    if config.output is not None:
        pid = peer.pid
        peer.output = Pipe(config.output, lambda text: node.desk.below(pid, text))
        node.reader.add_other(config.output, peer.output.drain)
    attach(node, peer, sock, peer.details)
    peer.state = CONNECTED
    peer.manager.manage(peer.pid, config, "register")


def _main_file() -> str | None:
    import sys

    return getattr(sys.modules.get("__main__"), "__file__", None)


def words_of(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _launch_failure(peer: Peer, error: Exception, timeout: float) -> LaunchWorkerError:
    config: WorkerConfig = peer.config
    ended = config.process.wait(0.5) if config.process is not None and not isinstance(error, TimeoutError) else None
    parts = [f"worker {peer.pid} on {config.host} did not come up"]
    if config.command:
        parts.append(f"command {config.command!r}")
    if isinstance(error, TimeoutError):
        parts.append(f"worker did not connect within {timeout:g} seconds")
    elif ended is None:
        parts.append(words_of(error))
    if ended is not None:
        parts.append(f"exit code {ended[0]}" if ended[0] is not None else f"ended by signal {ended[1]}")
    words = _last_words(config)
    if words:
        parts.append("its last words: " + words)
    return LaunchWorkerError("; ".join(parts))


def _last_words(config: WorkerConfig) -> str:
    if config.output is None:
        return ""
    os.set_blocking(config.output, False)
    try:
        text = os.read(config.output, 65536).decode("utf-8", "replace")
    except OSError:
        text = ""
    os.close(config.output)
    return " | ".join(text.strip().splitlines()[-5:])
