"""PyPI `openai-agents`, unmodified, if `make test-clients` has installed it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.test_openai_sdk import FRAME_BYTES, at_24khz

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess

realtime = pytest.importorskip("agents.realtime", reason="make test-clients installs openai-agents")


async def until(session: Any, kind: str) -> list[str]:
    """Kinds of events up to that one."""
    kinds: list[str] = []
    async with asyncio.timeout(25):
        async for event in session:
            kinds.append(event.type)
            assert event.type != "error", event.error
            if event.type == kind:
                return kinds
    raise AssertionError(f"no {kind} in {kinds}")


async def test_openai_agents(gateway: GatewayProcess) -> None:
    runner = realtime.RealtimeRunner(realtime.RealtimeAgent(name="Jarvis", instructions="be brief"))
    where = {"api_key": gateway.token, "url": f"{gateway.ws}/v1/realtime?model=gpt-realtime"}
    session = await runner.run(model_config=where)
    async with session:
        await session.send_message("help")
        assert "audio" in await until(session, "agent_end")
        pcm = at_24khz("flite-slt-what-time-is-it")
        for start in range(0, len(pcm), FRAME_BYTES):
            await session.send_audio(pcm[start : start + FRAME_BYTES])
        assert "audio" in await until(session, "agent_end")
        await session.send_message("what can you do?")
        await until(session, "audio")
        await session.interrupt()
        await until(session, "agent_end")
        await session.send_message("what time is it")
        assert "audio" in await until(session, "agent_end")
