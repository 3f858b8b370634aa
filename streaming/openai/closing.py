"""How sockets of this dialect are closed: the codes, and the last `error` before them."""

from __future__ import annotations

from streaming.openai.mistakes import MistakeError
from streaming.residents import Departure
from streaming.rfc6455 import POLICY_VIOLATION, SERVICE_RESTART

# The official clients reconnect after SERVICE_RESTART, but not after POLICY_VIOLATION.
DEPARTURES = {
    Departure.RESTART: (SERVICE_RESTART, "session_restart", "the gateway restarts: connect again"),
    Departure.SIGNED_OUT: (POLICY_VIOLATION, "token_revoked", "the token was signed out"),
}


def last_mistake(code: int, word: str, message: str) -> MistakeError:
    """Why the socket is closed with this code. POLICY_VIOLATION is about the client: its token has ended, or it does not read."""
    return MistakeError(word, message, kind="invalid_request_error" if code == POLICY_VIOLATION else "server_error")
