"""Why a gateway could not be reached or does not take us, as a GatewayError."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.websocket import WebSocketError

from streaming.client.errors import GatewayError
from streaming.protocol.close_codes import CLOSE_CODES, CloseCode

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSALS = {  # status of a failed handshake → code
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_A_GATEWAY",
    429: "RATE_LIMITED",
}


class NoTokenError(ConnectionError):
    """The user's function for tokens failed. It may do better at the next attempt."""


def of_handshake(address: str, error: Exception) -> GatewayError:
    """Why the WebSocket did not open."""
    if isinstance(error, NoTokenError):
        return GatewayError("UNAUTHENTICATED", str(error), "The function that was passed as token failed.")
    if isinstance(error, WebSocketError):
        return GatewayError("NOT_A_GATEWAY", f"{address} answers, but not as a WebSocket")
    if isinstance(error, HTTPTimeoutError):
        return GatewayError("UNAVAILABLE", f"{address} does not answer: {error.message}")
    if isinstance(error, HTTPClientError):
        target = error.response.headers.get("Location") if error.response is not None else None
        if HTTPStatus.MULTIPLE_CHOICES <= error.code < HTTPStatus.BAD_REQUEST and target:
            return GatewayError(
                "NOT_A_GATEWAY", f"{address} redirects to {target}", "Give the address to which it redirects."
            )
        if error.code in _REFUSALS:
            return GatewayError(_REFUSALS[error.code], f"{address} refuses the connection ({error})")
    if isinstance(error, ssl.SSLCertVerificationError):
        return GatewayError(
            "UNAVAILABLE",
            f"the certificate of {address} is not trusted: {error.verify_message}",
            "Name your own authority's certificate in SSL_CERT_FILE.",
        )
    if isinstance(error, ssl.SSLError):
        return GatewayError(
            "UNAVAILABLE", f"{address} does not speak TLS: {error}", "Write http:// for a gateway without TLS."
        )
    return GatewayError("UNAVAILABLE", f"no gateway at {address}: {error}")


def of_close(code: int, reason: str | None) -> GatewayError:
    """Why the gateway closed the socket."""
    known = CLOSE_CODES.get(code)
    return GatewayError(known.name if known else str(code), reason or (known.meaning if known else ""))


def of_greeting(address: str, code: int | None, reason: str | None) -> GatewayError:
    """Why the socket closed before the session was ready; `code` is None if nothing came."""
    if code is None or code == CloseCode.NORMAL:
        return GatewayError("NOT_A_GATEWAY", f"{address} opens a WebSocket, but no session")
    return of_close(code, reason)


def of_command(code: str, message: str, details: Mapping[str, Any] | None) -> GatewayError:
    """Why the gateway refused a command. Names the fields that are wrong."""
    wrong = [f"{error['pointer'].removeprefix('#/')}: {error['detail']}" for error in (details or {}).get("errors", [])]
    said = f"{message} ({'; '.join(wrong)})" if wrong else message
    return GatewayError(code, said, details=dict(details or {}))
