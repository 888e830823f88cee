"""A kernel that is told to listen where another program does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

PATIENCE = 120.0
SOCKETS = ("shell", "iopub", "stdin", "control", "hb")


@pytest.mark.parametrize("which", ["shell", "iopub", "control"])
def test_a_port_that_is_taken_is_one_sentence(which: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        connection = {f"{name}_port": taken if name == which else 0 for name in SOCKETS}
        connection_file = tmp_path / "connection.json"
        connection_file.write_text(
            json.dumps(
                {
                    **connection,
                    "ip": "127.0.0.1",
                    "transport": "tcp",
                    "key": "k",
                    "signature_scheme": "hmac-sha256",
                }
            )
        )
        done = subprocess.run(
            [sys.executable, "-m", "pydist_kernel", "-f", str(connection_file), "--log-level=ERROR"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"pydist-kernel: cannot listen at tcp://127.0.0.1, port {taken}: Address already in use; end whatever has the "
        f"port, or start the kernel with another connection file than {connection_file}\n"
    )
    assert "Traceback" not in done.stderr
