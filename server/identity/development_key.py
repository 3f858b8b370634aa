"""The key that signs tokens under DEBUG when none is configured: made once, kept beside what the embedded services keep.

So a page that is signed in outlives a restart, and `python -m server token` makes tokens that the running gateway takes.
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
MIN_CHARS = 64  # a file that is shorter was cut off, and is made anew


def key_file(directory: Path) -> Path:
    """Where the key is kept; `directory` is EMBEDDED_DIR."""
    return directory / NAME


def kept_key(directory: Path) -> str:
    """The key of that directory, made if there is none. Raises OSError where nothing can be kept."""
    file = key_file(directory)
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        key = file.read_text(encoding="ascii").strip()
        if len(key) >= MIN_CHARS:
            return key
        file.unlink()
    return _made(file)


def _made(file: Path) -> str:
    """A new key, or that of another process which was faster."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)  # nobody else ever reads it
    try:
        fresh.write_text(secrets.token_urlsafe(KEY_BYTES) + "\n", encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
    finally:
        fresh.unlink()
    return file.read_text(encoding="ascii").strip()


def has_own_key(settings: Settings) -> bool:
    """Did the user configure a key, or public keys?"""
    named = "jwt_secret_key" in settings.model_fields_set or settings.jwt_secret_key_file is not None
    return named or not settings.jwt_algorithm.startswith("HS")


def with_kept_key(settings: Settings) -> Settings:
    """The settings, under DEBUG with the kept key where none was configured. Raises OSError where nothing can be kept."""
    if not settings.debug or has_own_key(settings):
        return settings
    return settings.model_copy(update={"jwt_secret_key": SecretStr(kept_key(settings.embedded_dir))})
