"""The key that signs tokens under DEBUG when none is configured. It is created once and kept in EMBEDDED_DIR.

A signed-in page therefore survives a restart, and `python -m server token` makes tokens that the running gateway accepts.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

    from server.config import Settings

NAME = "development.key"
KEY_BYTES = 64
MIN_CHARS = 64  # a shorter file is truncated, and is written again


def key_file(directory: Path) -> Path:
    """Path of the key file; `directory` is EMBEDDED_DIR."""
    return directory / NAME


def kept_key(directory: Path) -> str:
    """The directory's key, created if missing. Raises OSError if it cannot be stored."""
    file = key_file(directory)
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        key = file.read_text(encoding="ascii").strip()
        if len(key) >= MIN_CHARS:
            return key
        file.unlink()
    return _made(file)


def _made(file: Path) -> str:
    """Create a key, or return the one that another process created first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)  # readable by the owner only
    try:
        fresh.write_text(secrets.token_urlsafe(KEY_BYTES) + "\n", encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
    finally:
        fresh.unlink()
    return file.read_text(encoding="ascii").strip()


def has_own_key(settings: Settings) -> bool:
    """True if the user configured a secret or public keys."""
    named = "jwt_secret_key" in settings.model_fields_set or settings.jwt_secret_key_file is not None
    return named or not settings.jwt_algorithm.startswith("HS")


def with_kept_key(settings: Settings) -> Settings:
    """The settings, completed with the kept key under DEBUG when none is configured. Raises OSError if it cannot be stored."""
    if not settings.debug or has_own_key(settings):
        return settings
    return settings.model_copy(update={"jwt_secret_key": SecretStr(kept_key(settings.embedded_dir))})
