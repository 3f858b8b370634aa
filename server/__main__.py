"""The command line: `python -m server` serves; `token`, `user`, `talk`, `replay` help people along.

python -m server                         serve
python -m server token --user ada        print an access token
python -m server user add ada            add somebody who may sign in
python -m server talk speech.wav         hold a spoken turn with a running gateway
python -m server replay session.jsonl    play a recorded session to a running gateway, and compare
"""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from server.children import ChildError
from server.cli.banner import banner
from server.config import ConfigError, Settings, load_settings
from server.identity.roles import ROLES
from server.identity.users import UsersError, add_user
from server.loop import run
from server.reload import run_reloading
from server.telemetry import log
from server.upstream import EndpointError
from streaming.client.address import socket_url
from streaming.client.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TOKEN_MINUTES = 10 * 365 * 24 * 60
LAPTOP = {"DEBUG": "true", "HOST": "127.0.0.1"}  # what `make run` means unless environment or .env say otherwise


def serve(options: argparse.Namespace) -> int:
    """Run the gateway; the exit code."""
    if options.laptop:
        _laptop_defaults()
    settings = load_settings()
    log.configure(settings.log_level, settings.log_format or ("console" if settings.debug else "json"))
    if options.reload:
        return run_reloading()
    from server.lifecycle import Lifecycle  # noqa: PLC0415 - the other commands need none of it

    async def serving() -> None:
        await Lifecycle(settings).run(lambda started: print(banner(started), flush=True))

    code = 0
    try:
        run(serving())
    except* (ChildError, EndpointError, OSError) as failed:
        code = 1
        print(f"cannot start: {'; '.join(map(str, _leaves(failed)))}", file=sys.stderr)
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """What went wrong, without the task groups that it came through."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _laptop_defaults() -> None:
    known = {**dotenv_values(".env"), **os.environ}
    for name, value in LAPTOP.items():
        if name not in known:
            os.environ[name] = value


def token(options: argparse.Namespace) -> int:
    """Print an access token signed with the configured secret."""
    from server.identity.auth import Authenticator  # noqa: PLC0415 - as above
    from server.identity.users import Users  # noqa: PLC0415
    from server.shared.state import LocalState  # noqa: PLC0415

    settings = load_settings()
    authenticator = Authenticator(settings, LocalState(), Users(settings.users_file))
    print(authenticator.issue_access(options.user, options.user, options.role or ["user"], life_s=options.minutes * 60))
    return 0


def user_add(options: argparse.Namespace) -> int:
    """Add a user, or change one's password and roles."""
    configured = {**dotenv_values(".env"), **os.environ}.get("USERS_FILE")
    users_file = options.file or Path(configured or Settings.model_fields["users_file"].default)
    try:
        password = os.environ.get("JARVIS_PASSWORD") or getpass.getpass(f"password for {options.name}: ")
    except EOFError:
        raise UsersError("no password: type one, or set JARVIS_PASSWORD") from None
    user = add_user(users_file, options.name, password, options.role or ["user"])
    print(f"{user.username} may sign in, with {', '.join(user.roles)}")
    return 0


def talk(options: argparse.Namespace) -> int:
    """A spoken turn in the terminal."""
    from server.cli.talk import Talk  # noqa: PLC0415 - as above

    return run(Talk(options).run())


def replay(options: argparse.Namespace) -> int:
    """A recorded session, played again."""
    from server.cli.replay import Replay  # noqa: PLC0415 - as above

    return run(Replay(options).run())


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _minutes(text: str) -> int:
    number = _at_least_one(text)
    if number > MAX_TOKEN_MINUTES:
        raise argparse.ArgumentTypeError(f"at most {MAX_TOKEN_MINUTES} (ten years)")
    return number


def _gateway_url(text: str) -> str:
    try:
        return socket_url(text)
    except GatewayError as wrong:
        raise argparse.ArgumentTypeError(wrong.message) from None


def parser() -> argparse.ArgumentParser:
    """All commands."""
    main_parser = argparse.ArgumentParser(prog="python -m server", description=__doc__.splitlines()[0])
    main_parser.set_defaults(run=serve)
    main_parser.add_argument("--laptop", action="store_true", help="DEBUG and 127.0.0.1 unless configured otherwise")
    main_parser.add_argument("--reload", action="store_true", help="start again when a source file changes")
    commands = main_parser.add_subparsers()
    _token_command(commands.add_parser("token", help="print an access token"))
    users = commands.add_parser("user", help="who may sign in").add_subparsers(required=True)
    _user_command(users.add_parser("add", help="add a user, or give one a new password and roles"))
    _talk_command(commands.add_parser("talk", help="hold a spoken turn with a running gateway"))
    _replay_command(commands.add_parser("replay", help="play a recorded session to a running gateway, and compare"))
    return main_parser


def _token_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=token)
    command.add_argument("--user", default="developer", help="`sub` and `username`")
    command.add_argument("--role", action="append", choices=ROLES, help="may be repeated; default: user")
    command.add_argument("--minutes", type=_minutes, default=60, help="how long it lives")


def _user_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=user_add)
    command.add_argument("name")
    command.add_argument("--role", action="append", choices=ROLES, help="may be repeated; default: user")
    command.add_argument("--file", type=Path, help="the users file; default: USERS_FILE")


def _talk_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=talk)
    command.add_argument("file", nargs="?", help="a WAV file of 16-bit PCM; none: the microphone")
    command.add_argument("--url", type=_gateway_url, default="ws://127.0.0.1:8000", help="the gateway")
    command.add_argument(
        "--token", default=os.environ.get("JARVIS_TOKEN", ""), help="default: JARVIS_TOKEN, or none (DEBUG)"
    )
    command.add_argument("--session", default="", help="the conversation to go on with")
    command.add_argument("--text", default="", help="a written turn instead of a spoken one")
    command.add_argument("--output", default="", help="write the answer to this WAV file")
    command.add_argument("--yes", action="store_true", help="approve whatever asks for confirmation")
    command.add_argument("--json", action="store_true", help="print every event as a JSON line instead")


def _replay_command(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=replay)
    command.add_argument("file", help="a recording, of RECORD_DIR or saved by the console")
    command.add_argument("--url", type=_gateway_url, default="ws://127.0.0.1:8000", help="the gateway")
    who = command.add_mutually_exclusive_group()
    who.add_argument(
        "--token", default=os.environ.get("JARVIS_TOKEN", ""), help="default: JARVIS_TOKEN, or none (DEBUG)"
    )
    who.add_argument(
        "--user", default="", help="instead of a token (DEBUG): developer; with --times a number stands behind"
    )
    command.add_argument("--speed", choices=("realtime", "fast"), default="fast", help="default: as fast as it goes")
    command.add_argument(
        "--times", type=_at_least_one, default=1, help="so many sessions at once: load instead of facts"
    )
    command.add_argument("--timeout", type=float, default=15.0, help="seconds to wait for any one thing")


def main() -> None:
    """Entry point; mistakes of the caller are one line each, never a traceback."""
    try:
        code = _done(parser().parse_args())
        sys.stdout.flush()
    except* BrokenPipeError:
        code = _nobody_reads()
    sys.exit(code)


def _done(options: argparse.Namespace) -> int:
    """The exit code of what was asked."""
    try:
        return int(options.run(options))
    except (ConfigError, UsersError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _nobody_reads() -> int:
    """`… | head -1`: end as quietly as a Unix tool. What is still buffered goes nowhere, else Python complains at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


if __name__ == "__main__":
    main()
