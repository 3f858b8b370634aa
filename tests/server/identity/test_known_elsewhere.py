"""What works once, and may be known to another replica only: it is not refused for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.identity.auth import Authenticator
from server.shared import redis_link
from server.shared.redis_errors import RedisDownError
from server.shared.state import NEWS, RedisState
from streaming.ports import Identity
from tests.server.redis_support import running_link, until_up
from tests.server.signing import reason, refusal, settings

if TYPE_CHECKING:
    from server.identity.users import Users
    from server.shared.redis_link import RedisLink
    from tests.conftest import RedisServer

ADA = Identity("ada", "Ada", ("user",))


def at(link: RedisLink, users: Users) -> Authenticator:
    return Authenticator(settings(), RedisState(link), users)


async def is_told_to_ask_elsewhere(auth: Authenticator) -> None:
    for asked in (
        auth.redeem_ticket("x"),
        auth.redeem_sign_in_code("x"),
        auth.client_secret("x"),
        auth.spend_client_secret("x"),
    ):
        refused = await refusal(asked)
        assert (refused.code, refused.status, refused.headers) == ("UNAVAILABLE", 503, {"Retry-After": "1"})


async def test_while_redis_is_lost(own_redis: RedisServer, users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_link(own_redis.url) as link:
        auth = at(link, users)
        own_redis.stop()
        with pytest.raises(RedisDownError):
            await link.call("PING")
        await is_told_to_ask_elsewhere(auth)
        issued, _ = await auth.issue_ticket(ADA)
        assert await auth.redeem_ticket(issued) == ADA
        own_redis.start()
        monkeypatch.setattr(redis_link, "SETTLED_S", 1e9)  # however slow this machine is
        await until_up(link)
        await is_told_to_ask_elsewhere(auth)  # others may not have noticed yet
        monkeypatch.setattr(redis_link, "SETTLED_S", 0)
        assert await reason(auth.redeem_ticket("x")) == "ticket"


async def test_while_redis_is_full(own_redis: RedisServer, users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_link(own_redis.url) as link, running_link(own_redis.url) as other:
        here, there = at(link, users), at(other, users)
        assert await reason(there.redeem_ticket("x")) == "ticket"
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        issued, _ = await here.issue_ticket(ADA)
        assert (await refusal(there.redeem_ticket(issued))).status == 503
        assert await here.redeem_ticket(issued) == ADA
        await is_told_to_ask_elsewhere(there)
        await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        monkeypatch.setattr(redis_link, "SETTLED_S", 1e9)
        await is_told_to_ask_elsewhere(there)  # others may not have told yet what they have
        monkeypatch.setattr(redis_link, "SETTLED_S", 0)
        assert await reason(there.redeem_ticket("x")) == "ticket"


async def test_where_nobody_has_seen_that_redis_was_full(own_redis: RedisServer, users: Users) -> None:
    async with running_link(own_redis.url) as link, running_link(own_redis.url) as other, asyncio.TaskGroup() as group:
        told = RedisState(other)
        here, there = at(link, users), Authenticator(settings(), told, users)
        listening = group.create_task(told.listen(), name="listens")
        while dict(zip(*[iter(await link.call("PUBSUB", "NUMSUB", NEWS))] * 2, strict=True)) != {NEWS.encode(): 1}:
            await asyncio.sleep(0.01)
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        issued, _ = await here.issue_ticket(ADA)
        await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        while other.settled:
            await asyncio.sleep(0.01)  # the news is under way
        await is_told_to_ask_elsewhere(there)
        assert await here.redeem_ticket(issued) == ADA
        listening.cancel()
