"""One answer of a chat endpoint, and what else runs on its loop meanwhile."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from server.embedded.mind.chat import Chat, ChatAnswer
from server.embedded.mind.config import MindConfig
from tests.support.chat_endpoint import Scene, chat_endpoint, words

DELTAS = 1_000
CHUNK: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}


async def turns_of_others(scene: Scene) -> list[int]:
    """How often others had run at each piece of the answer, and at its end."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with chat_endpoint(lambda _: scene) as endpoint:
        chat = Chat(MindConfig(endpoint.url, "m"))
        waiting = asyncio.get_running_loop().create_task(others(), name="others")
        turns_at = [turns async for piece in chat.stream([], [], ChatAnswer(), tool_choice="none") if piece]
        turns_at.append(turns)
        waiting.cancel()
        await chat.close()
    return turns_at


async def test_an_answer_that_comes_at_once_keeps_nobody_waiting() -> None:
    """An intent waited a second for 3,000 deltas: reading what is there already suspends nothing."""
    turns_at = await turns_of_others(words(*["la "] * DELTAS))
    assert len(set(turns_at)) == len(turns_at) == DELTAS + 1


async def test_nor_do_chunks_with_nothing_in_them() -> None:
    """A first piece, and a last one behind the empty ones."""
    empty, piece = (
        "data: " + json.dumps(CHUNK) + "\n\n",
        {"index": 0, "delta": {"content": "la"}, "finish_reason": "stop"},
    )
    full = "data: " + json.dumps(CHUNK | {"choices": [piece]}) + "\n\n"
    body = full + empty * DELTAS + full + "data: [DONE]\n\n"
    first, last, _ = await turns_of_others(Scene(body=body.encode()))
    assert last - first > DELTAS
