"""`make dev`: a change starts the gateway again, and whatever ends the watcher ends the gateway."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.gateway import environment, free_port, is_running
from tests.support.replicas import VARIABLES

if TYPE_CHECKING:
    from pathlib import Path


def test_a_change_starts_it_again_and_nobody_stays_behind(tmp_path: Path) -> None:
    nowhere = {name: f"127.0.0.1:{free_port()}" for name in VARIABLES.values()}
    settings = {"EMBEDDED": "false", "REDIS_URL": "", "PORT": str(free_port()), **nowhere}
    watched = tmp_path / ".env"
    watched.write_text("")
    watcher = subprocess.Popen(
        [sys.executable, "-m", "server", "--reload"],
        cwd=tmp_path,
        env=environment(tmp_path, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert watcher.stdout is not None
    try:
        _until_started(watcher)
        first = _child(watcher)
        watched.write_text("# another\n")
        _until_started(watcher)
        second = _child(watcher)
        assert second != first
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(20) == 0
        assert [pid for pid in (first, second) if is_running(pid)] == []
    finally:
        watcher.kill()
        watcher.stdout.close()


def _until_started(watcher: subprocess.Popen[str]) -> None:
    assert watcher.stdout is not None
    assert any("console" in line for line in iter(watcher.stdout.readline, ""))


def _child(watcher: subprocess.Popen[str]) -> int:
    command = ["ps", "--ppid", str(watcher.pid), "-o", "pid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) .*-m server", listed)
    assert found is not None, listed
    return int(found[1])
