"""Two outside judges of a conversation, by its sound alone: voicebench plays the user, hotato reads the stereo recording."""

from __future__ import annotations

import asyncio
import wave
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import hotato
import numpy as np
from voicebench.adapters.base import Adapter, AgentAudio, Transcript

from streaming.client.gateway import GatewayClient
from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from tests.support.gateway import FRAME_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from voicebench.audio import FloatArray
    from voicebench.runner import SessionRecord

    from streaming.client.channel import GatewayChannel

FULL_SCALE = 32767


class GatewayAdapter(Adapter):
    """A client with a loudspeaker: what came is played in real time, and a pause drops what was not played."""

    name: ClassVar[str] = "gateway"

    def __init__(self, *, url: str, token: str) -> None:
        super().__init__()
        self._url, self._token = url, token
        self._waiting: deque[tuple[bytes, int]] = deque()  # frames, and where they end in the utterance
        self._speaker = bytearray()
        self._at_ms = 0

    async def connect(self) -> None:
        self._client = await GatewayClient(self._url, token=self._token).__aenter__()
        self._turn: GatewayChannel = self._client.open(TurnParams(reply_sample_rate=16_000))
        self._hearing = asyncio.get_running_loop().create_task(self._hear(), name="hear")

    async def _hear(self) -> None:
        async for event in self._turn:
            match event:
                case events.AudioReceived(payload=payload) if payload:
                    self._waiting.append((payload, event.pts_ms + len(payload) // 32))
                case messages.TurnPaused() | messages.TurnInterrupted():
                    for payload, _ in self._waiting:
                        self._turn.credit(payload)
                    self._waiting.clear()
                    self._speaker.clear()
                case messages.SttFinal():
                    self.emit(Transcript("user", event.text, self.session.clock.now()))
                case messages.TurnReply():
                    self.emit(Transcript("agent", event.text, self.session.clock.now()))
                case _:
                    pass

    async def send_audio(self, pcm: FloatArray) -> None:
        self._play()
        samples = (np.clip(pcm, -1, 1) * FULL_SCALE).astype("<i2").tobytes()
        self._turn.send_audio(samples, self._at_ms)
        self._at_ms += len(samples) // 32

    def _play(self) -> None:
        """The next 20 ms of the loudspeaker."""
        while self._waiting and len(self._speaker) < FRAME_BYTES:
            payload, end_ms = self._waiting.popleft()
            self._speaker += payload
            self._turn.played(payload, end_ms)
        out = bytes(self._speaker[:FRAME_BYTES])
        del self._speaker[:FRAME_BYTES]
        if out:
            self.emit(
                AgentAudio(np.divide(np.frombuffer(out, "<i2"), FULL_SCALE, dtype=np.float32), self.session.clock.now())
            )

    async def close(self) -> None:
        self._hearing.cancel()
        await self._client.__aexit__(None, None, None)


def save(record: SessionRecord, path: Path) -> None:
    """As a stereo recording, the user on the left."""
    sides = [(np.clip(side, -1, 1) * FULL_SCALE).astype("<i2") for side in (record.user_track, record.agent_track)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.stack(sides, 1).tobytes())


def by_hotato(path: Path, onset_s: float, *, ends: bool) -> dict[str, Any]:
    """hotato's event at that onset: did the agent yield the floor, and after how long?"""
    found: dict[str, Any] = hotato.run_single(
        stereo=str(path), onset_sec=onset_s, expect="yield" if ends else "hold", channel_map_confirmed=True
    )
    (event,) = found["events"]
    verdict: dict[str, Any] = event
    return verdict
