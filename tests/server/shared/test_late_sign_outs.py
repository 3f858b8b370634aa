"""Sign-outs that Redis does not take at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from server.shared.state import RedisState
from tests.server.redis_support import replica, running_link

if TYPE_CHECKING:
    from tests.conftest import RedisServer

SIGNED_OUT = ("a family", "its token")


async def test_what_a_full_redis_did_not_store_it_is_told_once_it_has_room(own_redis: RedisServer) -> None:
    """Nobody says that there is room again. A full Redis is not lost, so it never comes back either."""
    async with replica(own_redis.url) as here, replica(own_redis.url) as there:
        link = here._link
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        for token_id in SIGNED_OUT:
            await here.revoke(token_id, time.time() + 60)
        while not all(map(there.revoked, SIGNED_OUT)):  # a full one still announces
            await asyncio.sleep(0.002)
        assert await link.call("EXISTS", "jarvis:revoked") == 0
        await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        await _told_late(here)


async def test_what_redis_refuses_for_another_reason_is_told_later_too(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        state = RedisState(link)
        await link.call("SET", "jarvis:revoked", "of the wrong type")
        for token_id in SIGNED_OUT:
            await state.revoke(token_id, time.time() + 60)
            assert state.revoked(token_id)
        await link.call("UNLINK", "jarvis:revoked")
        await _told_late(state)


async def _told_late(state: RedisState) -> None:
    """Until a replica that has just started finds all of them."""
    started = RedisState(state._link)
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(state.tell_late(), name="tell late")
        while [await started.revocation(token_id) for token_id in SIGNED_OUT] != [True, True]:
            await asyncio.sleep(0.02)
        telling.cancel()
