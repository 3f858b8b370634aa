"""What the commands know before they are told: settings, `.env`, and how `make run` starts a gateway."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from server.config import ConfigError, Settings, load_settings
from server.identity.development_key import key_file, with_kept_key

LAPTOP = {"DEBUG": "true", "HOST": "127.0.0.1"}  # what `make run` means unless environment or .env say otherwise
OWN_KEYS = ("JWT_SECRET_KEY", "JWT_SECRET_KEY_FILE", "JWT_JWKS")


def variables() -> dict[str, str]:
    """The environment over `.env`. Raises ConfigError where that cannot be read."""
    try:
        return {**{name: value or "" for name, value in dotenv_values(".env").items()}, **os.environ}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([f".env: {why}"]) from None


def laptop_defaults() -> None:
    """Set DEBUG and HOST as `make run` means them, where nobody has said otherwise."""
    known = variables()
    for name, value in LAPTOP.items():
        if name not in known:
            os.environ[name] = value


def serving_settings() -> Settings:
    """The settings, with the development key of this folder where no other signs.

    A folder that keeps nothing costs the key's outliving the run, no more. Raises ConfigError.
    """
    settings = load_settings()
    try:
        return with_kept_key(settings)
    except OSError:
        return settings


def client_settings() -> Settings:
    """Those of the gateway that runs in this folder: one of `make run`, where that has kept a key and no other is configured.

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
    """Where the gateway of this folder listens, by PORT and `.env`."""
    return f"ws://127.0.0.1:{variables().get('PORT') or Settings.model_fields['port'].default}"


def saved_token() -> str:
    """JARVIS_TOKEN, of the environment or `.env`."""
    return variables().get("JARVIS_TOKEN", "")
