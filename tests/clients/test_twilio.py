"""Twilio's side of a Media Stream, written from its published messages, against a running gateway with real speech."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
import re
import wave
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.gateway import running_gateway, speech

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.gateway import GatewayProcess

AUTH_TOKEN = "12345678901234567890123456789012"
STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0"
CALL = "CA123456789012345678901234567890ab"
FRAME_MS = 20
BIAS, CLIP = 0x84, 32_635  # ITU-T G.711


def to_law(sample: int) -> int:
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, CLIP) + BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def from_law(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + BIAS << (code >> 4 & 7)) - BIAS
    return -magnitude if code & 0x80 else magnitude


def as_telephone(pcm: bytes) -> bytes:
    """16 kHz PCM as 8 kHz µ-law; each two samples become their mean."""
    samples = memoryview(pcm).cast("h")
    return bytes(to_law((samples[at] + samples[at + 1]) // 2) for at in range(0, len(samples) - 1, 2))


def as_wav(law: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(b"".join(from_law(code).to_bytes(2, "little", signed=True) for code in law))
    return file.getvalue()


def signature(url: str, auth_token: str = AUTH_TOKEN) -> str:
    return base64.b64encode(hmac.new(auth_token.encode(), url.encode(), hashlib.sha1).digest()).decode()


@pytest.fixture(scope="module")
def telephony(tmp_path_factory: pytest.TempPathFactory, services: dict[str, str]) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("telephony"), TWILIO_AUTH_TOKEN=AUTH_TOKEN, **services) as running:
        yield running


def dial(gateway: GatewayProcess, *, url: str = "", auth_token: str = AUTH_TOKEN) -> connect:
    """Open the socket as Twilio does, which signs the `wss` address that a proxy in front would have."""
    address = f"{gateway.ws}/v1/twilio"
    signed = url or address.replace("ws://", "wss://")
    return connect(address, additional_headers={"X-Twilio-Signature": signature(signed, auth_token)}, max_queue=None)


class Caller:
    """One call. Sound is played as it comes, and marks are returned once it is over."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._chunks = count(1)
        self.heard = bytearray()
        self.events: list[str] = []
        self.quiet = asyncio.Event()  # a mark stood behind all the sound that came

    async def send(self, event: str, **fields: Any) -> None:
        numbered = {"sequenceNumber": str(next(self._numbers)), "streamSid": STREAM} if event != "connected" else {}
        await self._socket.send(json.dumps({"event": event, **numbered, **fields}))

    async def begin(self, **parameters: str) -> None:
        await self.send("connected", protocol="Call", version="1.0.0")
        form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        ids = {"accountSid": "AC1", "streamSid": STREAM, "callSid": CALL}
        await self.send(
            "start", start={**ids, "tracks": ["inbound"], "mediaFormat": form, "customParameters": parameters}
        )

    async def say(self, name: str) -> None:
        law = as_telephone(speech(name, silence_ms=1_500))
        for at in range(0, len(law), FRAME_MS * 8):
            payload = base64.b64encode(law[at : at + FRAME_MS * 8]).decode()
            chunk = {
                "track": "inbound",
                "chunk": str(next(self._chunks)),
                "timestamp": str(at // 8),
                "payload": payload,
            }
            await self.send("media", media=chunk)

    async def listen(self) -> None:
        async for raw in self._socket:
            message = json.loads(raw)
            assert message["streamSid"] == STREAM
            event = message["event"]
            self.events.append(event)
            if event == "media":
                assert set(message) == {"event", "streamSid", "media"}
                self.heard += base64.b64decode(message["media"]["payload"], validate=True)
                self.quiet.clear()
            elif event == "mark":
                with suppress(ConnectionClosed):  # the gateway has hung up
                    await self.send("mark", mark={"name": message["mark"]["name"]})
                self.quiet.set()

    async def until_heard(self, n_ms: int) -> None:
        while len(self.heard) < n_ms * 8 or not self.quiet.is_set():
            await asyncio.sleep(0.02)


async def test_a_caller_asks_interrupts_and_presses_keys(telephony: GatewayProcess) -> None:
    async with dial(telephony) as socket:
        caller = Caller(socket)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(caller.listen(), name="listen")
            await caller.begin(caller="+15550100", language="en-US")
            await caller.say("flite-slt-what-time-is-it")
            await caller.until_heard(900)
            answer = bytes(caller.heard)
            await caller.say("flite-slt-what-time-is-it")
            await caller.until_heard(len(answer) // 8 + 500)
            await caller.send("dtmf", dtmf={"track": "inbound_track", "digit": "1"})
            await caller.send("dtmf", dtmf={"track": "inbound_track", "digit": "#"})
            before_ms = len(caller.heard) // 8
            await caller.until_heard(before_ms + 300)
            await caller.send("stop", stop={"accountSid": "AC1", "callSid": CALL})
            await listening
    assert socket.close_code == 1000
    client = AsyncOpenAI(api_key=telephony.token, base_url=f"{telephony.base}/v1", max_retries=0)
    said = await client.audio.transcriptions.create(model="whisper-1", file=("answer.wav", as_wav(answer)))
    assert re.search(r"\d.*[ap]\.?m", said.text.lower()), said.text  # the time


@pytest.mark.parametrize(
    ("url", "auth_token"),
    [("wss://elsewhere.example/v1/twilio", AUTH_TOKEN), ("", "of another account")],
)
async def test_a_handshake_that_twilio_did_not_sign_is_refused(
    telephony: GatewayProcess, url: str, auth_token: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(telephony, url=url, auth_token=auth_token):
            pass
    assert refused.value.response.status_code == 403


async def test_a_handshake_without_a_signature_is_refused(telephony: GatewayProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{telephony.ws}/v1/twilio"):
            pass
    assert refused.value.response.status_code == 403


async def test_without_an_auth_token_there_are_no_calls(gateway: GatewayProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(gateway):
            pass
    assert refused.value.response.status_code == 404


async def test_a_stream_that_is_not_one_is_closed(telephony: GatewayProcess) -> None:
    async with dial(telephony) as socket:
        await socket.send(json.dumps({"event": "start", "start": {"streamSid": STREAM}}))
        await socket.wait_closed()
    assert (socket.close_code, "mediaFormat" in str(socket.close_reason)) == (1008, True)


async def test_who_sends_more_than_a_telephone_can_is_closed(telephony: GatewayProcess) -> None:
    async with dial(telephony) as socket:
        caller = Caller(socket)
        await caller.begin()
        with suppress(ConnectionClosed):
            for _ in range(5_000):
                await caller.send("dtmf", dtmf={"track": "inbound_track", "digit": "#"})
        await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (1008, "too many messages")


async def test_what_is_too_large_is_closed_without_a_message(telephony: GatewayProcess) -> None:
    """Twilio's protocol has no message for errors."""
    async with dial(telephony) as socket:
        await socket.send("x" * 100_000)
        await socket.wait_closed()
        with pytest.raises(ConnectionClosed):
            await socket.recv()  # not even an empty message
    assert socket.close_code == 1009
