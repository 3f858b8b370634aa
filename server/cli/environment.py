"""The commands' default settings, `.env`, and how `make run` starts a gateway."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from server.config import ConfigError, Settings, configured_port, load_settings
from server.identity.development_key import key_file, with_kept_key
from server.mistyped import warning

LAPTOP = {"DEBUG": "true", "HOST": "127.0.0.1"}  # the defaults of `make run`, unless environment or .env differ
OWN_KEYS = ("JWT_SECRET_KEY", "JWT_SECRET_KEY_FILE", "JWT_JWKS")


def variables() -> dict[str, str]:
    """The variables of the environment and, with less precedence, `.env`. Raises ConfigError if that cannot be read."""
    return {**_of_file(), **os.environ}


def mistyped_names() -> str | None:
    """One line about names in `.env` that were probably meant for settings. Raises ConfigError if it cannot be read."""
    return warning(_of_file())


def _of_file() -> dict[str, str]:
    try:
        return {name: value or "" for name, value in dotenv_values(".env").items()}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([f".env: {why}"]) from None


def laptop_defaults() -> None:
    """Set DEBUG and HOST for `make run`, unless they are configured."""
    known = variables()
    for name, value in LAPTOP.items():
        if name not in known:
            os.environ[name] = value


def serving_settings() -> Settings:
    """The settings, with this folder's development key if no other key is configured.

    If the folder cannot store the key, it only lasts for this run. Raises ConfigError.
    """
    settings = load_settings()
    try:
        return with_kept_key(settings)
    except OSError:
        return settings


def client_settings() -> Settings:
    """The settings of this folder's gateway; those of `make run` if it has stored a key and no other is configured.

    Raises ConfigError.
    """
    known = variables()
    if "DEBUG" not in known and not any(known.get(name) for name in OWN_KEYS) and _kept(known).is_file():
        os.environ["DEBUG"] = "true"
    settings = load_settings()
    try:
        return with_kept_key(settings)
    except OSError as error:
        file = key_file(settings.embedded_dir)
        raise ConfigError([f"{file}: the development key cannot be kept: {error.strerror}"]) from None


def _kept(known: dict[str, str]) -> Path:
    directory = known.get("EMBEDDED_DIR") or Settings.model_fields["embedded_dir"].default
    return key_file(Path(directory))


def gateway_address() -> str:
    """The address of this folder's gateway, by PORT and `.env`, which other invalid settings do not hide. Raises ConfigError."""
    return f"ws://127.0.0.1:{configured_port()}"


def saved_token() -> str:
    """JARVIS_TOKEN from the environment or `.env`."""
    return variables().get("JARVIS_TOKEN", "")
