"""`make dev`: a change restarts the gateway in its process; broken code waits for the next change; no process is left behind."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.support.gateway import environment, free_port
from tests.support.replicas import only

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PACKAGES = ("server", "handlers", "streaming", "protos", "static")
PATIENCE_S = 200.0  # a hang; on a busy machine, a start may take a minute
LOOKS_S = 1.0  # Tornado looks at the files twice in that time
STARTED = "/console#code="  # the banner
SEEN = "a file changed: starting again"
WAITING = "waiting for a file to change"


class Developer:
    """`python -m server --reload` in a copy of the sources, with one embedded service and a Redis of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in PACKAGES:
            # with the compiled modules, which the copies' times of change keep valid; not those that another test is writing
            ignored = shutil.ignore_patterns("*.pyc.*", "docs")
            shutil.copytree(ROOT / package, folder / package, ignore=ignored)
        self._lines: queue.Queue[str] = queue.Queue()

    @contextmanager
    def starts(self) -> Iterator[subprocess.Popen[str]]:
        settings = {"PORT": str(free_port()), "EMBEDDED": "true", "LOG_LEVEL": "INFO", **only("memory")}
        environ = environment(self.folder, **settings) | {"PYTHONPATH": str(self.folder)}
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "--reload"],
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        reading = threading.Thread(target=self._read, args=(process.stdout,))
        reading.start()
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            reading.join()
            process.stdout.close()  # type: ignore[union-attr]  # it is a pipe

    def _read(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._lines.put(line)

    def says(self, wanted: str, patience_s: float = PATIENCE_S) -> bool:
        """Does a line with these words come?"""
        deadline = time.monotonic() + patience_s
        with suppress(queue.Empty):
            while wanted not in self._lines.get(timeout=max(0.0, deadline - time.monotonic())):
                pass
            return True
        return False

    def change(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def changes_until(self, wanted: str, name: str, text: str) -> bool:
        """Write the file until the change is seen: Tornado does not see one before its first look."""
        for _ in range(int(PATIENCE_S / LOOKS_S)):
            self.change(name, text)
            if self.says(SEEN, LOOKS_S):
                return self.says(wanted)
        return False


def children(process: subprocess.Popen[str]) -> list[int]:
    command = ["ps", "--ppid", str(process.pid), "-o", "pid="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in listed.split()]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_change_starts_it_again_and_a_broken_file_waits_to_be_mended(tmp_path: Path) -> None:
    developer = Developer(tmp_path)
    sound = (tmp_path / "server/errors.py").read_text()
    with developer.starts() as process:
        assert developer.says(STARTED)
        first = children(process)
        assert len(first) == 2, "embedded services and Redis"

        replies = "server/embedded/planner/replies.yaml"  # data of a service: the gateway itself never reads it
        assert developer.changes_until(STARTED, replies, (tmp_path / replies).read_text() + "\n# another line\n")
        second = children(process)
        assert len(second) == 2
        assert alive(first) == []

        assert developer.changes_until(WAITING, "server/errors.py", "def broken(:\n")
        assert alive(second) == children(process) == []

        assert developer.changes_until(STARTED, "server/errors.py", sound)
        third = children(process)
        assert len(third) == 2

        os.killpg(process.pid, signal.SIGINT)  # as a terminal's Ctrl-C
        assert process.wait(PATIENCE_S) == 0
        assert alive(third) == []


def test_one_that_never_started_waits_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    developer = Developer(tmp_path)
    developer.change("server/errors.py", "def broken(:\n")
    with developer.starts() as process:
        assert developer.says("SyntaxError: invalid syntax")
        assert developer.says(WAITING)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == -signal.SIGINT
