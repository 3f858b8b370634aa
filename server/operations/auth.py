"""Sign-in, refresh, sign-out and tickets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from server.errors import ApiError, retry_after
from server.net.client_address import address_key
from server.operations.operation import KIB, Access, NoParameters, Operation, RequestModel, ResponseModel

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.identity.auth import TokenPair
    from server.operations.operation import Caller

MAX_TOKEN_CHARS = 8_192
MAX_PASSWORD_CHARS = 256  # argon2 accepts any length, and hashing megabytes would keep it busy
SMALL_BODY_BYTES = 16 * KIB
MAX_ATTEMPTS = 10  # per address and name …
ATTEMPTS_WINDOW_S = 300  # … in five minutes: enough for a forgetful user, too few for a dictionary attack


class SignInRequest(RequestModel):
    """A configured user's name and password."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "ada", "password": "correct horse"}]})

    username: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PASSWORD_CHARS)]


class RefreshRequest(RequestModel):
    """The newest refresh token."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARS)]


class TokenAnswer(ResponseModel):
    """A token pair. `expires_in`: life of the access token in seconds (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class TicketAnswer(ResponseModel):
    """A ticket for one WebSocket's `?ticket=`; valid for `expires_in` seconds."""

    ticket: str
    expires_in: int = Field(le=30)


def _token_answer(pair: TokenPair) -> TokenAnswer:
    return TokenAnswer(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        token_type="Bearer",  # noqa: S106 - RFC 6750's name of the scheme
        expires_in=pair.expires_in,
    )


def _digest(name: str) -> str:
    """Hash a name for use in a key: keys never contain a client's raw text."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


async def sign_in(gateway: Gateway, caller: Caller, request: SignInRequest) -> TokenAnswer:
    """A token pair for the right password. Attempts are limited per address and name."""
    attempt = await gateway.limiter.check(
        f"login:{address_key(caller.client_ip)}:{_digest(request.username)}", MAX_ATTEMPTS, ATTEMPTS_WINDOW_S
    )
    if not attempt.allowed:
        raise ApiError(
            "RATE_LIMITED",
            "too many attempts to sign in",
            headers={"Retry-After": retry_after(attempt.retry_after_s)},
        )
    return _token_answer(await gateway.authenticator.sign_in(request.username, request.password))


async def refresh(gateway: Gateway, _caller: Caller, request: RefreshRequest) -> TokenAnswer:
    """A new token pair for a refresh token."""
    return _token_answer(await gateway.authenticator.refresh(request.refresh_token))


async def sign_out(gateway: Gateway, caller: Caller, _request: NoParameters) -> None:
    """Revoke the token and all others of the same sign-in."""
    await gateway.authenticator.sign_out(caller.identity)


async def issue_ticket(gateway: Gateway, caller: Caller, _request: NoParameters) -> TicketAnswer:
    """A ticket for a browser, whose WebSocket cannot send a header."""
    ticket, expires_in = await gateway.authenticator.issue_ticket(caller.identity)
    return TicketAnswer(ticket=ticket, expires_in=expires_in)


OPERATIONS = (
    Operation(
        name="auth.token",
        method="POST",
        path="/api/v1/auth/token",
        summary="Sign in",
        access=Access.PUBLIC,
        request=SignInRequest,
        response=TokenAnswer,
        run=sign_in,
        body_limit_bytes=SMALL_BODY_BYTES,
        callable=False,
        refusals=(
            "BAD_CREDENTIALS",
            "UNIMPLEMENTED",
        ),
    ),
    Operation(
        name="auth.refresh",
        method="POST",
        path="/api/v1/auth/refresh",
        summary="Swap a refresh token for a new pair",
        description="An old refresh token that comes again revokes its family, but for ten seconds in which racing tabs get the same pair.",
        access=Access.PUBLIC,
        request=RefreshRequest,
        response=TokenAnswer,
        run=refresh,
        body_limit_bytes=SMALL_BODY_BYTES,
        callable=False,
        refusals=(
            "TOKEN_INVALID",
            "TOKEN_EXPIRED",
            "TOKEN_REVOKED",
            "UNIMPLEMENTED",
        ),
    ),
    Operation(
        name="auth.logout",
        method="POST",
        path="/api/v1/auth/logout",
        summary="Sign out; live sockets of the token close",
        access=Access.SIGNED_IN,
        run=sign_out,
        status=204,
        callable=False,
    ),
    Operation(
        name="auth.ticket",
        method="POST",
        path="/api/v1/auth/ticket",
        summary="Get a single-use WebSocket ticket",
        access=Access.SIGNED_IN,
        response=TicketAnswer,
        run=issue_ticket,
        callable=False,
    ),
)
