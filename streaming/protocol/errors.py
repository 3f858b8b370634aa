"""Errors of this side, errors of the other side, and the error codes of the socket. Close codes are in `close_codes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.errors import CATALOGUE

if TYPE_CHECKING:
    from streaming.errors import ErrorKind
    from streaming.protocol.close_codes import CloseCode


class LocalProtocolError(Exception):
    """The caller asked the core for something that the protocol forbids. A bug in the caller."""


class RemoteProtocolError(Exception):
    """The other side broke the framing. The socket must be closed with `close_code`; `message` may be sent along."""

    def __init__(self, close_code: CloseCode, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.message = message


ERROR_CODES: dict[str, ErrorKind] = {code: kind for code, kind in CATALOGUE.items() if kind.on_socket}
"""The codes of the `error` event."""
