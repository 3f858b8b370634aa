"""`make dev`: the gateway under tornado.autoreload, which restarts it in the same process (`execv`) when a file changes.

`python -m server --reload` becomes `python -m server.cli.reload --until-success -m server -- --watched`, Tornado's wrapper around
the gateway. If the gateway cannot start (a syntax error, an invalid setting, a port in use), the wrapper waits for the next change.
If it ends normally (Ctrl-C, SIGTERM), so does the wrapper.
"""

from __future__ import annotations

from server.process.interrupts import ended_silently

with ended_silently():
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
# Includes modules and data of the embedded services, which this process never imports.
SUFFIXES = {".py", ".yaml", ".cedar"}
WATCHED = "--watched"


def run_reloading() -> NoReturn:
    """Replace this process by Tornado's wrapper."""
    arguments = [word for word in sys.argv[1:] if word != "--reload"]
    command = [sys.executable, "-m", "server.cli.reload", "--until-success", "-m", "server", "--", *arguments, WATCHED]
    os.execv(sys.executable, command)  # noqa: S606 - ourselves


def watch_files() -> None:
    """Watch all relevant files that exist now. A new file takes effect with the next change of another one."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in SUFFIXES:
                autoreload.watch(str(path))
    autoreload.watch(".env")


def start_watching() -> None:
    """Start watching for changes, on the running loop."""
    autoreload.start()


if __name__ == "__main__":
    # Ctrl-C while Tornado waits for a change ends the process without a traceback; the gateway sets a handler of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Here, so that it is said also while this process waits for a change to a gateway that did not start.
    autoreload.add_reload_hook(lambda: log.info("a file changed: starting again"))
    autoreload.main()
