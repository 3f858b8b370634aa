from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from server.errors import ApiError
from server.identity.auth import GRACE_S, MAX_REMEMBERED, Authenticator, _secret_key
from server.identity.tokens import LEEWAY_S
from server.identity.users import MAX_WAITING, Users, add_user
from server.shared.rate_limits import RateLimiter
from server.shared.state import LocalState
from streaming.ports import Identity
from tests.server.redis_support import replica, running_link
from tests.server.shared.test_redis_link import CountingWire
from tests.server.signing import KEY, PASSWORD, START, Clock, reason, refusal, settings, signed

if TYPE_CHECKING:
    from pathlib import Path

    from server.shared.state import State


@pytest.fixture
def auth(clock: Clock, users: Users) -> Authenticator:
    return Authenticator(settings(), LocalState(clock), users, clock)


# --- verifying ---


async def test_a_token_of_anybody_with_the_secret_is_taken(auth: Authenticator) -> None:
    identity = await auth.verify(signed())
    assert (identity.user_id, identity.username, identity.roles) == ("ada", "Ada", ("user",))
    assert identity.expires_at == START + 60
    assert identity.token_id.startswith("sha256-")
    assert await auth.verify(signed()) is identity


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ({"kid": "../../dev/null"}, True),
        ({"jku": "http://127.0.0.1:1/keys"}, True),
        ({"x5u": "http://127.0.0.1:1/cert"}, True),
        ({"x5c": ["x"]}, True),
        ({"jwk": {"kty": "oct", "k": "YQ"}}, True),
        ({"crit": ["exp"]}, False),
        ({"crit": ["b64"], "b64": False}, False),
        ({"crit": ["b64"], "b64": True}, False),
        ({"b64": False}, False),
    ],
)
async def test_keys_in_a_token_are_ignored_and_critical_headers_are_refused(
    auth: Authenticator, header: dict[str, Any], taken: bool
) -> None:
    claims = jwt.decode(signed(), options={"verify_signature": False})
    for key, right in ((KEY, taken), ("y" * 32, False)):
        token = jwt.encode(claims, key, algorithm="HS256", headers=header)
        if right:
            assert (await auth.verify(token)).user_id == "ada"
        else:
            with pytest.raises(ApiError):
                await auth.verify(token)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": ...}, "claims"),
        ({"sub": ...}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": "x" * 300}, "claims"),
        ({"sub": "a\nb"}, "claims"),
        ({"exp": str(int(START) + 60)}, "claims"),
        ({"exp": True}, "claims"),
        ({"exp": float("inf")}, "claims"),
        ({"exp": None}, "claims"),
        ({"exp": START - LEEWAY_S}, "expired"),
        ({"exp": -1}, "expired"),
        ({"exp": 10**400}, "claims"),
        ({"exp": 1e300}, "claims"),
        ({"nbf": -(10**400)}, "claims"),
        ({"nbf": 1e300}, "claims"),
        ({"iat": 10**400}, "claims"),
        ({"iat": START + 3, "exp": START + 2}, "claims"),
        ({"nbf": START + LEEWAY_S + 1}, "not_yet"),
        ({"iat": START + LEEWAY_S + 1}, "not_yet"),
        ({"iat": "yesterday"}, "claims"),
        ({"roles": "admin"}, "claims"),
        ({"roles": {"admin": True}}, "claims"),
        ({"roles": [1]}, "claims"),
        ({"roles": ["r"] * 65}, "claims"),
        ({"roles": ["r" * 65]}, "claims"),
        ({"username": 7}, "claims"),
        ({"typ": "refresh"}, "wrong_type"),
        ({"typ": 7}, "wrong_type"),
        ({"typ": None}, "wrong_type"),
        ({"sub": "\ud800"}, "claims"),
        ({"username": "\ud800"}, "claims"),
        ({"roles": ["\ud800"]}, "claims"),
        ({"jti": "\ud800"}, "claims"),
        ({"fam": "\ud800", "jti": "1", "typ": "access"}, "claims"),
        ({"sub": "phone:+15550100"}, "claims"),  # the caller's memory is its user's
        ({"fam": "f"}, "claims"),
        ({"fam": "f", "jti": "1", "typ": "access", "iat": ...}, "claims"),
    ],
    ids=ascii,
)
async def test_claims_have_to_be_what_they_are(auth: Authenticator, claims: dict[str, Any], why: str) -> None:
    # PyJWT's own encoder refuses an issuer and a subject that are no text; the rest it signs as it is
    assert await reason(auth.verify(signed(**claims))) == why


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt"])
async def test_a_token_made_for_another_purpose_is_refused(auth: Authenticator, kind: str) -> None:
    assert await reason(auth.verify(signed(headers={"typ": kind}))) == "wrong_type"
    assert await reason(auth.verify(signed(typ="refresh"))) == "wrong_type"
    assert (await auth.verify(signed(headers={"typ": "at+jwt"}))).user_id == "ada"


@pytest.mark.parametrize("spelling", ["{}=", "{}==", "{}!", "{}\n"])
async def test_a_token_that_was_signed_out_stays_out_however_it_is_spelt(auth: Authenticator, spelling: str) -> None:
    token = signed()
    await auth.sign_out(await auth.verify(token))
    assert await reason(auth.verify(token)) == "revoked"
    assert await reason(auth.verify(spelling.format(token))) in {"revoked", "malformed", "signature"}


async def test_the_spare_bits_of_a_signature_make_no_other_token(auth: Authenticator) -> None:
    token = signed()
    await auth.sign_out(await auth.verify(token))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in letters:  # the last one of 43 holds four bits of the signature and two of nothing
        assert await reason(auth.verify(token[:-1] + letter)) in {"revoked", "signature", "malformed"}


async def test_a_subject_that_is_a_number_is_refused(auth: Authenticator) -> None:
    token = jwt.api_jws.encode(json.dumps({"sub": 7, "exp": START + 60}).encode(), KEY, "HS256")
    assert await reason(auth.verify(token)) in {"claims", "malformed"}


@pytest.mark.parametrize("payload", [b"[]", b"7", b'"x"', b"{", b"\xff", b"[" * 5000, b'{"sub": "a", "exp": 1e999}'])
async def test_payloads_that_are_no_claims_are_refused(auth: Authenticator, payload: bytes) -> None:
    assert await reason(auth.verify(jwt.api_jws.encode(payload, KEY, "HS256"))) in {"malformed", "claims"}


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 9000, "\ud800"])
async def test_what_is_no_token_is_refused(auth: Authenticator, token: str) -> None:
    assert await reason(auth.verify(token)) == "malformed"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32-be"])
async def test_json_in_another_encoding_than_utf_8_is_refused(auth: Authenticator, codec: str) -> None:
    claims = json.dumps({"sub": "ada", "exp": START + 60}).encode(codec)
    assert await reason(auth.verify(jwt.api_jws.encode(claims, KEY, "HS256"))) == "malformed"


@pytest.mark.parametrize("spelling", ["{}=", "{}==", "{} ", "{}.", "{}\n", "\u3002{}"])
async def test_a_token_is_spelt_in_one_way(auth: Authenticator, spelling: str) -> None:
    assert await reason(auth.verify(spelling.format(signed()))) == "malformed"


async def test_the_token_does_not_choose_the_algorithm(auth: Authenticator) -> None:
    assert await reason(auth.verify(signed(None, "none"))) == "algorithm"
    assert await reason(auth.verify(signed(KEY * 2, "HS512"))) == "algorithm"
    private = rsa.generate_private_key(65537, 2048)
    assert await reason(auth.verify(signed(private, "RS256"))) == "algorithm"
    assert await reason(auth.verify(signed("f" * 32))) == "signature"


async def test_audience_and_issuer_are_checked_when_configured(clock: Clock, users: Users) -> None:
    config = settings(jwt_audience="jarvis", jwt_issuer="https://idp")
    auth = Authenticator(config, LocalState(clock), users, clock)
    assert await reason(auth.verify(signed())) == "audience"
    assert await reason(auth.verify(signed(aud="other", iss="https://idp"))) == "audience"
    assert await reason(auth.verify(signed(aud="jarvis"))) == "issuer"
    assert (await auth.verify(signed(aud=["other", "jarvis"], iss="https://idp"))).user_id == "ada"
    own = await auth.sign_in("ada", PASSWORD)
    assert (await auth.verify(own.access_token)).user_id == "ada"


async def test_without_configuration_any_audience_will_do(auth: Authenticator) -> None:
    assert (await auth.verify(signed(aud="other", iss="https://idp"))).user_id == "ada"


async def test_a_remembered_token_expires_all_the_same(auth: Authenticator, clock: Clock) -> None:
    token = signed()
    await auth.verify(token)
    clock.now = START + 60 + LEEWAY_S - 0.1
    await auth.verify(token)
    clock.now = START + 60 + LEEWAY_S
    refused = await refusal(auth.verify(token))
    assert refused.code == "TOKEN_EXPIRED"
    assert token not in auth._verified


async def test_only_so_many_tokens_are_remembered(auth: Authenticator) -> None:
    first = await auth.verify(signed())
    for number in range(MAX_REMEMBERED):
        auth._remember(f"t{number}", first)
    assert len(auth._verified) == MAX_REMEMBERED
    assert signed() not in auth._verified


# --- sign-in, refresh, sign-out ---


async def test_a_sign_in_gives_a_pair(auth: Authenticator) -> None:
    pair = await auth.sign_in("ada", PASSWORD)
    assert (pair.expires_in, pair.token_type) == (3600, "Bearer")
    identity = await auth.verify(pair.access_token)
    assert (identity.user_id, identity.roles) == ("ada", ("operator", "user"))
    assert identity.family
    assert await reason(auth.verify(pair.refresh_token)) == "wrong_type"
    assert await reason(auth.refresh(pair.access_token)) == "wrong_type"
    claims = jwt.decode(pair.access_token, KEY, ["HS256"], {"verify_exp": False, "verify_iat": False})
    assert set(claims) == {"sub", "username", "roles", "iat", "exp", "jti", "typ", "fam"}


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong"), ("bob", PASSWORD), ("", "")])
async def test_unknown_and_wrong_get_the_same_answer(auth: Authenticator, username: str, password: str) -> None:
    refused = await refusal(auth.sign_in(username, password))
    assert (refused.status, refused.code, refused.detail) == (401, "BAD_CREDENTIALS", "user name or password is wrong")


async def test_a_flood_of_sign_ins_is_told_to_wait(auth: Authenticator, users: Users) -> None:
    users._waiting = MAX_WAITING
    refused = await refusal(auth.sign_in("ada", PASSWORD))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")


async def test_a_refresh_gives_a_new_pair_of_the_same_family(auth: Authenticator, clock: Clock) -> None:
    first = await auth.sign_in("ada", PASSWORD)
    clock.now += 100
    second = await auth.refresh(first.refresh_token)
    assert {second.access_token, second.refresh_token}.isdisjoint({first.access_token, first.refresh_token})
    before, after = await auth.verify(first.access_token), await auth.verify(second.access_token)
    assert before.family == after.family
    assert before.token_id != after.token_id
    assert after.expires_at == clock.now + 3600


async def test_racing_tabs_get_the_same_pair(auth: Authenticator, clock: Clock) -> None:
    first = await auth.sign_in("ada", PASSWORD)
    pairs = await asyncio.gather(*(auth.refresh(first.refresh_token) for _ in range(5)))
    clock.now += GRACE_S
    assert {*pairs, await auth.refresh(first.refresh_token)} == {pairs[0]}


async def test_a_reused_refresh_token_revokes_its_family_and_no_other(auth: Authenticator, clock: Clock) -> None:
    first, other = await auth.sign_in("ada", PASSWORD), await auth.sign_in("ada", PASSWORD)
    second = await auth.refresh(first.refresh_token)
    clock.now += GRACE_S + 1
    assert await reason(auth.refresh(first.refresh_token)) == "reused"
    for token in (first.access_token, second.access_token):
        assert (await refusal(auth.verify(token))).code == "TOKEN_REVOKED"
    assert await reason(auth.refresh(second.refresh_token)) == "revoked"
    assert await auth.verify(other.access_token)


async def test_a_refresh_takes_the_roles_of_today(auth: Authenticator, tmp_path: Path, users: Users) -> None:
    pair = await auth.sign_in("ada", PASSWORD)
    add_user(tmp_path / "users.json", "ada", PASSWORD, ["admin"])
    pair = await auth.refresh(pair.refresh_token)
    assert (await auth.verify(pair.access_token)).roles == ("admin",)
    (tmp_path / "users.json").unlink()
    assert users.find("ada") is None
    assert await reason(auth.refresh(pair.refresh_token)) == "revoked"


async def test_an_expired_refresh_token_is_refused(auth: Authenticator, clock: Clock) -> None:
    pair = await auth.sign_in("ada", PASSWORD)
    clock.now += 7 * 86_400 + LEEWAY_S
    assert await reason(auth.refresh(pair.refresh_token)) == "expired"


async def test_a_refresh_token_of_somebody_else_is_refused(auth: Authenticator) -> None:
    assert await reason(auth.refresh(signed(typ="refresh"))) == "claims"
    assert await reason(auth.refresh(signed(typ="refresh", fam="f", username="bob"))) == "revoked"


async def test_sign_out_ends_every_token_of_the_sign_in(auth: Authenticator) -> None:
    pair, other = await auth.sign_in("ada", PASSWORD), await auth.sign_in("ada", PASSWORD)
    identity = await auth.verify(pair.access_token)
    renewed = await auth.refresh(pair.refresh_token)
    await auth.sign_out(identity)
    for token in (pair.access_token, renewed.access_token):
        assert (await refusal(auth.verify(token))).code == "TOKEN_REVOKED"
    assert await reason(auth.refresh(renewed.refresh_token)) == "revoked"
    assert await auth.verify(other.access_token)


async def test_a_token_without_an_id_can_be_signed_out_too(auth: Authenticator) -> None:
    await auth.sign_out(await auth.verify(signed()))
    assert await reason(auth.verify(signed())) == "revoked"
    assert await auth.verify(signed(iat=int(START) - 1))


# --- tickets ---


async def test_a_ticket_is_taken_once(auth: Authenticator) -> None:
    identity = await auth.verify((await auth.sign_in("ada", PASSWORD)).access_token)
    ticket, seconds = await auth.issue_ticket(identity)
    assert seconds <= 30
    taken = await asyncio.gather(*(auth.redeem_ticket(ticket) for _ in range(5)), return_exceptions=True)
    assert [one for one in taken if isinstance(one, Identity)] == [identity]
    assert await reason(auth.redeem_ticket("x" * 10_000)) == "ticket"


async def test_a_ticket_expires(auth: Authenticator, clock: Clock) -> None:
    ticket, seconds = await auth.issue_ticket(await auth.verify(signed()))
    clock.now += seconds
    assert await reason(auth.redeem_ticket(ticket)) == "ticket"


async def test_a_ticket_is_worth_no_more_than_its_token(auth: Authenticator, clock: Clock) -> None:
    identity = await auth.verify(signed(exp=START + 10))
    expired, _ = await auth.issue_ticket(identity)
    revoked, _ = await auth.issue_ticket(identity)
    await auth.sign_out(identity)
    assert await reason(auth.redeem_ticket(revoked)) == "revoked"
    clock.now += 10 + LEEWAY_S
    assert await reason(auth.redeem_ticket(expired)) == "expired"


async def test_client_secrets_of_one_user_push_out_nothing_of_another(users: Users, clock: Clock) -> None:
    auth = Authenticator(settings(), LocalState(clock, max_entries=10), users, clock)
    bob, eve = await auth.verify(signed(sub="bob")), await auth.verify(signed(sub="eve"))
    ticket, _ = await auth.issue_ticket(bob)
    secret = await auth.issue_client_secret(bob, 60, {"of": "bob"})
    for _ in range(30):
        newest = await auth.issue_client_secret(eve, 7_200, {"instructions": "x" * 1_000})
    assert (await auth.client_secret(secret))[1] == {"of": "bob"}
    assert await auth.client_secret(newest)
    assert await auth.redeem_ticket(ticket) == bob


# --- several replicas ---


def on(state: State, users: Users) -> Authenticator:
    return Authenticator(settings(), state, users)


async def test_a_sign_out_counts_on_every_replica_at_once(redis_url: str, users: Users) -> None:
    async with replica(redis_url) as here, replica(redis_url) as there:
        pair = await on(here, users).sign_in("ada", PASSWORD)
        elsewhere = on(there, users)
        identity = await elsewhere.verify(pair.access_token)
        told = asyncio.Event()
        there.subscribe(
            lambda kind, news: told.set() if (kind, news.get("token_id")) == ("revoked", identity.family) else None
        )
        await elsewhere.revocation(identity)
        await on(here, users).sign_out(identity)
        # asked of Redis, not heard of: true from the moment that sign_out has returned
        assert await reason(elsewhere.revocation(identity)) == "revoked"
        await told.wait()
        assert await reason(elsewhere.verify(pair.access_token)) == "revoked"


async def test_tickets_and_rotation_go_over_replicas(redis_url: str, users: Users) -> None:
    async with replica(redis_url) as here, replica(redis_url) as there:
        one, other = on(here, users), on(there, users)
        pair = await one.sign_in("ada", PASSWORD)
        identity = await one.verify(pair.access_token)
        ticket, _ = await one.issue_ticket(identity)
        assert await other.redeem_ticket(ticket) == identity
        assert await reason(one.redeem_ticket(ticket)) == "ticket"
        assert await one.refresh(pair.refresh_token) == await other.refresh(pair.refresh_token)


TOOL = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": "https://crm.example/key",
    "authorization": "at-the-crm",
    "headers": {"X-Key": "another-key"},
}


async def test_redis_holds_nothing_that_opens_a_door(redis_url: str, users: Users) -> None:
    async with replica(redis_url) as state, running_link(redis_url) as link:
        auth = on(state, users)
        pair = await auth.sign_in("ada", PASSWORD)
        identity = await auth.verify(pair.access_token)
        ticket, _ = await auth.issue_ticket(identity)
        renewed = await auth.refresh(pair.refresh_token)
        session = {"tools": [TOOL], "instructions": "Be brief."}
        secret = await auth.issue_client_secret(identity, 60, session)
        code = await auth.issue_sign_in_code()
        keys = await link.call("KEYS", "*")
        held = b" ".join([*keys, *[await link.call("GET", key) for key in keys]])
        doors = (pair.access_token, pair.refresh_token, renewed.refresh_token, ticket, secret, code, KEY)
        for door in (*doors, "crm.example", "at-the-crm", "another-key"):
            assert door.encode() not in held
        assert await auth.client_secret(secret) == (identity, session)
        (kept,) = await link.call("KEYS", "jarvis:secret:*")
        record = json.loads(await link.call("GET", kept))
        other = await auth.issue_client_secret(identity, 60, {})  # a seal opens with its own secret only
        await state.put(_secret_key(other).removeprefix("jarvis:"), json.dumps(record), 60)
        assert await reason(auth.client_secret(other)) == "ticket"


async def test_a_request_s_revocation_and_limit_are_one_round_trip(redis_url: str, users: Users) -> None:
    async with replica(redis_url) as state:
        link = state._link
        auth, limiter = on(state, users), RateLimiter(link)
        identity = await auth.verify(auth.issue_access("ada", "ada", ["user"], family="f"))
        await limiter.check("warm", 10, 60)
        counting = CountingWire(link)
        revocation = auth.revocation(identity)
        decision = await limiter.check("user:ada", 10, 60)
        await revocation
        assert decision.backend == "redis"
        assert counting.sizes == [2]
