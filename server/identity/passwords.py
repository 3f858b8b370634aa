"""Password hashes: argon2id (RFC 9106). Imported by whoever needs one, because most gateways have no users of their own."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()  # RFC 9106's second recommended option: argon2id, 64 MiB, 3 passes


def hashed(password: str) -> str:
    """The hash to store; takes some 50 ms. Raises UnicodeEncodeError."""
    return _hasher.hash(password)


def matches(password_hash: str, password: str) -> bool:
    """True if it is the password; takes as long."""
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


@cache
def hash_of_nobody() -> str:
    """A hash to verify when the user does not exist, so that the response time does not reveal who exists."""
    return _hasher.hash("nobody")
