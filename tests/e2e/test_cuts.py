"""A recorded turn, cut at each of its messages: the client sees the same as without a cut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streaming.client.gateway import GatewayClient
from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from tests.server.embedded.speech import folded
from tests.support.gateway import GatewayProcess, say, speech

if TYPE_CHECKING:
    from streaming.protocol.messages import Message


FRAME_MS = 40
MOST_OF_A_TURN = 60
AT_ONCE = 4  # turns at the same time: two cores recognise no faster
VOLATILE = {"seq", "turn_id", "id", "plan_id", "task_id", "stages", "confidence", "result"}  # differ from run to run
PACED = (messages.Credit, messages.TaskProgress)  # as many as the moment asks for
UNCERTAIN = (messages.SttPartial, messages.TurnEagerEnd, messages.TurnResumed, messages.SttSpeechStopped)


class CutClient(GatewayClient):
    """Loses its socket when so many messages have come."""

    def __init__(self, url: str, token: str, cut_after: int) -> None:
        super().__init__(url, token=token)
        self.received: list[bool] = []  # was it audio?
        self.cut_after = cut_after

    def _receive(self, data: str | bytes) -> None:
        super()._receive(data)
        self.received.append(isinstance(data, bytes))
        if len(self.received) == self.cut_after:
            self.cut()


def essence(message: Message) -> tuple[Any, ...]:
    """What has to be the same. eSpeak's own times differ by some milliseconds from run to run, but never its words.

    Only words: what is heard is not always written with the same capitals, see `Heard.said`.
    """
    fields = message.model_dump(exclude=VOLATILE, exclude_none=True)
    if "words" in fields:
        fields["words"] = [word["text"] for word in fields["words"]]
    fields.pop("duration_ms", None)
    return tuple(sorted((name, folded(repr(value))) for name, value in fields.items()))


async def turn(gateway: GatewayProcess, cut_after: int = 0) -> tuple[list[tuple[Any, ...]], list[bool]]:
    """What was told, and which messages were audio. Everything that was spoken has to be heard once, in order."""
    told: list[tuple[Any, ...]] = []
    heard_ms: list[int] = []
    async with CutClient(gateway.ws, gateway.token, cut_after) as client:
        channel = client.open(TurnParams(time_zone="UTC"))
        say(channel, speech("flite-slt-remember-favourite-colour"))
        channel.end()
        async for event in channel:
            if isinstance(event, events.AudioReceived):
                heard_ms += [event.pts_ms] if event.payload else []
                channel.played(event.payload, event.pts_ms + FRAME_MS)
            elif not isinstance(event, PACED + UNCERTAIN):
                told.append(essence(event))
            if isinstance(event, messages.TtsDone):
                assert heard_ms == list(range(0, event.duration_ms, FRAME_MS)), cut_after
        return told, client.received


async def test_a_cut_at_any_message_of_a_recorded_turn_changes_nothing(gateway: GatewayProcess) -> None:
    await turn(gateway)  # from then on it is known already
    told, received = await turn(gateway)
    assert len(received) > MOST_OF_A_TURN
    gate = asyncio.Semaphore(AT_ONCE)

    async def compare(cut_after: int) -> None:
        async with gate:
            again, _ = await turn(gateway, cut_after)
        assert again == told, cut_after

    async with asyncio.TaskGroup() as group:
        for cut_after in boundaries(received):
            group.create_task(compare(cut_after))


def boundaries(received: list[bool]) -> list[int]:
    """Behind each message up to the first sound, every sixth of those while it is spoken, and the last ones."""
    first_sound, last = received.index(True) + 1, len(received) - 1
    return [n for n in range(2, last + 1) if n <= first_sound or n % 6 == 0 or n > last - 3]
