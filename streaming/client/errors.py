"""The client's only exception, with advice."""

from __future__ import annotations

from typing import Any

ADVICE = {
    "INVALID_URL": "Write it as http://HOST:PORT or https://HOST.",
    "UNAVAILABLE": "Is it running (`make run`), and are host and port right?",
    "NOT_A_GATEWAY": "Give the address of a Jarvis gateway, without a path.",
    "UNAUTHENTICATED": "Get a token: `jarvis-gateway token`, or POST /api/v1/auth/token; in development pass user_id instead.",
    "AUTH_TIMEOUT": "Pass a token: `jarvis-gateway token`, or POST /api/v1/auth/token; in development pass user_id instead.",
    "BAD_TOKEN": "Get a new token: `jarvis-gateway token`, or POST /api/v1/auth/token; in development pass user_id instead.",
    "TOKEN_EXPIRED": "Pass token as a function that returns a fresh one, and the client renews it by itself.",
    "PERMISSION_DENIED": "Ask for a token with the role that this needs: user, operator or admin.",
    "FORBIDDEN": "Take another session_id: this session belongs to somebody else.",
    "TOO_MANY_SOCKETS": "Close a client of this user first.",
    "SESSION_TAKEN_OVER": "Give each client a session_id of its own.",
    "SESSION_LOST": "What was under way has ended: ask again.",
    "RATE_LIMITED": "Wait a moment, then ask again.",
    "TIMEOUT": "Ask again, or give timeout_s more time.",
    "NO_SOUND": "Install it by `pip install 'jarvis-client[sound]'`, on Debian also `apt-get install libportaudio2`.",
    "CALLBACK_FAILED": "The exception of your own function is this one's __cause__. An action that it was asked about was declined.",
    "CLOSED": "Use the client inside of its `with` block.",
    "UNKNOWN_OPERATION": "The operations and their parameters: /docs of the gateway.",
    "VALIDATION_ERROR": "The operations and their parameters: /docs of the gateway.",
    "MESSAGE_TOO_BIG": "Send less at a time.",
    "TEXT_TOO_LONG": "Send less at a time.",
    "INVALID_AUDIO": "Send 16-bit mono PCM in whole samples, at the sample rate that was named.",
    "TOO_MANY_CHANNELS": "Wait until something that is under way has ended, or use another client.",
    "TOO_MANY_CALLS": "Wait for an answer first.",
    "SAFETY_DENIED": "This gateway's policies allow it to nobody, or only to other roles.",
    "DEADLINE_EXCEEDED": "The service behind the gateway is slow: ask again, or see GET /health.",
    "RESOURCE_EXHAUSTED": "Wait a moment, then ask again.",
    "OVERLOADED": "Wait a moment, then ask again.",
    "CIRCUIT_OPEN": "The service behind the gateway is down: GET /health says why.",
}


class GatewayError(Exception):
    """Any failure. `code`: the wire's UPPER_SNAKE or one of ADVICE; `message`: what failed; `advice`: what to do.

    `details` of a refused `call`: `confirmation_id`, `errors` and the like.
    """

    def __init__(self, code: str, message: str, advice: str = "", details: dict[str, Any] | None = None) -> None:
        self.code = code
        self.message = message
        self.details = details or {}
        self.advice = advice or ADVICE.get(code, "")
        super().__init__(f"{code}: {message.rstrip('.')}{'. ' + self.advice if self.advice else ''}")
