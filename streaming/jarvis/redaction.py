"""Removes tokens from a message before an observer sees it."""

from __future__ import annotations

from typing import Any

HIDDEN = "(hidden)"
_SECRETS = ("token", "resume_token")


def redacted(message: dict[str, Any]) -> dict[str, Any]:
    """The message without its tokens. In jarvis.v1 they are top-level fields, never nested."""
    hidden = {name: HIDDEN for name in _SECRETS if name in message}
    return message | hidden if hidden else message
