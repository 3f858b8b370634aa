"""Hides tokens in a message before an observer sees it."""

from __future__ import annotations

from typing import Any

HIDDEN = "(hidden)"
_SECRETS = ("token", "resume_token")


def redacted(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its tokens hidden. jarvis.v1 has them in fields of the message itself, never deeper."""
    hidden = {name: HIDDEN for name in _SECRETS if name in message}
    return message | hidden if hidden else message
