"""A client of OpenAI's dialect on virtual time. Each event is checked strictly, and so is their order."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from streaming.openai.registry import RealtimeSessions
from streaming.openai.settings import Voices
from streaming.ports import FinalTranscript, Identity, LaneServices, Plan, SpeechStarted, SpeechStopped, Step, Verdict
from streaming.residents import Residents
from tests.clients.orderly import Orderly
from tests.clients.published import checked
from tests.support import virtual_time
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from streaming.openai.live import RealtimeSession

USER = Identity("u1", "ada", ("admin",))
LONG = "so " * 30  # the reply lasts longer than is sent ahead
FRAME = b64encode(bytes(4_800)).decode()  # 100 ms


class Client:
    """A socket that writes everything down."""

    traceparent = ""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live: RealtimeSession | None = None
        self.events: list[dict[str, Any]] = []
        self.ended: int | None = None
        self.order: Orderly | None = Orderly()  # None: not checked
        self.disorder: list[str] = []
        self._seen = 0

    def wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        if self.live is not None:
            events = [checked(item) for item in self.live.data_to_send()]
            for event in events:
                try:
                    if self.order is not None:
                        self.order.note(event)
                except (AssertionError, KeyError) as flaw:
                    self.disorder.append(f"{flaw}: {event}")
            self.events += events

    def end(self, code: int, reason: str) -> None:
        self._take()
        self.ended = code

    def hand_over(self, code: int, reason: str) -> None:
        self.ended = code

    def send(self, kind: str, **fields: Any) -> None:
        assert self.live is not None
        data = json.dumps({"type": kind, **fields})
        if not self.live.hear(data):  # as a socket delivers it
            self.live.receive(data)

    def update(self, **session: Any) -> None:
        self.send("session.update", session={"type": "realtime", **session})

    def type(self, text: str, **response: Any) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        self.send("conversation.item.create", item=item)
        self.send("response.create", response=response)

    def hear(self, *events: object) -> None:
        self.world.recognitions[-1].push(*events)

    def speak(self, text: str) -> None:
        self.hear(SpeechStarted(100), SpeechStopped(500), FinalTranscript(text, 0.9, 100, 500))

    async def until(self, *kinds: str) -> dict[str, Any]:
        """The next event of one of these types behind the one that was waited for before."""
        async with asyncio.timeout(200):
            while True:
                for index in range(self._seen, len(self.events)):
                    if self.events[index]["type"] in kinds:
                        self._seen = index + 1
                        return self.events[index]
                await asyncio.sleep(0.01)

    async def soon(self) -> None:
        """Let the session work."""
        await asyncio.sleep(0.01)

    async def error(self) -> dict[str, Any]:
        return dict((await self.until("error"))["error"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def session(world: World, **options: Any) -> AsyncIterator[Client]:
    lent: Any = world
    provided = LaneServices(world.services(), lent, lent, lent, lent, lent)
    async with asyncio.TaskGroup() as group:
        residents = Residents()
        sessions = RealtimeSessions(provided, group, residents)
        client = Client(world)
        options = {"model": "", "transcription": False, **options}
        client.live = sessions.begin(USER, client, Voices(("hibari",)), **options)
        client.wake()
        yield client
        await sessions.close()
        assert list(residents) == []
        assert client.disorder == []
    assert sessions.room.held_bytes == 0


def scripted(test: Callable[[Client, World], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        world = World()
        async with session(world, **options) as client:
            await test(client, world)

    virtual_time.run(run())


def spoken(world: World) -> list[str]:
    return [text for role, text in world.turns.values() if role == "assistant"]


def risky(world: World, risk: str = "high") -> None:
    world.plans["wipe it"] = Plan("p", "wiped", (Step("1", "os", "rm", {"path": "x"}, (), "remove x"),), "wipe")
    world.verdicts["rm"] = Verdict("confirm", risk, ("it removes",))
    from streaming.ports import Intent

    world.intents["yes"] = Intent("yes", 1.0)
