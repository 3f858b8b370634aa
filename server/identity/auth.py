"""Authentication: verify and cache tokens, issue, refresh and revoke them, and exchange them for tickets.

A token needs at most `sub`, `username`, `roles`, `exp` and `iat`. Tokens issued here add `jti`, `typ` and `fam`, the family shared
by all refreshes of one sign-in (RFC 9700 section 4.14.2: reuse of a refresh token revokes its family).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.errors import ApiError
from server.identity.sealing import sealed, unsealed
from server.identity.tokens import LEEWAY_S, TokenCodec, TokenError
from server.identity.users import UsersBusyError
from server.roles import ROLES
from server.shared.in_process_state import SECRETS
from streaming.ports import Identity
from streaming.redaction import without_tool_secrets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Generator

    from server.config import Settings
    from server.identity.users import Users
    from server.shared.state import State

__all__ = ["Authenticator", "TokenError", "TokenPair"]

MAX_REMEMBERED = 10_000  # verified tokens, some 10 MB; the least recently used are evicted
GRACE_S = 10.0  # two tabs that refresh within this time get the same new pair
TICKET_S = 30
MAX_TICKET_CHARS = 128
CLIENT_SECRET = "ek_"  # noqa: S105 - a prefix; OpenAI's browser clients accept no other key
# Of the settings that come with one, and of all that a user is given in the longest time that one lives, as Redis keeps them: else
# one user could fill it. A hundred a minute, with a page of instructions each, have room.
MAX_SECRET_BYTES = 96 * 1024
MOST_SECRETS_BYTES = 32 * 1024 * 1024
SECRETS_S = 7_200
GIVEN_SECRETS = "secrets:"  # the key under which they are counted
DAY_S = 86_400
SIGN_IN_CODE_BYTES = 9  # 72 bits, 12 characters: short enough for a link in a terminal
SIGN_IN_CODE_S = DAY_S  # the link may wait in a terminal for hours before somebody opens it
DEVELOPER = "developer"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of one sign-in. `expires_in`: life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750's name for it


@dataclass(frozen=True, slots=True)
class _Grant:
    """Whom a token pair is for, and when it was issued. The pair is derived from this and from the spent refresh token."""

    user_id: str
    username: str
    roles: tuple[str, ...]
    at: float


class _RevocationCheck:
    """A pending revocation check in Redis. Awaiting it raises TokenError if the token was revoked."""

    __slots__ = ("_lookup",)

    def __init__(self, lookup: Awaitable[bool]) -> None:
        self._lookup = lookup

    def __await__(self) -> Generator[Any, None, None]:
        if (yield from self._lookup.__await__()):
            raise _revoked()


def _revoked() -> TokenError:
    return TokenError("revoked", "the token was signed out", "TOKEN_REVOKED")


class Authenticator:
    """Verifies, issues, refreshes and revokes tokens. `clock`: Unix seconds."""

    def __init__(self, settings: Settings, state: State, users: Users, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._users = users
        self._clock = clock
        self._codec = TokenCodec(settings, clock)
        self._secret = settings.jwt_secret_key.get_secret_value().encode()
        self._access_s = settings.jwt_expiration_minutes * 60
        self._refresh_s = settings.jwt_refresh_expiration_days * DAY_S
        self._verified: OrderedDict[str, Identity] = OrderedDict()

    # --- verifying ---

    async def verify(self, token: str) -> Identity:
        """The identity of an access token. Raises TokenError (401).

        Makes no round trip, so a revocation on another replica may not be known here yet. Await `revocation` as well before
        acting in the user's name, or use `admit`.
        """
        identity = self._verified.get(token)
        if identity is None:
            identity = await self._codec.read(token, "access")
            self._remember(token, identity)
        else:
            self._verified.move_to_end(token)
        self._check_alive(token, identity)
        return identity

    async def admit(self, token: str) -> Identity:
        """The identity of an access token that no replica revoked, for a socket that begins or gets a new token. Raises TokenError (401)."""
        identity = await self.verify(token)
        await self.revocation(identity)
        self._check_alive(token, identity)  # it may have expired while Redis was asked
        return identity

    def check_signed_in(self, identity: Identity) -> None:
        """Check a verified identity again, after a wait. Raises TokenError if its token has expired or was revoked meanwhile."""
        self._check_alive("", identity)

    def _remember(self, token: str, identity: Identity) -> None:
        self._verified[token] = identity
        if len(self._verified) > MAX_REMEMBERED:
            self._verified.popitem(last=False)

    def _check_alive(self, token: str, identity: Identity) -> None:
        if identity.expires_at is not None and identity.expires_at + LEEWAY_S <= self._clock():
            self._verified.pop(token, None)
            raise TokenError("expired", "the token has expired", "TOKEN_EXPIRED")
        if self._state.revoked(*_ids(identity)):
            raise _revoked()

    def revocation(self, identity: Identity) -> Awaitable[None]:
        """Ask whether any replica revoked the token. Awaiting the answer raises TokenError TOKEN_REVOKED.

        Call this before `RateLimiter.check` and await it afterwards: both then share one round trip. While Redis is lost, only
        revocations known to this process count.
        """
        return _RevocationCheck(self._state.revocation(*_ids(identity)))

    # --- issuing ---

    @property
    def issues(self) -> bool:
        """True if this gateway issues tokens, False if an outside provider does."""
        return self._codec.issues

    def issue_access(
        self, user_id: str, username: str, roles: Collection[str], *, family: str = "", life_s: float = 0
    ) -> str:
        """An access token. Raises ApiError when an outside provider issues them."""
        grant = _Grant(user_id, username, tuple(roles), self._clock())
        return self._sign(grant, "access", family, secrets.token_urlsafe(16), life_s or self._access_s)

    def _sign(self, grant: _Grant, typ: str, family: str, token_id: str, life_s: float) -> str:
        claims = {
            "sub": grant.user_id,
            "username": grant.username,
            "roles": sorted(grant.roles),
            "iat": int(grant.at),
            "exp": int(grant.at + life_s),
            "jti": token_id,
            "typ": typ,
        }
        return self._codec.sign(claims | ({"fam": family} if family else {}))

    def _pair(self, grant: _Grant, family: str, spent: str) -> TokenPair:
        """Derive the pair that replaces a refresh token. It is deterministic, so no secret is stored for a second tab."""
        access, refresh = (
            self._sign(grant, typ, family, self._next_id(spent, typ), life_s)
            for typ, life_s in (("access", self._access_s), ("refresh", self._refresh_s))
        )
        return TokenPair(access, refresh, self._access_s)

    def _next_id(self, spent: str, typ: str) -> str:
        digest = hmac.digest(self._secret, f"{typ} after {spent}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")

    async def sign_in(self, username: str, password: str) -> TokenPair:
        """A token pair for a configured user. Raises ApiError BAD_CREDENTIALS, RESOURCE_EXHAUSTED."""
        if not self._codec.issues:
            raise ApiError("UNIMPLEMENTED", "sign in at the identity provider")
        try:
            user = await self._users.verify(username, password)
        except UsersBusyError:
            raise ApiError("RESOURCE_EXHAUSTED", "too many sign-ins at once", headers={"Retry-After": "1"}) from None
        if user is None:
            raise ApiError("BAD_CREDENTIALS", "user name or password is wrong")
        family = secrets.token_urlsafe(16)
        return self._pair(_Grant(user.user_id, user.username, tuple(user.roles), self._clock()), family, family)

    # --- renewing ---

    async def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair with the user's current roles. A refresh token can be used once. Raises TokenError (401)."""
        if not self._codec.issues:
            raise ApiError("UNIMPLEMENTED", "renew tokens at the identity provider")
        spent = await self._codec.read(refresh_token, "refresh")
        if not spent.family:
            raise TokenError("claims", "the refresh token is not from this gateway")
        await self.revocation(spent)
        user = await self._users.find_async(spent.username)
        if user is None or user.user_id != spent.user_id:
            raise TokenError("revoked", "the user no longer exists", "TOKEN_REVOKED")
        return await self._rotate(spent, _Grant(user.user_id, user.username, tuple(user.roles), self._clock()))

    async def _rotate(self, spent: Identity, grant: _Grant) -> TokenPair:
        """Spend the refresh token. A second use within GRACE_S gets the same pair; a later one revokes the family as stolen."""
        key = f"refreshed:{_digest(spent.token_id)}"
        record = json.dumps([grant.user_id, grant.username, sorted(grant.roles), grant.at])
        life_s = max(1.0, (spent.expires_at or 0) - self._clock() + LEEWAY_S)
        if not await self._state.put(key, record, life_s, only_new=True):
            user_id, username, roles, at = json.loads(await self._state.get(key) or "[null, null, null, 0]")
            if user_id is None or self._clock() - at > GRACE_S:
                await self._state.revoke(spent.family, self._clock() + self._refresh_s)
                raise TokenError("reused", "a refresh token was used twice: sign in again", "TOKEN_REVOKED")
            grant = _Grant(user_id, username, tuple(roles), at)
        return self._pair(grant, spent.family, spent.token_id)

    def issue_development(self) -> str:
        """The token printed at start-up under DEBUG, with every role. Raises ApiError with an outside provider."""
        return self.issue_access(DEVELOPER, DEVELOPER, ROLES)

    async def issue_sign_in_code(self) -> str:
        """A one-time code for the link printed at start-up under DEBUG. It signs the developer in."""
        code = secrets.token_urlsafe(SIGN_IN_CODE_BYTES)
        await self._state.put(f"sign-in:{_digest(code)}", DEVELOPER, SIGN_IN_CODE_S)
        return code

    async def redeem_sign_in_code(self, code: str) -> str:
        """A development token for the code. Raises TokenError (401), ApiError UNAVAILABLE."""
        known = await self._state.take(f"sign-in:{_digest(code)}") if len(code) <= MAX_TICKET_CHARS else None
        if known is None:
            raise await self._not_found("the link")
        return self.issue_development()

    async def sign_out(self, identity: Identity) -> None:
        """Revoke this sign-in's tokens on every replica and close its sockets."""
        now = self._clock()
        if identity.family:
            await self._state.revoke(identity.family, now + self._refresh_s)
        if identity.token_id:
            await self._state.revoke(identity.token_id, (identity.expires_at or now + self._refresh_s) + LEEWAY_S)

    # --- tickets ---

    async def issue_ticket(self, identity: Identity) -> tuple[str, int]:
        """A single-use ticket for a browser's WebSocket, and the seconds it lives."""
        ticket = secrets.token_urlsafe(24)
        await self._state.put(f"ticket:{_digest(ticket)}", json.dumps(_record(identity)), TICKET_S)
        return ticket, TICKET_S

    async def redeem_ticket(self, ticket: str) -> Identity:
        """The identity that the ticket was issued to. Raises TokenError (401), ApiError UNAVAILABLE."""
        record = await self._state.take(f"ticket:{_digest(ticket)}") if len(ticket) <= MAX_TICKET_CHARS else None
        if record is None:
            raise await self._not_found("the ticket")
        return await self._alive(json.loads(record))

    async def _alive(self, fields: dict[str, Any]) -> Identity:
        """Rebuild a recorded identity. Raises TokenError if the original token has expired or was revoked."""
        identity = Identity(**{**fields, "roles": tuple(fields["roles"])})
        self._check_alive("", identity)
        await self.revocation(identity)
        return identity

    # --- client secrets ---

    async def issue_client_secret(self, identity: Identity, life_s: int, session: dict[str, Any]) -> str:
        """A single-use key for a live session with these settings, for a device that must not hold the token.

        Raises ApiError VALIDATION_ERROR if the settings are too long, RATE_LIMITED if the user has been given too many.
        """
        secret = CLIENT_SECRET + secrets.token_urlsafe(24)
        kept: dict[str, Any] = {"identity": _record(identity), "session": without_tool_secrets(session)}
        if kept["session"] != session:  # else nobody who reads the store may have it
            kept["sealed"] = sealed(secret, json.dumps(session, ensure_ascii=False))
        record = json.dumps(kept, ensure_ascii=False)
        n_bytes = len(record.encode())
        if n_bytes > MAX_SECRET_BYTES:
            raise ApiError(
                "VALIDATION_ERROR", f"the settings have at most {MAX_SECRET_BYTES} bytes", extra={"param": "session"}
            )
        given = f"{GIVEN_SECRETS}{_digest(identity.user_id)}"
        if await self._state.add(given, n_bytes, SECRETS_S) > MOST_SECRETS_BYTES:
            raise ApiError("RATE_LIMITED", "too many client secrets", headers={"Retry-After": str(SECRETS_S)})
        await self._state.put(_secret_key(secret), record, life_s, owner=identity.user_id)
        return secret

    async def client_secret(self, secret: str) -> tuple[Identity, dict[str, Any]]:
        """The identity and session settings that the secret was issued for. It stays valid. Raises TokenError (401), ApiError UNAVAILABLE."""
        record = await self._state.get(_secret_key(secret)) if len(secret) <= MAX_TICKET_CHARS else None
        if record is None:
            raise await self._not_found("the client secret")
        fields = json.loads(record)
        try:
            session = json.loads(unsealed(secret, fields["sealed"])) if "sealed" in fields else fields["session"]
        except ValueError:  # somebody has changed the record
            raise await self._not_found("the client secret") from None
        return await self._alive(fields["identity"]), session

    async def spend_client_secret(self, secret: str) -> None:
        """Use up the secret, whose session is about to begin. Raises TokenError (401) if another was faster, ApiError UNAVAILABLE."""
        if await self._state.take(_secret_key(secret)) is None:
            raise await self._not_found("the client secret")

    async def _not_found(self, what: str) -> ApiError:
        """The refusal of something that works once. Without a Redis that takes it, it may be at another replica: a proxy then asks that one."""
        if await self._state.complete():
            return TokenError("ticket", f"{what} was used, has expired, or never existed")
        return ApiError("UNAVAILABLE", f"{what} cannot be looked up just now", headers={"Retry-After": "1"})


def _record(identity: Identity) -> dict[str, Any]:
    return {
        "user_id": identity.user_id,
        "username": identity.username,
        "roles": identity.roles,
        "token_id": identity.token_id,
        "family": identity.family,
        "expires_at": identity.expires_at,
    }


def _ids(identity: Identity) -> tuple[str, ...]:
    """The ids to check for revocation: the token and, if it has one, its family."""
    return (identity.token_id, identity.family) if identity.family else (identity.token_id,)


def _secret_key(secret: str) -> str:
    """Where the state keeps a client secret."""
    return f"{SECRETS}{_digest(secret)}"


def _digest(text: str) -> str:
    """Hash a secret for use as a key, so that Redis holds nothing that grants access."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
