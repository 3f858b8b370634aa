"""One answer of a chat endpoint, and what else runs on its loop meanwhile."""

from __future__ import annotations

import asyncio

from server.embedded.mind.chat import Chat, ChatAnswer
from server.embedded.mind.config import MindConfig
from tests.support.chat_endpoint import chat_endpoint, words

DELTAS = 1_000


async def test_an_answer_that_comes_at_once_keeps_nobody_waiting() -> None:
    """An intent waited a second for 3,000 deltas: reading what is there already suspends nothing."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with chat_endpoint(lambda _: words(*["la "] * DELTAS)) as endpoint:
        chat = Chat(MindConfig(endpoint.url, "m"))
        waiting = asyncio.get_running_loop().create_task(others(), name="others")
        turns_at = [turns async for piece in chat.stream([], [], ChatAnswer(), tool_choice="none") if piece]
        waiting.cancel()
        await chat.close()
    assert len(set(turns_at)) == len(turns_at) == DELTAS
