"""The command line: `python -m server` serves; `token`, `user`, `talk`, `replay`, `bench`, `doctor` are tools for people.

python -m server                         serve
python -m server token --user ada        print an access token
python -m server user add ada            add a user who may sign in; also list, remove, roles
python -m server talk speech.mp3         hold a spoken turn with a running gateway
python -m server replay session.jsonl    play a recorded session to a running gateway, and compare
python -m server bench --talkers 200     simulate many talkers at a running gateway, and measure
python -m server doctor                  check this machine and the settings, and say what to do
"""

from __future__ import annotations

from server.process.interrupts import ended_silently
from server.process.lean import import_without, uncollected

with ended_silently(), uncollected():
    # It makes lines in colour, which our log does not need: 0.9 MB with its libraries.
    import_without("tornado.log", "curses")

    import argparse
    import logging
    import math
    import os
    import signal
    import sys
    import traceback
    from typing import TYPE_CHECKING

    from server.cli.banner import banner
    from server.cli.environment import (
        client_settings,
        gateway_address,
        laptop_defaults,
        mistyped_names,
        saved_token,
        serving_settings,
    )
    from server.cli.people import add_commands
    from server.cli.reload import WATCHED, run_reloading, start_watching, watch_files
    from server.config import ConfigError
    from server.identity.users import UsersError
    from server.process.children import ChildError
    from server.process.loop import run
    from server.roles import ROLES, USER
    from server.telemetry import log
    from server.upstream import EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.lifecycle import Started

MAX_TOKEN_MINUTES = 10 * 365 * 24 * 60


def serve(options: argparse.Namespace) -> int:
    """Run the gateway; returns the exit code."""
    if options.reload:
        run_reloading()
    if options.watched:
        watch_files()
    if options.laptop:
        laptop_defaults()
    settings = serving_settings()
    log.configure(settings.log_level, settings.log_format or ("console" if settings.debug else "json"))
    if mistyped := mistyped_names():
        logging.getLogger("server").warning(mistyped)
    if settings.jwt_algorithm.startswith("HS"):
        # They are for key pairs only: 8 MB, and a twentieth of the start.
        import_without("jwt", "cryptography.exceptions", "cryptography.hazmat")
    with uncollected():
        from server.lifecycle import Lifecycle  # noqa: PLC0415 - the other commands do not need it

    async def serving() -> None:
        if options.watched:
            start_watching()
        await Lifecycle(settings).run(tell)

    async def tell(started: Started) -> None:
        print(await banner(started), flush=True)

    code = 0
    try:
        run(serving())
    except* (ChildError, EndpointError, OSError) as failed:
        code = 1
        print(f"cannot start: {'; '.join(map(str, _leaves(failed)))}", file=sys.stderr)
    return code


def serve_watched(options: argparse.Namespace) -> int:
    """Run the gateway under `make dev`. On failure, report it and wait for a file to change."""
    try:
        code = serve(options)
    except ConfigError as wrong:
        print(wrong, file=sys.stderr)
        code = 2
    except Exception:  # noqa: BLE001 - the code is being edited
        traceback.print_exc()
        code = 1
    if code:
        print("waiting for a file to change", file=sys.stderr)
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside exception groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def token(options: argparse.Namespace) -> int:
    """Print an access token that this folder's gateway accepts."""
    from server.identity.auth import Authenticator  # noqa: PLC0415 - as above
    from server.identity.users import Users  # noqa: PLC0415
    from server.shared.state import LocalState  # noqa: PLC0415

    settings = client_settings()
    authenticator = Authenticator(settings, LocalState(), Users(settings.users_file))
    roles = options.role or [USER]
    made = authenticator.issue_access(options.user, options.user, roles, life_s=options.minutes * 60)
    run(authenticator.verify(made))  # report a name that no gateway would accept
    print(made)
    return 0


def talk(options: argparse.Namespace) -> int:
    """Hold a spoken turn in the terminal."""
    from server.cli.talk import Talk  # noqa: PLC0415 - as above

    return run(Talk(options).run())


def replay(options: argparse.Namespace) -> int:
    """Play a recorded session again."""
    from server.cli.replay import ReplayCommand  # noqa: PLC0415 - as above

    return run(ReplayCommand(options).run())


def bench(options: argparse.Namespace) -> int:
    """Simulate many talkers at once."""
    from server.cli.bench import Bench  # noqa: PLC0415 - as above

    async def measured() -> int:
        return await Bench(options).run()

    return run(measured())


def doctor(_options: argparse.Namespace) -> int:
    """Check what works on this machine."""
    from server.cli.doctor import doctor as look  # noqa: PLC0415 - as above

    return look()


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _listeners(text: str) -> int:
    return 0 if text == "0" else _at_least_one(text)


def _words(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _minutes(text: str) -> int:
    number = _at_least_one(text)
    if number > MAX_TOKEN_MINUTES:
        raise argparse.ArgumentTypeError(f"at most {MAX_TOKEN_MINUTES} (ten years)")
    return number


def _gateway_url(text: str) -> str:
    from streaming.client.address import socket_url  # noqa: PLC0415 - as above
    from streaming.client.errors import GatewayError  # noqa: PLC0415

    try:
        return socket_url(text)
    except GatewayError as wrong:
        raise argparse.ArgumentTypeError(wrong.message) from None


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    main_parser = argparse.ArgumentParser(prog="python -m server", description=(__doc__ or "").partition("\n")[0])
    main_parser.set_defaults(run=serve)
    main_parser.add_argument("--laptop", action="store_true", help="DEBUG and 127.0.0.1 unless configured otherwise")
    main_parser.add_argument("--reload", action="store_true", help="start again when a source file changes")
    main_parser.add_argument(WATCHED, action="store_true", help=argparse.SUPPRESS)  # added by run_reloading
    commands = main_parser.add_subparsers()
    _token_command(commands.add_parser("token", help="print an access token"))
    users = commands.add_parser("user", help="who may sign in").add_subparsers(required=True)
    add_commands(users)
    _talk_command(commands.add_parser("talk", help="hold a spoken turn with a running gateway"))
    _replay_command(commands.add_parser("replay", help="play a recorded session to a running gateway, and compare"))
    _bench_command(commands.add_parser("bench", help="let many talkers speak to a running gateway, and measure"))
    commands.add_parser("doctor", help="look at this machine and the settings").set_defaults(run=doctor)
    return main_parser


def _token_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=token)
    command.add_argument("--user", default="developer", help="`sub` and `username`")
    command.add_argument("--role", action="append", choices=ROLES, help="may be repeated; default: user")
    command.add_argument("--minutes", type=_minutes, default=60, help="how long it lives")


def _talk_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=talk)
    said = command.add_mutually_exclusive_group()
    said.add_argument(
        "file", nargs="?", type=_words, help="an audio file (wav, mp3, ogg, webm, flac, mp4); none: the microphone"
    )
    command.add_argument(
        "--url",
        type=_gateway_url,
        help="the gateway, as http:// or ws://; default: this machine's, at PORT",
    )
    command.add_argument("--token", default=saved_token(), help="default: JARVIS_TOKEN, or none (DEBUG)")
    command.add_argument("--session", default="", help="the conversation to go on with")
    said.add_argument("--text", type=_words, help="a written turn instead of a spoken one")
    command.add_argument("--output", default="", help="write the answer to this WAV file")
    command.add_argument("--yes", action="store_true", help="approve whatever asks for confirmation")
    command.add_argument("--json", action="store_true", help="print every event as a JSON line instead")


def _replay_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=replay)
    command.add_argument("file", help="a recording, of RECORD_DIR or saved by the console")
    command.add_argument(
        "--url",
        type=_gateway_url,
        help="the gateway, as http:// or ws://; default: this machine's, at PORT",
    )
    who = command.add_mutually_exclusive_group()
    who.add_argument("--token", default=saved_token(), help="default: JARVIS_TOKEN, or none (DEBUG)")
    who.add_argument(
        "--user", default="", help="instead of a token (DEBUG): developer; with --times a number stands behind"
    )
    command.add_argument("--speed", choices=("realtime", "fast"), default="fast", help="default: as fast as it goes")
    command.add_argument(
        "--times", type=_at_least_one, default=1, help="so many sessions at once: load instead of facts"
    )
    command.add_argument("--timeout", type=_duration, default=15.0, help="seconds to wait for any one thing")


def _bench_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=bench)
    command.add_argument("url", nargs="?", type=_gateway_url, help="default: this machine's, at PORT")
    command.add_argument("--token", default=saved_token(), help="default: JARVIS_TOKEN, or none (DEBUG)")
    command.add_argument("--talkers", type=_at_least_one, default=20, help="microphones at once; default: %(default)s")
    command.add_argument(
        "--listeners", type=_listeners, help="sessions that are spoken to; default: one for ten talkers"
    )
    command.add_argument("--seconds", type=_duration, default=30.0, help="how long they talk; default: %(default)s")
    command.add_argument("--file", default="", help="what they say, as an audio file; default: the gateway's own voice")
    command.add_argument("--text", default="", help="the words of it")
    command.add_argument("--json", default="", metavar="FILE", help="write the report there as JSON, too")


def main() -> None:
    """Entry point. A user's mistake is reported in one line, never as a traceback."""
    try:
        code = _written(_done())
    except* BrokenPipeError:
        _discard()
        code = 128 + signal.SIGPIPE  # as a Unix tool whose reader has gone (`… | head -1`)
    sys.exit(code)


def _done() -> int:
    """Run the requested command; returns its exit code."""
    try:
        options = parser().parse_args()
        if "url" in options and options.url is None:  # not as a default: an invalid PORT is no mistake of `--url`
            options.url = gateway_address()
        if options.run is serve:  # a failure here is a bug of ours, and gets a traceback
            return serve_watched(options) if options.watched else serve(options)
        return _command(options)
    except (ConfigError, UsersError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as told:  # by --help, or a mistake in the words
        return int(told.code or 0)


def _written(code: int) -> int:
    """Write what is buffered. Returns the exit code: `code`, or 1 if the output cannot be written (a full disk)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as full:
        _discard()
        if code == 0:  # else it was told, or something worse
            print(f"the output cannot be written: {full.strerror}", file=sys.stderr)
        return code or 1
    return code


def _command(options: argparse.Namespace) -> int:
    """Run a tool. Any failure is reported in one line, foreseen or not."""
    # Tornado logs some failures of connections with a traceback. Without a handler, Python would print it beside our line.
    logging.getLogger("tornado").addHandler(logging.NullHandler())
    try:
        return int(options.run(options))
    except BaseException as broken:  # noqa: BLE001 - the last place that can report it in one line
        errors = list(_leaves(broken))
    for error in errors:
        if isinstance(error, ConfigError | UsersError | BrokenPipeError) or not isinstance(error, Exception):
            raise error from None
    print("; ".join(dict.fromkeys(str(error) or type(error).__name__ for error in errors)), file=sys.stderr)
    return 1


def _discard() -> None:
    """Discard buffered output, or Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
