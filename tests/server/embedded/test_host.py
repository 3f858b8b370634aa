"""The process of the embedded services: their ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from server.embedded.host import EmbeddedServices
from server.embedded.service import EmbeddedConfig

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_a_taken_port_is_left_to_its_owner_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        host = EmbeddedServices({"safety": taken}, EmbeddedConfig(tmp_path))
        bound = await host.bind()
        await host.stop()
    assert bound["safety"] != taken
    assert capfd.readouterr().err == ""


def test_a_gateway_that_is_stopped_during_its_start_leaves_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "server.embedded", "--directory", str(tmp_path), "safety=127.0.0.1:0"]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
