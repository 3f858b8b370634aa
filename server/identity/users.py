"""The users file: who may sign in, and with which roles. JSON, one entry per user, argon2id hashes (RFC 9106)."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from server.files import read_text
from server.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
MIN_PASSWORD_CHARS = 8  # NIST SP 800-63B section 5.1.1
MAX_PASSWORD_CHARS = 256
MOST_BYTES = 32_000_000  # of the file: some 100,000 users

WORKERS = 2  # concurrent hashes; each takes 64 MiB and one core for some 50 ms
MAX_WAITING = 32  # sign-ins that may wait for a hash: one or two seconds' worth


class UsersBusyError(Exception):
    """Too many sign-ins are already waiting."""


class UsersError(Exception):
    """The users file cannot be read, or an entry cannot be made."""


@dataclass(frozen=True, slots=True)
class User:
    """A user who may sign in."""

    user_id: str
    username: str
    roles: tuple[str, ...]
    password_hash: str


class Users:
    """The users file, read again whenever it changes. If a change makes it unreadable, the users read last stay valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}
        self._waiting = 0
        self._hashers = ThreadPoolExecutor(WORKERS, "password")

    def find(self, username: str) -> User | None:
        """The user of that name. Raises UsersError if the file has never been readable."""
        self._reload()
        return self._users.get(username)

    async def find_async(self, username: str) -> User | None:
        """`find` in a thread, because file access may block."""
        return await asyncio.to_thread(self.find, username)

    async def verify(self, username: str, password: str) -> User | None:
        """The user, if the password is correct. Takes some 50 ms in a thread, for unknown users too. Raises UsersBusyError."""
        if self._waiting >= MAX_WAITING:
            raise UsersBusyError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashers, self._verified, username, password)
        finally:
            self._waiting -= 1

    def _verified(self, username: str, password: str) -> User | None:
        from server.identity.passwords import hash_of_nobody, matches  # noqa: PLC0415 - see there

        user = self.find(username)
        matched = matches(user.password_hash if user else hash_of_nobody(), password)
        return user if user is not None and matched else None

    def _reload(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._users, self._stamp = {}, None
            return
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp == self._stamp:
            return
        try:
            self._users = {user.username: user for user in read(self._path)}
        except UsersError as broken:
            if self._stamp is None:
                raise
            log.error("the users file cannot be read: users stay as they were", reason=str(broken))  # noqa: TRY400 - the reason says it all
        self._stamp = stamp


def read(path: Path) -> list[User]:
    """All users of a file. Raises UsersError."""
    try:
        entries = json.loads(read_text(path, MOST_BYTES))["users"]
        return [_user(entry) for entry in entries]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsersError(f"{path} is not a users file: {type(error).__name__}: {error}") from None


def _user(entry: dict[str, Any]) -> User:
    texts = [entry["user_id"], entry["username"], entry["password_hash"]]
    roles = entry["roles"]
    if not isinstance(roles, list) or not all(isinstance(text, str) and text for text in (*texts, *roles)):
        raise ValueError("user_id, username, password_hash and roles[] are texts")
    return User(texts[0], texts[1], tuple(roles), texts[2])


def add_user(path: Path, username: str, password: str, roles: Sequence[str]) -> User:
    """Add a user, or give one a new password and roles. Raises UsersError."""
    if not NAME.fullmatch(username):
        raise UsersError("a user name has 1 to 64 letters, digits or _ . @ -")
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise UsersError(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    from server.identity.passwords import hashed  # noqa: PLC0415 - see there

    try:
        password_hash = hashed(password)
    except UnicodeEncodeError:
        raise UsersError("the password has bytes that are not UTF-8") from None
    known = {user.username: user for user in read(path)}
    user_id = known[username].user_id if username in known else username  # a known user keeps the id
    known[username] = User(user_id, username, _known_roles(roles), password_hash)
    _save(path, known)
    return known[username]


def set_roles(path: Path, username: str, roles: Sequence[str]) -> User:
    """Replace a user's roles; the password stays. Raises UsersError."""
    known = {user.username: user for user in read(path)}
    known[username] = replace(_one_of(known, username, path), roles=_known_roles(roles))
    _save(path, known)
    return known[username]


def remove_user(path: Path, username: str) -> None:
    """Remove a user, who can then no longer sign in. Raises UsersError."""
    known = {user.username: user for user in read(path)}
    del known[_one_of(known, username, path).username]
    _save(path, known)


def _one_of(known: dict[str, User], username: str, path: Path) -> User:
    if username not in known:
        raise UsersError(f"there is no {username} in {path}: it has {', '.join(sorted(known)) or 'nobody'}")
    return known[username]


def _known_roles(roles: Sequence[str]) -> tuple[str, ...]:
    if not roles or set(roles) - set(ROLES):
        raise UsersError(f"roles are {', '.join(ROLES)}")
    return tuple(dict.fromkeys(roles))


def _save(path: Path, known: dict[str, User]) -> None:
    try:
        _write(path, list(known.values()))
    except OSError as error:
        raise UsersError(f"{path} cannot be written: {error.strerror}") from None


def _write(path: Path, users: list[User]) -> None:
    entries = [
        {"user_id": u.user_id, "username": u.username, "roles": list(u.roles), "password_hash": u.password_hash}
        for u in users
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)  # only the owner may read the hashes
    fresh.write_text(json.dumps({"users": entries}, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)  # atomic: a reader sees the old file or the new one
