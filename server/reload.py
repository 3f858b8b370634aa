"""`make dev`: the gateway as a child process, started again when a source file changes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

WATCHED = ("server", "handlers", "streaming", "protos", ".env")
LOOK_S = 0.5
STOP_S = 5.0


def _stamps() -> dict[Path, float]:
    roots = [Path(name) for name in WATCHED]
    files = [path for root in roots for path in (root.rglob("*") if root.is_dir() else [root])]
    stamps = {}
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # an editor's, gone meanwhile
            if path.suffix in {".py", ".yaml", ".cedar", ""} and path.is_file():
                stamps[path] = path.stat().st_mtime
    return stamps


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def run_reloading() -> int:
    """Until Ctrl-C or SIGTERM; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, "-m", "server", *(word for word in sys.argv[1:] if word != "--reload")]
    while True:
        stamps = _stamps()
        child = subprocess.Popen(command)  # noqa: S603 - ourselves
        try:
            while _stamps() == stamps:
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            child.wait()  # the terminal has told it too
            return 0
        finally:
            _stop(child)  # whatever ends us, nobody stays behind
