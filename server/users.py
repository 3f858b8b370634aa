"""The users file: who may sign in, with which roles. JSON, one entry a user, argon2id hashes (RFC 9106)."""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROLES = ("user", "operator", "admin")
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
MIN_PASSWORD_CHARS = 8  # NIST SP 800-63B section 5.1.1
MAX_PASSWORD_CHARS = 256

_hasher = PasswordHasher()
# verified when there is no such user, so that an answer's time does not tell who exists
_NOBODY = _hasher.hash("nobody")


class UsersError(Exception):
    """The users file cannot be read, or an entry cannot be made."""


@dataclass(frozen=True, slots=True)
class User:
    """One who may sign in."""

    user_id: str
    username: str
    roles: tuple[str, ...]
    password_hash: str


class Users:
    """The file, read again whenever it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[float, int] | None = None
        self._users: dict[str, User] = {}

    def find(self, username: str) -> User | None:
        """Raises UsersError when the file is broken."""
        self._reload()
        return self._users.get(username)

    async def verify(self, username: str, password: str) -> User | None:
        """The user, if the password is theirs; some 50 ms of work in a thread."""
        user = self.find(username)
        matches = await asyncio.to_thread(_matches, user.password_hash if user else _NOBODY, password)
        return user if user is not None and matches else None

    def _reload(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._users, self._stamp = {}, None
            return
        stamp = (stat.st_mtime, stat.st_size)
        if stamp != self._stamp:
            self._users = {user.username: user for user in read(self._path)}
            self._stamp = stamp


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def read(path: Path) -> list[User]:
    """All users of a file. Raises UsersError."""
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["users"]
        return [
            User(entry["user_id"], entry["username"], tuple(entry["roles"]), entry["password_hash"])
            for entry in entries
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsersError(f"{path} is no users file: {error}") from None


def add_user(path: Path, username: str, password: str, roles: Sequence[str]) -> User:
    """Add a user, or give one a new password and roles. Raises UsersError."""
    if not NAME.fullmatch(username):
        raise UsersError("a user name has 1 to 64 letters, digits or _ . @ -")
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise UsersError(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    if not roles or set(roles) - set(ROLES):
        raise UsersError(f"roles are {', '.join(ROLES)}")
    others = [user for user in read(path) if user.username != username]
    user = User(username, username, tuple(roles), _hasher.hash(password))
    _write(path, [*others, user])
    return user


def _write(path: Path, users: list[User]) -> None:
    entries = [
        {"user_id": u.user_id, "username": u.username, "roles": list(u.roles), "password_hash": u.password_hash}
        for u in users
    ]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"users": entries}, indent=2) + "\n", encoding="utf-8")
    fresh.chmod(0o600)
    os.replace(fresh, path)  # noqa: PTH105 - atomic: a reader sees the old file or the new one
