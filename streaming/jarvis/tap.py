"""A look at a session's wire, both ways, as it happens: what observers and recordings stand on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.jarvis.live import LiveSession

    Recorder = Callable[[LiveSession], "Tap | None"]
    """What records a new session; None where it can't."""

HIDDEN = "(hidden)"
_SECRETS = ("token", "resume_token")
_MARK = 'token"'  # in every message that has a secret, and in few others


class Tap(Protocol):
    """Looks at one session. It returns at once and never raises; secrets are in what it gets: see `without_secrets`."""

    def received(self, data: str | bytes, at_s: float) -> None:
        """A message or frame came in, at this time of the loop's clock."""

    def sent(self, batch: list[str | bytes], at_s: float) -> None:
        """A batch left. After a resume, what the client had missed leaves once more."""

    def ended(self) -> None:
        """The session is over."""


def without_secrets(text: str) -> str:
    """A text message that may be shown or kept: tokens are hidden in it."""
    if _MARK not in text:
        return text
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps({"type": HIDDEN})  # not even JSON, or too deep, and perhaps with a token
    if not isinstance(message, dict):
        return json.dumps({"type": HIDDEN})
    hidden = {name: HIDDEN for name in _SECRETS if name in message}
    return json.dumps(message | hidden, separators=(",", ":")) if hidden else text
