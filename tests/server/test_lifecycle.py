from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import HANG_S
from tests.support.gateway import ROOT, environment, free_port

if TYPE_CHECKING:
    from pathlib import Path

STOPPED_WHEN_TOLD = """
import asyncio, os, signal
from server.config import Settings
from server.lifecycle import Lifecycle
signal.signal(signal.SIGINT, signal.SIG_DFL)  # as under `make dev`
async def told(_started):
    os.kill(os.getpid(), signal.{name})
asyncio.run(Lifecycle(Settings()).run(told))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_who_stops_it_at_the_word_that_it_has_started_ends_it_in_order(tmp_path: Path, name: str) -> None:
    environ = environment(tmp_path, PORT=str(free_port()), EMBEDDED="false", REDIS_URL="")
    command = [sys.executable, "-c", STOPPED_WHEN_TOLD.format(name=name)]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
