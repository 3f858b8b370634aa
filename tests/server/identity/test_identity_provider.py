"""Tokens of an external identity provider."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from server.errors import ApiError
from server.identity.auth import Authenticator
from server.identity.jwks import FLOOR_S, MAX_AGE_S, KeySet
from server.shared.state import LocalState
from tests.server.signing import PASSWORD, Clock, reason, refusal, settings, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.identity.users import Users


def jwk(private: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    public: dict[str, Any] = json.loads(algorithm.to_jwk(private.public_key()))
    return public | ({"kid": kid} if kid else {}) | more


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def outside(path: Path, algorithm: str, users: Users, clock: Callable[[], float]) -> Authenticator:
    config = settings(jwt_algorithm=algorithm, jwt_jwks=str(path))
    return Authenticator(config, LocalState(clock), users, clock)


async def test_a_provider_s_tokens_are_verified_by_its_keys(
    tmp_path: Path, users: Users, clock: Clock, rsa_key: Any, ec_key: Any
) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk(rsa_key, "r"), jwk(ec_key, "e"), jwk(rsa_key, "enc", use="enc")]}))
    auth = outside(path, "RS256", users, clock)
    assert (await auth.verify(signed(rsa_key, "RS256", {"kid": "r"}))).user_id == "ada"
    assert await reason(auth.verify(signed(rsa_key, "RS256", {"kid": "enc"}))) == "unknown_key"
    assert await reason(auth.verify(signed(rsa_key, "RS256"))) == "unknown_key"  # two keys: which?
    assert await reason(auth.verify(signed(ec_key, "ES256", {"kid": "e"}))) == "algorithm"
    # the public key as if it were a shared secret; PyJWT would not sign that
    public = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = signed("x" * 32, headers={"kid": "r"}).rpartition(".")[0]
    digest = hmac.digest(public, unsigned.encode(), "sha256")
    forged = f"{unsigned}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    assert await reason(auth.verify(forged)) == "algorithm"
    auth = outside(path, "ES256", users, clock)
    assert (await auth.verify(signed(ec_key, "ES256", {"kid": "e"}))).user_id == "ada"
    assert await reason(auth.verify(signed(ec_key, "ES256", {"kid": "r"}))) in {"malformed", "signature"}


async def test_a_gateway_behind_a_provider_issues_nothing(
    tmp_path: Path, users: Users, clock: Clock, rsa_key: Any
) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk(rsa_key, None)]}))
    auth = outside(path, "RS256", users, clock)
    for attempt in (auth.sign_in("ada", PASSWORD), auth.refresh("x")):
        assert (await refusal(attempt)).status == 501
    with pytest.raises(ApiError):
        auth.issue_access("ada", "ada", ["user"])
    identity = await auth.verify(signed(rsa_key, "RS256"))  # the only key needs no name
    ticket, _ = await auth.issue_ticket(identity)
    assert await auth.redeem_ticket(ticket) == identity
    await auth.sign_out(identity)
    assert await reason(auth.verify(signed(rsa_key, "RS256"))) == "revoked"


class Provider:
    """A real HTTP server with a JWKS that changes."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.asked = 0
        provider = self

        class Handler(RequestHandler):
            def get(self) -> None:
                provider.asked += 1
                self.set_status(provider.status)
                self.write({"keys": provider.keys})

        socket, port = bind_unused_port()
        self.server = HTTPServer(Application([("/jwks", Handler)]))
        self.server.add_socket(socket)
        self.url = f"http://127.0.0.1:{port}/jwks"


async def test_keys_are_fetched_when_needed_and_rotated(rsa_key: Any, ec_key: Any) -> None:
    now = 0.0
    provider = Provider()
    provider.keys = [jwk(rsa_key, "old")]
    keys = KeySet(provider.url, lambda: now)
    found = await asyncio.gather(*(keys.key("old") for _ in range(10)))
    assert all(found)
    assert provider.asked == 1
    provider.keys = [jwk(ec_key, "new")]
    for _ in range(20):
        assert await keys.key("new") is None  # made-up ids don't make us ask again at once
    assert provider.asked == 1
    now += FLOOR_S
    assert await keys.key("new") is not None
    assert await keys.key("old") is None
    assert provider.asked == 2
    provider.server.stop()


async def test_known_keys_go_on_while_the_provider_is_away(rsa_key: Any) -> None:
    now = 0.0
    provider = Provider()
    provider.keys = [jwk(rsa_key, "k")]
    keys = KeySet(provider.url, lambda: now)
    assert await keys.key("k") is not None
    provider.status = 500
    now += MAX_AGE_S
    assert await keys.key("k") is not None
    assert provider.asked == 2
    assert await keys.key("k") is not None
    assert provider.asked == 2
    provider.status, provider.keys = 200, []
    now += FLOOR_S
    assert await keys.key("k") is not None  # a set without any key is a mistake, not a withdrawal
    provider.server.stop()


def test_a_dev_token_is_verified_by_the_real_clock(users: Users) -> None:
    auth = Authenticator(settings(), LocalState(), users)
    token = auth.issue_access("dev", "dev", ["admin"], life_s=600)
    identity = asyncio.run(auth.verify(token))
    assert identity.expires_at == pytest.approx(time.time() + 600, abs=5)
    assert identity.roles == ("admin",)
