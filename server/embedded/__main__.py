"""Run embedded services: `python -m server.embedded stt=127.0.0.1:50051 memory=127.0.0.1:0 …` (none named: all nine).

Writes JSON lines to standard output: `{"bound": {name: address}}` when the ports are open, and `{"ready": true, "down":
{name: reason}}` when each service has started or failed. With `--with-parent` a line every few seconds follows, which tells that it does
not hang. Ends on SIGTERM and Ctrl-C, and with `--with-parent` as soon as
standard input closes, so that nothing is left behind however the gateway dies. `--secrets` reads a JSON object from the first line of
standard input: options that must not stand in the environment.
"""

from __future__ import annotations

from server.process.interrupts import ended_silently

with ended_silently():
    import argparse
    import asyncio
    import json
    import logging
    import os
    import signal
    import sys
    from pathlib import Path
    from typing import TextIO

    from server.embedded.host import EmbeddedServices
    from server.embedded.service import EmbeddedConfig
    from server.process import lifeline
    from server.process.children import LINE_EVERY_S
    from server.services import SERVICES
    from server.telemetry import log

GRPC_SERVER = "grpc._cython.cygrpc"  # the logger of grpc.aio's servers
LOG_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR"})
FIRST_PORT = 50051  # M2's; the others follow in the order of the services table


def default_address(name: str) -> str:
    """The address of a service by default."""
    return f"127.0.0.1:{FIRST_PORT + list(SERVICES).index(name)}"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line; exits with a message if it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m server.embedded", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("services", nargs="*", metavar="NAME[=HOST:PORT]")
    parser.add_argument("--directory", type=Path, default=Path(".jarvis"), help="what survives a restart")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    parser.add_argument("--secrets", action="store_true", help="read options from the first line of standard input")
    options = parser.parse_args(arguments)
    unknown = [item for item in options.services if item.partition("=")[0] not in SERVICES]
    if unknown:
        parser.error(f"no such service: {', '.join(unknown)}; known: {', '.join(SERVICES)}")
    return options


def addresses(services: list[str]) -> dict[str, str]:
    """Name → address to bind, for the services on the command line."""
    pairs = [item.partition("=") for item in services or list(SERVICES)]
    return {name: address or default_address(name) for name, _, address in pairs}


async def _until_asked_to_stop(output: TextIO, *, with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), stop.set)  # nothing more is written to it, so readable means closed
    while not stop.is_set():
        try:
            async with asyncio.timeout(LINE_EVERY_S if with_parent else None):
                await stop.wait()
        except TimeoutError:
            _say(output, {})


def _own_output() -> TextIO:
    """Standard output, which no child of ours inherits: the gateway takes its end for ours. Other things written to it go to standard error."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return output


def _say(output: TextIO, message: dict[str, object]) -> None:
    output.write(json.dumps(message) + "\n")
    output.flush()


async def run(options: argparse.Namespace, output: TextIO) -> None:
    """Serve until asked to stop."""
    options.directory.mkdir(parents=True, exist_ok=True)
    told = json.loads(sys.stdin.buffer.readline()) if options.secrets else {}
    config = EmbeddedConfig(directory=options.directory, options=tuple({**os.environ, **told}.items()))
    host = EmbeddedServices(addresses(options.services), config)
    try:
        _say(output, {"bound": await host.bind()})
        _say(output, {"ready": True, "down": await host.start()})
        await _until_asked_to_stop(output, with_parent=options.with_parent)
    except BrokenPipeError:  # the gateway was stopped while it waited for us
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())  # else Python complains at its end, too
    await host.stop()


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Filter out the traceback that grpc.aio logs when a gateway dies while a response is sent to it."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ != "ExecuteBatchError"  # the class is private to grpc


def configure_log() -> None:
    """Log to standard error like the gateway, but only warnings by default. A wrong setting is the gateway's to refuse."""
    level = os.environ.get("LOG_LEVEL", "").upper()
    form = os.environ.get("LOG_FORMAT", "").lower() or ("console" if sys.stderr.isatty() else "json")
    log.configure(level if level in LOG_LEVELS else "WARNING", form)


def main() -> None:
    """Entry point."""
    options = parse(sys.argv[1:])
    if options.with_parent:
        lifeline.hold(signal.SIGCONT)  # what was stopped goes on, and sees that standard input has closed
    configure_log()
    logging.getLogger(GRPC_SERVER).addFilter(is_worth_a_line)
    # not on uvloop: it sometimes loses the output of a short command (0.22; one `echo` in some hundred)
    asyncio.run(run(options, _own_output()))


if __name__ == "__main__":
    main()
