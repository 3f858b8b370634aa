"""How sockets of this dialect are closed: the codes, and the last `error` before them."""

from __future__ import annotations

from streaming.openai.mistakes import MistakeError
from streaming.residents import Departure

NORMAL = 1000  # the client has finished the session
RESTART = 1012  # the official clients reconnect after this code
POLICY = 1008  # but not after this one
DEPARTURES = {
    Departure.RESTART: (RESTART, "session_restart", "the gateway restarts: connect again"),
    Departure.SIGNED_OUT: (POLICY, "token_revoked", "the token was signed out"),
}


def last_mistake(code: int, word: str, message: str) -> MistakeError:
    """Why the socket is closed with this code. POLICY is about the client: its token has ended, or it does not read."""
    return MistakeError(word, message, kind="invalid_request_error" if code == POLICY else "server_error")
