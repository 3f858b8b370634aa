"""`python -m server user …`: who may sign in."""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from server.cli.environment import variables
from server.config import Settings
from server.identity.users import UsersError, add_user, read, remove_user, set_roles
from server.roles import ROLES, USER

if TYPE_CHECKING:
    import argparse


def add_commands(users: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare `add`, `list`, `remove`, `roles`."""
    add = _command(users, "add", "add a user, or give one a new password and roles", named=True)
    add.set_defaults(run=_add)
    add.add_argument("--role", action="append", choices=ROLES, help="may be repeated; default: user")
    _command(users, "list", "who may sign in, with which roles").set_defaults(run=_list)
    _command(users, "remove", "nobody of that name signs in any more", named=True).set_defaults(run=_remove)
    roles = _command(users, "roles", "give a user other roles", named=True)
    roles.set_defaults(run=_roles)
    roles.add_argument("roles", nargs="+", choices=ROLES, help="all that the user has from now on")


def _command(
    users: argparse._SubParsersAction[argparse.ArgumentParser], name: str, told: str, *, named: bool = False
) -> argparse.ArgumentParser:
    command = users.add_parser(name, help=told)
    command.add_argument("--file", type=Path, help="the users file; default: USERS_FILE")
    if named:
        command.add_argument("name")
    return command


def _file(options: argparse.Namespace) -> Path:
    return options.file or Path(variables().get("USERS_FILE") or Settings.model_fields["users_file"].default)


def _password(name: str) -> str:
    """From the environment, the terminal, or a line of standard input if there is no terminal. Raises UsersError."""
    known = os.environ.get("JARVIS_PASSWORD")
    if known:
        return known
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # else it prints a warning of its own
            password = getpass.getpass(f"password for {name}: ")
    except getpass.GetPassWarning:  # no terminal
        password = _line()
    except (EOFError, UnicodeDecodeError):
        password = ""
    if not password:
        raise UsersError("no password: type one, or set JARVIS_PASSWORD")
    return password


def _line() -> str:
    try:
        return sys.stdin.readline().rstrip("\n")
    except UnicodeDecodeError:
        return ""


def _add(options: argparse.Namespace) -> int:
    read(_file(options))  # report a broken file before a password is typed
    user = add_user(_file(options), options.name, _password(options.name), options.role or [USER])
    print(f"{user.username} may sign in, with {', '.join(user.roles)}")  # noqa: T201 - a command line prints
    return 0


def _list(options: argparse.Namespace) -> int:
    users = read(_file(options))
    width = max((len(user.username) for user in users), default=0)
    for user in sorted(users, key=lambda each: each.username):
        print(f"{user.username:<{width}}  {', '.join(user.roles)}")  # noqa: T201 - as above
    if not users:
        print(f"nobody yet ({_file(options)}): python -m server user add NAME")  # noqa: T201 - as above
    return 0


def _remove(options: argparse.Namespace) -> int:
    remove_user(_file(options), options.name)
    print(f"{options.name} signs in and refreshes no more; an access token already given lives on until it expires")  # noqa: T201 - as above
    return 0


def _roles(options: argparse.Namespace) -> int:
    user = set_roles(_file(options), options.name, options.roles)
    print(f"{user.username} has {', '.join(user.roles)} from the next sign-in or refresh on")  # noqa: T201 - as above
    return 0
