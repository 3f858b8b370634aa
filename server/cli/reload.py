"""`make dev`: the gateway under tornado.autoreload, which starts it again in the same process (`execv`) when a file changes.

`python -m server --reload` becomes `python -m server.cli.reload --until-success -m server -- --watched`: Tornado's wrapper around the
gateway. A gateway that cannot start (a syntax error, a wrong setting, a port that is taken) leaves the wrapper waiting for the next
change. One that ends well (Ctrl-C, SIGTERM) ends the wrapper too.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import structlog
from tornado import autoreload

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("server", "handlers", "streaming", "protos")
SUFFIXES = {".py", ".yaml", ".cedar"}  # the embedded services' modules and data too, which this process never imports
WATCHED = "--watched"


def run_reloading() -> NoReturn:
    """Put Tornado's wrapper in the place of this process."""
    arguments = [word for word in sys.argv[1:] if word != "--reload"]
    command = [sys.executable, "-m", "server.cli.reload", "--until-success", "-m", "server", "--", *arguments, WATCHED]
    os.execv(sys.executable, command)  # noqa: S606 - ourselves


def watch_files() -> None:
    """Name the files that matter. Those that exist now: a new one counts with the next change of another."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in SUFFIXES:
                autoreload.watch(str(path))
    autoreload.watch(".env")


def start_watching() -> None:
    """Look for changes from now on, on the running loop."""
    autoreload.add_reload_hook(lambda: log.info("a file changed: starting again"))
    autoreload.start()


if __name__ == "__main__":
    # Ctrl-C while Tornado waits for a change ends the process quietly; the gateway sets a handler of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    autoreload.main()
