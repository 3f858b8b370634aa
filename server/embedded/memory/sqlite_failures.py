"""What SQLite's failures mean: whether the disk is full, another program is in the way, or something is damaged; and the words for it."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING

import grpc

from server.embedded.service import MissingPartError, NotYetError

if TYPE_CHECKING:
    from pathlib import Path

BUSY_S = 1.0  # what another program's lock may hold up a call; callers wait three seconds for the memory
# Details of SQLITE_IOERR when only writing failed, as over a quota or a limit of the file's size.
WRITE_FAILED = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}
_PRIMARY_CODE = 0xFF  # of an SQLite error; the other bits are details


def _code(error: sqlite3.Error) -> int:
    """Python's own errors have no code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL)


def is_locked(error: sqlite3.Error) -> bool:
    """Another program has locked the database."""
    return _code(error) & _PRIMARY_CODE in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_full(error: sqlite3.Error) -> bool:
    """There is no room for what was to be written, or writing failed as over a quota."""
    return _code(error) & _PRIMARY_CODE == sqlite3.SQLITE_FULL or _code(error) in WRITE_FAILED


def is_malformed(error: sqlite3.Error) -> bool:
    """Pages of the database are not what had been written."""
    return _code(error) & _PRIMARY_CODE == sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """What was read is not what had been written. A full-text index also finds rows that it should not have, or not its own format."""
    code = _code(error)
    return code & _PRIMARY_CODE == sqlite3.SQLITE_CORRUPT or code in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR)


def refusal(error: sqlite3.Error, so: str) -> tuple[grpc.StatusCode, str]:
    """Status and words for a call that failed. `so`: what cannot be done therefore.

    A disk that takes no writes is not the service's fault, nor are another program's lock and what a disk has damaged: faults would close
    the memory to those, too, whose calls it can answer.
    """
    if is_malformed(error):
        return damaged(so)
    if is_locked(error):
        words = f"another program has locked the memory's database for more than {BUSY_S:g} s, so {so} just now"
        return grpc.StatusCode.RESOURCE_EXHAUSTED, words
    if _code(error) & _PRIMARY_CODE == sqlite3.SQLITE_FULL:
        return grpc.StatusCode.RESOURCE_EXHAUSTED, f"the disk is full, so {so}"
    if is_full(error) or _code(error) & _PRIMARY_CODE == sqlite3.SQLITE_READONLY:
        return grpc.StatusCode.RESOURCE_EXHAUSTED, f"the disk takes no writes, so {so}"
    return grpc.StatusCode.UNAVAILABLE, f"the database failed: {type(error).__name__}"


def damaged(so: str) -> tuple[grpc.StatusCode, str]:
    """Status and words for what is not done because the disk has damaged pages."""
    words = f"the disk has damaged the memory's database, so {so}. Its log says how to recover what can be read"
    return grpc.StatusCode.DATA_LOSS, words


def recovering(path: Path) -> str:
    """What an operator can do about damaged rows."""
    return f"Stop the services, then recover what can be read: sqlite3 {path} .recover | sqlite3 {path}.recovered"


def not_opened(path: Path, error: sqlite3.Error | OSError) -> MissingPartError:
    """Why, and what helps. Nobody is to move a healthy database away."""
    words = f"{path} cannot be used ({error})"
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return NotYetError(f"{words}: it is tried again") if full else MissingPartError(words)
    if is_locked(error):
        return NotYetError(f"{words}: another program uses it, and nothing in it is damaged. It is tried again")
    if is_full(error):
        return NotYetError(
            f"{words}: the disk is full or takes no writes, and nothing in it is damaged. It is tried again"
        )
    if is_malformed(error):
        return MissingPartError(f"{words}. {recovering(path)}. Or move it away to start with an empty one")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code & _PRIMARY_CODE in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return MissingPartError(f"{words}: move it away to start with an empty one")
    return MissingPartError(words)
