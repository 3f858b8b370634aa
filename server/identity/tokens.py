"""Reading and writing JSON Web Tokens (RFC 7519) with the single configured algorithm.

PyJWT rejects attacks on the algorithm and the header. It accepts missing claims, `exp` as text, an empty `sub` and any type of
`roles`, so this module checks the claims, against its own clock.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import jwt

from server.errors import ApiError
from server.identity.jwks import KeySet
from streaming.ports import PHONE_USERS, Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwt.types import Options

    from server.config import Settings

MAX_TOKEN_CHARS = 8192  # the usual limit of proxies for one header
MAX_SUBJECT_CHARS = 256
MAX_ROLES = 64
MAX_ROLE_CHARS = 64
LEEWAY_S = 5  # tolerance for clocks that differ between machines
MAX_NUMERIC_DATE = 253_402_300_799  # the last second of the year 9999, the limit of date libraries
TOKEN_HEADER_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})  # RFC 8725 section 3.11
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # RFC 7515 sections 2 and 3.1
_OPTIONS: Options = {
    "require": ["exp", "sub"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}


class TokenError(ApiError):
    """A refused token (401). `reason`: label of `auth_failures_total`, one of a fixed set of words."""

    def __init__(self, reason: str, detail: str, code: str = "TOKEN_INVALID") -> None:
        # RFC 6750 section 3; `detail` is always our own text and contains no quotes
        challenge = f'Bearer error="invalid_token", error_description="{detail}"'
        super().__init__(code, detail, headers={"WWW-Authenticate": challenge})
        self.reason = reason


class TokenCodec:
    """Reads and writes tokens. `clock`: Unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._algorithm: str = settings.jwt_algorithm
        self._secret = settings.jwt_secret_key.get_secret_value()
        self._keys = None if self._algorithm.startswith("HS") else KeySet(settings.jwt_jwks)
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._clock = clock

    @property
    def issues(self) -> bool:
        """True if this gateway issues tokens, False if an outside provider does."""
        return self._keys is None

    # --- reading ---

    async def read(self, token: str, token_type: str) -> Identity:
        """The identity of a token of that type. Raises TokenError."""
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError("malformed", "the token is too long")
        if not _COMPACT.fullmatch(token):
            raise TokenError("malformed", "a token is three parts in base64url without padding")
        claims = self._decoded(token, self._secret if self._keys is None else await self._public_key(self._keys, token))
        self._check_times(claims)
        self._check_party(claims)
        self._check_type(claims, token_type)
        return _identity(claims, token)

    def _decoded(self, token: str, key: Any) -> dict[str, Any]:
        try:
            decoded = jwt.decode_complete(token, key, algorithms=[self._algorithm], options=_OPTIONS)
        except jwt.InvalidSignatureError:
            raise TokenError("signature", "the token is not signed with a trusted key") from None
        except jwt.InvalidAlgorithmError:
            raise TokenError("algorithm", "the token is not signed in the way that is configured") from None
        except jwt.MissingRequiredClaimError as missing:
            raise TokenError("claims", f"the token has no {missing.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise TokenError("malformed", "the token cannot be read") from None
        if "crit" in decoded["header"]:  # PyJWT takes `b64` if it is true, which says nothing
            raise TokenError("malformed", "the token has critical headers")
        kind = decoded["header"].get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in TOKEN_HEADER_TYPES:
            raise TokenError("wrong_type", "the token is for another purpose")  # a logout token, for example
        _check_encoding(token)
        claims: dict[str, Any] = decoded["payload"]
        return claims

    @staticmethod
    async def _public_key(keys: KeySet, token: str) -> Any:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenError("malformed", "the token cannot be read") from None
        key = await keys.key(key_id) if key_id is None or isinstance(key_id, str) else None
        if key is None:
            raise TokenError("unknown_key", "the token is signed with a key that the provider does not list")
        return key

    def _check_times(self, claims: dict[str, Any]) -> None:
        """Check `exp`, `nbf` and `iat` (RFC 7519 sections 4.1.4 to 4.1.6): each must be a number, and a date before the year 10000."""
        now = self._clock()
        for name in ("exp", "nbf", "iat"):
            value = claims.get(name, now)
            if type(value) not in {int, float} or not -MAX_NUMERIC_DATE <= value <= MAX_NUMERIC_DATE:
                raise TokenError("claims", f"{name} has to be a number of seconds since 1970")
        if claims["exp"] + LEEWAY_S <= now:
            raise TokenError("expired", "the token has expired", "TOKEN_EXPIRED")
        if max(claims.get("nbf", now), claims.get("iat", now)) > now + LEEWAY_S:
            raise TokenError("not_yet", "the token is not valid yet")
        if claims.get("iat", claims["exp"]) > claims["exp"]:
            raise TokenError("claims", "the token expired before it was issued")

    @staticmethod
    def _check_type(claims: dict[str, Any], token_type: str) -> None:
        """`typ` is our own claim. Other issuers omit it and mean an access token; tokens issued here always have it, and `iat`."""
        made_here = "fam" in claims
        if made_here and not {"typ", "iat"} <= claims.keys():
            raise TokenError("claims", "a token of this gateway has typ and iat")
        if claims.get("typ", "access") != token_type:
            raise TokenError("wrong_type", f"this is not a {token_type} token")

    def _check_party(self, claims: dict[str, Any]) -> None:
        audience = claims.get("aud", [])
        audiences = audience if isinstance(audience, list) else [audience]
        if self._audience and self._audience not in audiences:
            raise TokenError("audience", "the token is for another audience")
        if self._issuer and claims.get("iss") != self._issuer:
            raise TokenError("issuer", "the token is from another issuer")

    # --- writing ---

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign a token with these claims. Raises ApiError if an outside provider issues tokens."""
        if self._keys is not None:
            raise ApiError("UNIMPLEMENTED", "tokens are issued by the identity provider")
        party = {"aud": self._audience, "iss": self._issuer}
        return jwt.encode(
            claims | {name: value for name, value in party.items() if value}, self._secret, algorithm=self._algorithm
        )


def _identity(claims: dict[str, Any], token: str) -> Identity:
    subject, roles = claims["sub"], claims.get("roles", [])
    if not _is_text(subject, MAX_SUBJECT_CHARS) or not subject or not subject.isprintable():
        raise TokenError("claims", "sub has to be a string that is not empty")
    if subject.startswith(PHONE_USERS):
        raise TokenError("claims", f"sub may not begin with {PHONE_USERS}, which is for the callers of telephones")
    username = claims.get("username", subject)
    if not _is_text(username, MAX_SUBJECT_CHARS):
        raise TokenError("claims", "username has to be a string")
    if not isinstance(roles, list) or len(roles) > MAX_ROLES:
        raise TokenError("claims", "roles has to be a list of strings")
    if not all(_is_text(role, MAX_ROLE_CHARS) for role in roles):
        raise TokenError("claims", "roles has to be a list of strings")
    token_id, family = claims.get("jti", ""), claims.get("fam", "")
    if not _is_text(token_id, MAX_SUBJECT_CHARS) or not _is_text(family, MAX_SUBJECT_CHARS):
        raise TokenError("claims", "jti and fam have to be strings")
    return Identity(
        subject,
        username,
        tuple(sorted(set(roles))),
        expires_at=float(claims["exp"]),
        token_id=token_id or _digest(token),
        family=family,
    )


def _is_text(value: object, max_chars: int) -> bool:
    """True for a string that UTF-8 can encode. JSON can contain lone surrogates, which it cannot."""
    if not isinstance(value, str) or len(value) > max_chars:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_encoding(token: str) -> None:
    """Raises TokenError for JSON in UTF-16 or UTF-32, which Python would parse too (RFC 8725 section 3.7)."""
    for part in token.split(".")[:2]:
        if b"\0" in base64.urlsafe_b64decode(
            part + "=" * (-len(part) % 4)
        ):  # JSON in UTF-8 has no NUL, which is written \u0000
            raise TokenError("malformed", "the token's JSON is not UTF-8")


def _digest(token: str) -> str:
    """An id for a token without `jti`, from the signed part: the signature can be spelled in several ways (a trailing `=`)."""
    return f"sha256-{hashlib.sha256(token.rpartition('.')[0].encode()).hexdigest()}"
