"""`python -m server talk` against a gateway that goes away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from server.__main__ import parser
from server.cli.talk import Talk
from tests.streaming.client.test_silence import READY, peer, text

if TYPE_CHECKING:
    import pytest


async def test_it_says_so_when_the_gateway_does_not_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    async with AsyncExitStack() as running, asyncio.TaskGroup() as group:
        url, requests = await running.enter_async_context(peer(text(READY)))
        options = parser().parse_args(["talk", "--url", url, "--text", "what time is it"])
        talking = group.create_task(Talk(options).run(), name="talk")
        while not requests:
            await asyncio.sleep(0.02)
        await running.aclose()
        assert await talking == 1
    assert capsys.readouterr().err.endswith("What was under way has ended: ask again.\n")
