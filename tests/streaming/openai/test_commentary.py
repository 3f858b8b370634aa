"""What a client of the Live API has spoken counts against its user's limit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.streaming.lanes.test_lanes import Exhausted
from tests.streaming.openai.test_duplex import LiveClient, scripted
from tests.support.openai_client import FRAME

if TYPE_CHECKING:
    from tests.support.world import World


def test_commentary_counts_against_the_limit_and_what_the_gateway_says_by_itself_does_not() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        exhausted: Any = Exhausted()
        client.live.lanes._provided = replace(client.live.lanes._provided, quota=exhausted)
        client.send("session.input_audio.append", audio=FRAME)
        client.speak("tidy up")
        created = await client.until("session.delegation.created")
        await asyncio.sleep(2)
        assert (client.told, exhausted.asked) == ("One moment.", [])
        for words in ("All is tidy.", "Anything else?"):
            client.append("commentary", words, created["delegation"]["id"])
            await client.until("session.commentary.appended")
            error = await client.error()
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        await asyncio.sleep(2)
        assert (client.told, exhausted.asked) == ("One moment.", ["speech"] * 2)

    scripted(test)
