"""Questions of a real gateway with its embedded services, and answers as people give them: typed, and spoken by the gateway's own voice."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
import wave
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import AsyncHTTPClient

from streaming.protocol import messages
from streaming.protocol.events import AudioReceived
from streaming.protocol.messages import TurnParams
from tests.support.gateway import FRAME_BYTES, client

if TYPE_CHECKING:
    from streaming.client.channel import GatewayChannel
    from streaming.client.gateway import GatewayClient
    from tests.support.gateway import GatewayProcess

TOLD = (messages.TurnReply, messages.TaskConfirmationRequired)


class Conversation:
    """What is typed, each in a turn of its own on one session, and what is told: replies, and questions in words."""

    def __init__(self, session: GatewayClient) -> None:
        self._session = session
        self.told: list[tuple[str, str]] = []  # (typed, told)
        self._news = asyncio.Event()

    async def follow(self, turn: GatewayChannel, typed: str) -> None:
        async for event in turn:
            if isinstance(event, TOLD):
                told = event.text if isinstance(event, messages.TurnReply) else event.sentence
                self.told.append((typed, told or ""))
                self._news.set()

    async def hears_exactly(self, *told: tuple[str, str]) -> None:
        """Wait until all of this was told, each once, in any order: replies of two turns may come at once."""
        while sorted(self.told) != sorted(told):
            assert len(self.told) < len(told), self.told
            self._news.clear()
            await self._news.wait()
        self.told.clear()


ASKED = "Shall I create the folder {}?"
MADE = "I have made the folder {}."
UNDONE = "All right, I will not do it."
WHY = f"I ask because the command changes files, and the risk is medium. On this machine, that is: mkdir {{0}}. {ASKED}"
FIRST = "create a folder called {0}"
# Each line: what is typed, and what is told then, to which of the words typed; {0} and {1} are names.
CONVERSATIONS: list[list[tuple[str, dict[str, str]]]] = [
    [
        ("Why?", {"Why?": WHY}),
        ("Which folder?", {"Which folder?": WHY}),
        ("What?", {"What?": ASKED}),
        ("let me think", {"let me think": "All right."}),
        ("blah blah", {"blah blah": f"I did not understand that. {ASKED}"}),
        ("thanks", {"thanks": "You are welcome."}),
        ("yes please", {"yes please": f"A question is still open. {ASKED}"}),
        ("yes, do it", {"yes, do it": "All right.", FIRST: MADE}),
    ],
    [
        ("Yes, but call it {1}", {"Yes, but call it {1}": ASKED.replace("{}", "{1}")}),
        ("yeah, sure", {"yeah, sure": "All right.", "Yes, but call it {1}": MADE.replace("{}", "{1}")}),
    ],
    [
        ("No, call it {1} instead", {"No, call it {1} instead": ASKED.replace("{}", "{1}")}),
        ("is that safe?", {"is that safe?": WHY.replace("{0}", "{1}").replace("{}", "{1}")}),
        ("no, no, no", {"no, no, no": "", "No, call it {1} instead": UNDONE}),
    ],
    [("Yes, and what is 2 plus 3?", {FIRST: MADE, "Yes, and what is 2 plus 3?": "2 plus 3 is 5."})],
    [("No, what is 2 plus 3?", {"No, what is 2 plus 3?": "2 plus 3 is 5."})],
    [
        ("yes, hmm", {"yes, hmm": ASKED}),
        ("yes, pardon?", {"yes, pardon?": ASKED}),
        ("oh yes, what is 2 plus 3?", {"oh yes, what is 2 plus 3?": "2 plus 3 is 5."}),
        ("Yes, but what is 2 plus 3?", {"Yes, but what is 2 plus 3?": "2 plus 3 is 5."}),
        ("no wait, yes", {"no wait, yes": f"I did not understand that. {ASKED}"}),
        ("number", {"number": f"I did not understand that. {ASKED}"}),
        ("never mind", {"never mind": "", FIRST: UNDONE}),
    ],
]


@pytest.mark.parametrize("lines", CONVERSATIONS, ids=[lines[0][0] for lines in CONVERSATIONS])
async def test_an_answer_means_what_people_mean(
    gateway: GatewayProcess, lines: list[tuple[str, dict[str, str]]]
) -> None:
    names = [f"n{uuid.uuid4().hex[:8]}" for _ in range(2)]

    def named(text: str) -> str:
        return text.replace("{}", "{0}").format(*names)

    async with client(gateway) as session, asyncio.TaskGroup() as group:
        it = Conversation(session)
        following = []
        for typed, told in [(FIRST, {FIRST: ASKED}), *lines]:
            turn = session.open(TurnParams(text=named(typed), reply="text"))
            following.append(group.create_task(it.follow(turn, named(typed))))
            await it.hears_exactly(*((named(to), named(words)) for to, words in told.items()))
        for task in following:
            task.cancel()


async def voice(gateway: GatewayProcess, text: str) -> bytes:
    """16 kHz PCM of the words in the gateway's own voice, and silence behind them."""
    asked = {"text": text, "format": "wav", "sample_rate": 16_000}
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    answer = await AsyncHTTPClient().fetch(
        f"{gateway.base}/api/v1/voice/tts", method="POST", headers=headers, body=json.dumps(asked)
    )
    with wave.open(io.BytesIO(answer.body)) as file:
        pcm: bytes = file.readframes(file.getnframes())
    return pcm + bytes(32 * 1_500)


async def speak(turn: GatewayChannel, pcm: bytes) -> None:
    """In real time, because what is said during the question counts as said too early."""
    for start in range(0, len(pcm), FRAME_BYTES):
        turn.send_audio(pcm[start : start + FRAME_BYTES])
        await asyncio.sleep(FRAME_BYTES / 32_000)


@pytest.mark.parametrize("no", ["No, no, no.", "Nope."])
async def test_a_spoken_no_declines_however_it_is_heard(gateway: GatewayProcess, no: str) -> None:
    """Whisper writes "No, no, number." and "Note" for these."""
    request, answer = await voice(gateway, "Create a folder called music."), await voice(gateway, no)
    async with client(gateway) as session:
        turn = session.open(TurnParams(sample_rate=16_000))
        await speak(turn, request)
        ended: Any = None
        async with asyncio.TaskGroup() as group:
            async for event in turn:
                if isinstance(event, AudioReceived):
                    turn.played(event.payload, event.pts_ms + 40)
                elif isinstance(event, messages.TtsDone) and ended is None:
                    ended = group.create_task(speak(turn, bytes(32 * 1_500) + answer))
                elif isinstance(event, messages.TaskResult):
                    assert event.status == "declined"
                    break
            ended.cancel()
