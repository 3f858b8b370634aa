"""Looking for a session at other replicas: a Redis that hangs keeps nobody waiting."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from server.shared import observation as observing
from server.shared.observation import ReplicaObservation
from server.shared.state import LocalState
from streaming.ports import CallContext
from streaming.residents import Residents

if TYPE_CHECKING:
    import pytest


class HangingSubscription:
    closed = False

    async def subscribe(self, _channel: str) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


async def test_a_redis_that_hangs_has_no_session_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "CONNECT_S", 0.02)
    subscription = HangingSubscription()
    link: Any = SimpleNamespace(up=True, client=SimpleNamespace(pubsub=lambda: subscription))
    async with asyncio.TaskGroup() as group:
        observation = ReplicaObservation(LocalState(), link, group, Residents())
        async with asyncio.timeout(1):
            assert await observation.watch("nobody", CallContext("ada"), audio=False) is None
    assert subscription.closed
