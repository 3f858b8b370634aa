"""Tokens: whose they are, and how they are made, renewed, revoked and swapped for tickets.

JWT (RFC 7519). A token needs `sub`, `username`, `roles`, `exp`, `iat` at most; those made here add `jti`, `typ` and `fam`, the
family that all refreshes of one sign-in share (RFC 9700 section 4.14.2: a refresh token used twice revokes its family).
"""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from server.errors import ApiError
from server.jwks import KeySet

if TYPE_CHECKING:
    from collections.abc import Collection

    from server.config import Settings
    from server.state import State
    from server.users import Users

MAX_TOKEN_CHARS = 8192
MAX_REMEMBERED = 10_000  # verified tokens; the ones not seen for longest make room
MAX_SUBJECT_CHARS = 256
MAX_ROLES = 64
LEEWAY_S = 5  # clocks of two machines
GRACE_S = 10.0  # two tabs that refresh at once get the same new pair
TICKET_S = 30


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token speaks for. `expires_at` unix seconds; None for an anonymous development session."""

    user_id: str
    username: str
    roles: frozenset[str]
    token_id: str = ""
    family: str = ""
    expires_at: float | None = None
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in gives. `expires_in` seconds, of the access token."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750's name for it


def _invalid(detail: str, code: str = "TOKEN_INVALID") -> ApiError:
    challenge = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{detail}"'}
    return ApiError(code, detail, headers=challenge)


class Authenticator:
    """All about tokens."""

    def __init__(self, settings: Settings, state: State, users: Users) -> None:
        self._settings = settings
        self._state = state
        self._users = users
        self._algorithm = settings.jwt_algorithm
        self._secret = settings.jwt_secret_key.get_secret_value()
        self._keys = None if self._algorithm.startswith("HS") else KeySet(settings.jwt_jwks)
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    # --- verifying ---

    async def verify(self, token: str) -> Principal:
        """Whose access token is it? Raises ApiError 401."""
        principal = self._verified.get(token)
        if principal is None:
            principal = self._principal(await self._claims(token))
            self._verified[token] = principal
            if len(self._verified) > MAX_REMEMBERED:
                self._verified.popitem(last=False)
        else:
            self._verified.move_to_end(token)
        self._check_alive(token, principal)
        return principal

    def _check_alive(self, token: str, principal: Principal) -> None:
        if principal.expires_at is not None and principal.expires_at + LEEWAY_S < time.time():
            self._verified.pop(token, None)
            raise _invalid("the token has expired", "TOKEN_EXPIRED")
        if self._state.revoked(principal.token_id) or self._state.revoked(principal.family):
            raise _invalid("the token was signed out", "TOKEN_REVOKED")

    async def _claims(self, token: str) -> dict[str, Any]:
        """Signature and standard claims. The algorithm is ours, never the token's."""
        if len(token) > MAX_TOKEN_CHARS:
            raise _invalid("the token is too long")
        try:
            key = self._secret if self._keys is None else await self._public_key(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[self._algorithm],
                audience=self._settings.jwt_audience or None,
                issuer=self._settings.jwt_issuer or None,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"], "verify_aud": bool(self._settings.jwt_audience)},
            )
        except jwt.ExpiredSignatureError:
            raise _invalid("the token has expired", "TOKEN_EXPIRED") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise _invalid("the token is not valid") from None
        return claims

    async def _public_key(self, token: str) -> Any:
        assert self._keys is not None
        key_id = jwt.get_unverified_header(token).get("kid")
        key = await self._keys.key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        return key

    def _principal(self, claims: dict[str, Any]) -> Principal:
        """PyJWT leaves the types of claims alone: they are checked here."""
        subject, expires_at, roles = claims["sub"], claims["exp"], claims.get("roles", [])
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
            raise _invalid("sub has to be a string that is not empty")
        if type(expires_at) not in {int, float}:
            raise _invalid("exp has to be a number")
        if not isinstance(roles, list) or len(roles) > MAX_ROLES or not all(isinstance(role, str) for role in roles):
            raise _invalid("roles has to be a list of strings")
        if claims.get("typ", "access") != "access":
            raise _invalid("that is no access token")
        username = claims.get("username", subject)
        if not isinstance(username, str):
            raise _invalid("username has to be a string")
        return Principal(
            subject, username, frozenset(roles), _text(claims, "jti"), _text(claims, "fam"), float(expires_at)
        )

    # --- issuing ---

    def issue_access(
        self, user_id: str, username: str, roles: Collection[str], *, family: str = "", life_s: float = 0
    ) -> str:
        """An access token. Raises ApiError when an outside provider issues them."""
        return self._sign(
            user_id, username, roles, "access", family, life_s or self._settings.jwt_expiration_minutes * 60
        )

    def _sign(self, user_id: str, username: str, roles: Collection[str], typ: str, family: str, life_s: float) -> str:
        if self._keys is not None:
            raise ApiError("UNIMPLEMENTED", "tokens are issued by the identity provider")
        now = int(time.time())
        claims = {
            "sub": user_id,
            "username": username,
            "roles": sorted(roles),
            "iat": now,
            "exp": now + int(life_s),
            "jti": secrets.token_urlsafe(16),
            "typ": typ,
            "fam": family,
        }
        claims |= {k: v for k, v in (("aud", self._settings.jwt_audience), ("iss", self._settings.jwt_issuer)) if v}
        return jwt.encode(claims, self._secret, algorithm=self._algorithm)

    def _pair(self, user_id: str, username: str, roles: Collection[str], family: str) -> TokenPair:
        refresh_life_s = self._settings.jwt_refresh_expiration_days * 86_400
        return TokenPair(
            self.issue_access(user_id, username, roles, family=family),
            self._sign(user_id, username, roles, "refresh", family, refresh_life_s),
            self._settings.jwt_expiration_minutes * 60,
        )

    async def sign_in(self, username: str, password: str) -> TokenPair:
        """A pair for a configured user. Raises ApiError BAD_CREDENTIALS."""
        user = await self._users.verify(username, password)
        if user is None:
            raise ApiError("BAD_CREDENTIALS", "user name or password is wrong")
        return self._pair(user.user_id, user.username, user.roles, secrets.token_urlsafe(16))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair; the old refresh token counts once. Roles are those the user has now. Raises ApiError 401."""
        claims = await self._claims(refresh_token)
        token_id, family = _text(claims, "jti"), _text(claims, "fam")
        if claims.get("typ") != "refresh" or not token_id or not family:
            raise _invalid("that is no refresh token")
        if self._state.revoked(family) or self._state.revoked(token_id):
            raise _invalid("the token was signed out", "TOKEN_REVOKED")
        user = self._users.find(claims["username"])
        if user is None:
            raise _invalid("the user is gone", "TOKEN_REVOKED")
        pair = self._pair(user.user_id, user.username, user.roles, family)
        return await self._rotate(token_id, family, pair, float(claims["exp"]))

    async def _rotate(self, token_id: str, family: str, pair: TokenPair, until: float) -> TokenPair:
        """Exactly one caller gets its own pair through; a close second gets the same one; a late one revokes the family."""
        record = json.dumps([time.time(), pair.access_token, pair.refresh_token, pair.expires_in])
        key = f"refreshed:{token_id}"
        if await self._state.put(key, record, max(1.0, until - time.time()), only_new=True):
            return pair
        used_at, access, refresh, expires_in = json.loads(await self._state.get(key) or "[0, null, null, 0]")
        if access is not None and time.time() - used_at <= GRACE_S:
            return TokenPair(access, refresh, expires_in)
        await self._state.revoke(family, time.time() + self._settings.jwt_refresh_expiration_days * 86_400)
        raise _invalid("a refresh token was used twice: sign in again", "TOKEN_REVOKED")

    async def sign_out(self, principal: Principal) -> None:
        """Nothing of this sign-in counts any more, on any replica; sockets close."""
        until = time.time() + self._settings.jwt_refresh_expiration_days * 86_400
        if principal.family:
            await self._state.revoke(principal.family, until)
        if principal.token_id:
            await self._state.revoke(principal.token_id, principal.expires_at or until)

    # --- tickets ---

    async def issue_ticket(self, principal: Principal) -> tuple[str, int]:
        """A single-use ticket for a browser's WebSocket, and the seconds it lives."""
        ticket = secrets.token_urlsafe(24)
        record = {
            "user_id": principal.user_id,
            "username": principal.username,
            "roles": sorted(principal.roles),
            "token_id": principal.token_id,
            "family": principal.family,
            "expires_at": principal.expires_at,
        }
        await self._state.put(f"ticket:{ticket}", json.dumps(record), TICKET_S)
        return ticket, TICKET_S

    async def redeem_ticket(self, ticket: str) -> Principal:
        """Whose ticket was it? Raises ApiError 401."""
        record = await self._state.take(f"ticket:{ticket}")
        if record is None:
            raise _invalid("the ticket was used, has expired, or never was")
        fields = json.loads(record)
        return Principal(**{**fields, "roles": frozenset(fields["roles"])})


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) else ""
