"""What a client of OpenAI's dialects has spoken, or types, counts against its user's limit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streaming.ports import FinalTranscript
from tests.streaming.lanes.test_lanes import Exhausted
from tests.streaming.openai.test_duplex import LiveClient, scripted
from tests.support.openai_client import FRAME, Client
from tests.support.openai_client import scripted as realtime

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


def test_silence_beside_typed_words_does_not_make_them_speech() -> None:
    async def test(client: Client, world: World) -> None:
        assert client.live is not None
        exhausted: Any = Exhausted()
        client.live.lanes._provided = replace(client.live.lanes._provided, quota=exhausted)
        typed = {"type": "input_text", "text": "what time is it"}
        content = [typed, {"type": "input_audio", "audio": FRAME}]
        client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.created")
        while not world.recognitions or not world.recognitions[-1].commits:
            await client.soon()
        world.recognitions[-1].push(FinalTranscript("", 0.0, 0, 100))
        done = await client.until("response.done")
        assert done["response"]["status_details"]["error"]["code"] == "rate_limit_exceeded"
        assert exhausted.asked == ["turn"]

    realtime(test)
