"""Tokens, roles and limits over HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import jwt
import pytest

from server.errors import ApiError
from server.identity.auth import Authenticator
from server.identity.users import Users
from server.shared.rate_limits import RateLimiter
from server.shared.state import RedisState
from tests.server.redis_support import running_link
from tests.server.shared.test_redis_link import CountingWire
from tests.support.rest import PASSWORD, SECRET, document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/refresh"
LIVE_DATA = "/api/v1/agent/intents"


async def test_sign_in_use_refresh_and_sign_out(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        signed_in = document(await gw.fetch("POST", TOKEN, {"username": "grace", "password": PASSWORD}, roles=None))
        assert signed_in["token_type"] == "Bearer"
        assert signed_in["expires_in"] == 3600
        renewed = document(await gw.fetch("POST", REFRESH, {"refresh_token": signed_in["refresh_token"]}, roles=None))
        bearer = {"Authorization": f"Bearer {renewed['access_token']}"}
        assert (await gw.fetch("GET", LIVE_DATA, headers=bearer, roles=None)).code == 200
        gone = await gw.fetch("POST", "/api/v1/auth/logout", b"", headers=bearer, roles=None)
        assert (gone.code, gone.body) == (204, b"")
        after = await gw.fetch("GET", LIVE_DATA, headers=bearer, roles=None)
        assert problem(after) == (401, "TOKEN_REVOKED")


async def test_a_wrong_password_and_an_unknown_name_look_alike(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        wrong = await gw.fetch("POST", TOKEN, {"username": "grace", "password": "x"}, roles=None)
        unknown = await gw.fetch("POST", TOKEN, {"username": "nobody", "password": "x"}, roles=None)
    assert problem(wrong) == problem(unknown) == (401, "BAD_CREDENTIALS")
    assert document(wrong)["detail"] == document(unknown)["detail"]


async def test_guessing_passwords_is_slowed_down_by_name_and_address(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        for _ in range(10):
            await gw.fetch("POST", TOKEN, {"username": "grace", "password": "x"}, roles=None)
        slowed = await gw.fetch("POST", TOKEN, {"username": "grace", "password": PASSWORD}, roles=None)
        other = await gw.fetch("POST", TOKEN, {"username": "other", "password": "x"}, roles=None)
    assert problem(slowed) == (429, "RATE_LIMITED")
    assert 0 < int(slowed.headers["Retry-After"]) <= 300
    assert problem(other) == (401, "BAD_CREDENTIALS")


async def test_a_ticket_is_for_one_socket(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        told = document(await gw.fetch("POST", "/api/v1/auth/ticket", b""))
        assert told["expires_in"] <= 30
        identity = await gw.gateway.authenticator.redeem_ticket(told["ticket"])
        assert (identity.user_id, set(identity.roles)) == ("ada", {"user"})
        with pytest.raises(ApiError):
            await gw.gateway.authenticator.redeem_ticket(told["ticket"])


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "UNAUTHENTICATED"),
        ("", "UNAUTHENTICATED"),
        ("Bearer", "UNAUTHENTICATED"),
        ("Bearer ", "UNAUTHENTICATED"),
        ("Basic Z3JhY2U6eA==", "UNAUTHENTICATED"),
        ("Bearer x", "TOKEN_INVALID"),
        ("Bearer a.b.c", "TOKEN_INVALID"),
        ("Bearer " + "x" * 9000, "TOKEN_INVALID"),
    ],
)
async def test_without_a_good_token(tmp_path: Path, header: str | None, code: str) -> None:
    async with running(tmp_path) as gw:
        headers = {} if header is None else {"Authorization": header}
        answer = await gw.fetch("GET", LIVE_DATA, headers=headers, roles=None)
        assert problem(answer) == (401, code)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert gw.script.contexts == []


async def test_a_token_that_somebody_else_signed_with_the_shared_secret_works(tmp_path: Path) -> None:
    now = int(time.time())
    claims = {"sub": "u1", "username": "Ann", "roles": ["user"], "exp": now + 60, "iat": now}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    async with running(tmp_path) as gw:
        bearer = {"Authorization": f"bearer {token}"}  # RFC 9110: the scheme's case does not matter
        assert (await gw.fetch("GET", LIVE_DATA, headers=bearer, roles=None)).code == 200
        expired = jwt.encode(claims | {"exp": now - 60}, SECRET, algorithm="HS256")
        late = await gw.fetch("GET", LIVE_DATA, headers={"Authorization": f"Bearer {expired}"}, roles=None)
        assert problem(late) == (401, "TOKEN_EXPIRED")


@pytest.mark.parametrize(("roles", "status"), [((), 200), (("operator",), 200), (("admin",), 200), (("guest",), 403)])
async def test_a_stronger_role_can_what_a_weaker_can(tmp_path: Path, roles: tuple[str, ...], status: int) -> None:
    async with running(tmp_path) as gw:
        assert (await gw.fetch("GET", LIVE_DATA, roles=roles)).code == status


# --- limits ---


async def test_every_limited_answer_tells_its_limit(tmp_path: Path) -> None:
    async with running(tmp_path, rate_limit_requests=3, rate_limit_window=60) as gw:
        before = time.time()
        answers = [await gw.fetch("GET", LIVE_DATA) for _ in range(4)]
        after = time.time()
        other = await gw.fetch("GET", LIVE_DATA, user="eve")
        health = await gw.fetch("GET", "/health")
    assert [answer.code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
    assert answers[0].headers["RateLimit-Policy"] == '"default";q=3;w=60'
    assert answers[0].headers["RateLimit"].startswith('"default";r=2;t=')
    assert before - 3 < int(answers[0].headers["X-RateLimit-Reset"]) - 60 < after + 3
    assert problem(answers[3]) == (429, "RATE_LIMITED")
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60
    assert other.code == 200
    assert "X-RateLimit-Limit" not in health.headers


async def test_refused_tokens_count_for_the_address(tmp_path: Path) -> None:
    async with running(tmp_path, rate_limit_requests=2) as gw:
        bad = {"Authorization": "Bearer guess"}
        codes = [(await gw.fetch("GET", LIVE_DATA, headers=bad, roles=None)).code for _ in range(3)]
        assert codes == [401, 401, 429]
        assert (await gw.fetch("GET", LIVE_DATA)).code == 200  # a user is not punished for their address


async def test_roles_and_routes_may_have_limits_of_their_own(tmp_path: Path) -> None:
    limits = {"rate_limit_requests": 2, "rate_limit_roles": {"admin": 5}, "rate_limit_routes": {"voice.voices": 1}}
    async with running(tmp_path, **limits) as gw:
        admin = await gw.fetch("GET", LIVE_DATA, roles=("user", "admin"))
        first = await gw.fetch("GET", "/api/v1/voice/voices", user="eve")
        second = await gw.fetch("GET", "/api/v1/voice/voices", user="eve")
        elsewhere = await gw.fetch("GET", LIVE_DATA, user="eve")
    assert admin.headers["X-RateLimit-Limit"] == "5"
    assert (first.code, first.headers["X-RateLimit-Limit"], second.code) == (200, "1", 429)
    assert elsewhere.headers["X-RateLimit-Remaining"] == "1"


async def test_only_trusted_proxies_say_whose_request_it_is(tmp_path: Path) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Real-Ip": "203.0.113.8"}
    async with running(tmp_path, rate_limit_requests=1) as gw:
        assert (await gw.fetch("GET", LIVE_DATA, headers=forged, roles=None)).code == 401
        assert (await gw.fetch("GET", LIVE_DATA, headers={"X-Forwarded-For": "203.0.113.9"}, roles=None)).code == 429
    async with running(tmp_path, rate_limit_requests=1, trusted_proxies=("127.0.0.0/8",)) as gw:
        assert (await gw.fetch("GET", LIVE_DATA, headers=forged, roles=None)).code == 401
        assert (await gw.fetch("GET", LIVE_DATA, headers={"X-Forwarded-For": "203.0.113.9"}, roles=None)).code == 401
        assert (await gw.fetch("GET", LIVE_DATA, headers=forged, roles=None)).code == 429


async def test_a_token_signed_out_elsewhere_is_refused_in_the_limit_s_round_trip(
    tmp_path: Path, redis_url: str
) -> None:
    async with running(tmp_path) as gw, running_link(redis_url) as link:
        settings = gw.gateway.settings
        gw.gateway.limiter = RateLimiter(link)
        gw.gateway.authenticator = Authenticator(settings, RedisState(link), Users(settings.users_file))
        bearer = gw.bearer()
        assert (await gw.fetch("GET", LIVE_DATA, headers=bearer, roles=None)).code == 200  # Redis has the script now
        counting = CountingWire(link)
        assert (await gw.fetch("GET", LIVE_DATA, headers=bearer, roles=None)).code == 200
        assert counting.sizes == [2]
        token_id = (await gw.gateway.authenticator.verify(bearer["Authorization"].split()[1])).token_id
        await link.call("ZADD", "jarvis:revoked", time.time() + 60, token_id)  # no news: it is the question that tells
        refused = await gw.fetch("GET", LIVE_DATA, headers=bearer, roles=None)
        assert problem(refused) == (401, "TOKEN_REVOKED")
        assert 'api_gateway_auth_failures_total{reason="revoked"} 1.0' in gw.gateway.metrics.render()[1].decode()
