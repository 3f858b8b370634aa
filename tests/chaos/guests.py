"""Clients of what is no `jarvis.v1`: REST with `Idempotency-Key`, uploads and server-sent events, OpenAI's Realtime and Live dialects.

Less is promised to them: work of a gateway that dies is lost. It must end visibly (an error, a connection that breaks, a close code
that allows to come again), never as a success that lacks something, and no effect may happen twice.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.chaos.work import PATIENCE_S, RECORDINGS, SENTENCES, Outcome
from tests.support.gateway import AUDIO, speech

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

TRY_AGAIN_S = 0.1
LIVE_FRAME_BYTES = 3_200  # 100 ms at 16 kHz
COME_AGAIN = {1001, 1006, 1011, 1012, 1013}
BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)
REFUSED_STATUS = {409, 429, 502, 503, 504}


class BrokenError(Exception):
    """The connection broke, or the gateway refused, as it may."""


@dataclass
class Guest:
    """One such client. `repeats`: it may send a request with an effect again, because Redis keeps its data in this run."""

    address: str
    token: Callable[[], str]
    name: str
    outcome: Outcome
    dice: random.Random
    repeats: bool
    http: aiohttp.ClientSession

    def __post_init__(self) -> None:
        self._realtime: Realtime | None = None

    async def run(self, until: Callable[[], bool], *, silent: bool) -> None:
        """Piece after piece until it is time to stop. `silent`: none with speech."""
        pieces: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("REST store", self._store),
            ("realtime response", self._respond),
            ("REST transcription", self._transcribe),
            ("REST transcription by events", self._transcribe_by_events),
            ("REST speech", self._speak),
            ("Live question", self._ask_live),
        ]
        if silent:
            pieces = pieces[:2]
        while not until():
            name, piece = self.dice.choice(pieces)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await piece()
            except TimeoutError:
                self._wrong(f"{name} hangs")
                self._realtime = None
            except (BrokenError, *BROKEN):
                self.outcome.count(self.outcome.told, name)
            else:
                self.outcome.count(self.outcome.done, name)
            await asyncio.sleep(self.dice.random() * 0.3)
        if self._realtime is not None:
            await self._realtime.close()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token()}"}

    def _url(self, path: str) -> str:
        return self.address.replace("ws://", "http://") + path

    def _wrong(self, what: str) -> None:
        self.outcome.broken.append(f"{self.name}: {what}")

    # --- REST ---

    async def _store(self) -> None:
        """Sent again until there is an answer, as a client with a key does."""
        value = uuid.uuid4().hex
        self.outcome.effects[value] = False
        headers = self._headers | {"Idempotency-Key": uuid.uuid4().hex}
        while True:
            try:
                async with self.http.post(
                    self._url("/api/v1/memory/store"), json={"value": value}, headers=headers
                ) as answer:
                    status, body = answer.status, await answer.json(content_type=None)
            except (*BROKEN, json.JSONDecodeError):
                status, body = 502, {}
            if status == 201:
                self.outcome.effects[value] = True
                return
            code = body.get("code", "")
            if status not in REFUSED_STATUS:
                self._wrong(f"memory.store by REST answered {status} {body}")
            if status not in {502, 409} or code == "ABORTED" or not self.repeats:
                raise BrokenError
            await asyncio.sleep(TRY_AGAIN_S)

    def _form(self, name: str, **fields: str) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("model", "whisper-1")
        for field, value in fields.items():
            form.add_field(field, value)
        form.add_field("file", _RECORDED[name], filename=f"{name}.wav", content_type="audio/wav")
        return form

    async def _transcribe(self) -> None:
        name = self.dice.choice(list(RECORDINGS))
        async with self.http.post(
            self._url("/v1/audio/transcriptions"), data=self._form(name), headers=self._headers
        ) as answer:
            self._check(answer.status)
            text = (await answer.json())["text"]
        self._judge(name, text)

    async def _transcribe_by_events(self) -> None:
        """What ends without `transcript.text.done` has to end as a broken connection."""
        name = self.dice.choice(list(RECORDINGS))
        async with self.http.post(
            self._url("/v1/audio/transcriptions"), data=self._form(name, stream="true"), headers=self._headers
        ) as answer:
            self._check(answer.status)
            events = [json.loads(line[6:]) async for line in answer.content if line.startswith(b"data: {")]
        last = events[-1] if events else {}
        if last.get("type") == "error" or "error" in last:
            raise BrokenError
        if last.get("type") != "transcript.text.done":
            self._wrong(f"a transcription by events ended well behind {last}")
            return
        self._judge(name, last["text"])

    def _judge(self, name: str, text: str) -> None:
        words = "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ").split()
        if missing := RECORDINGS[name] - set(words):
            self._wrong(f"{sorted(missing)} of {name} not heard in {text!r}")

    async def _speak(self) -> None:
        """All samples, or a broken connection."""
        sentence = self.dice.choice(SENTENCES)
        request = {"model": "tts-1", "voice": "alloy", "input": sentence, "response_format": "pcm"}
        async with self.http.post(self._url("/v1/audio/speech"), json=request, headers=self._headers) as answer:
            self._check(answer.status)
            sound = await answer.read()
        first = self.outcome.speech.setdefault(f"REST {sentence}", sound)
        if len(sound) != len(first):
            self._wrong(f"{len(sound)} bytes of speech by REST, {len(first)} when first spoken")

    def _check(self, status: int) -> None:
        if status in REFUSED_STATUS:
            raise BrokenError
        if status != 200:
            self._wrong(f"status {status}")
            raise BrokenError

    # --- OpenAI's dialects ---

    async def _respond(self) -> None:
        if self._realtime is None or self._realtime.closed:
            self._realtime = Realtime(self)
        await self._realtime.respond()

    async def _ask_live(self) -> None:
        """A spoken question; the session ends with its socket, and is begun anew."""
        async with self.http.ws_connect(self._url("/v1/live/sessions"), headers=self._headers) as socket:
            sound = {"format": {"type": "audio/pcm", "rate": 16_000}}
            await socket.send_json({"type": "session.start", "session": {"model": "gpt-live-1", "audio": sound}})
            heard = said = ""
            asked = False
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                event = json.loads(message.data)
                if event["type"] == "session.started" and not asked:
                    asked = True
                    for start in range(0, len(_QUESTION), LIVE_FRAME_BYTES):
                        audio = b64encode(_QUESTION[start : start + LIVE_FRAME_BYTES]).decode()
                        await socket.send_json({"type": "session.input_audio.append", "audio": audio})
                elif event["type"] == "session.input_transcript.delta":
                    heard += event["delta"]
                elif event["type"] == "session.output_transcript.delta":
                    said += event["delta"]
                elif event["type"] in {"session.closed", "error"}:
                    break
                if "It is" in said:
                    if "time" not in heard.lower():
                        self._wrong(f"Live answered {said!r} to {heard!r}")
                    return
            self.note_close(socket.close_code)
            raise BrokenError

    def note_close(self, code: int | None) -> None:
        """A close code that forbids to come again is wrong: nothing was done that deserves it."""
        if code is not None and code not in COME_AGAIN:
            self._wrong(f"closed with {code}")


class Realtime:
    """A session of `/v1/realtime`, resumed after each loss of its socket where that is possible."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._session = self._last_event = ""
        self._seen: set[str] = set()
        self.closed = False

    async def respond(self) -> None:
        """One typed turn, with exactly one `response.done`. Raises BrokenError if a new session began meanwhile."""
        await self._connected()
        question = uuid.uuid4().hex
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what is 17 plus 25"}]}
        await self._send({"type": "conversation.item.create", "item": item})
        await self._send(
            {"type": "response.create", "response": {"output_modalities": ["text"], "metadata": {"question": question}}}
        )
        while True:
            event = await self._next()
            if (
                event["type"] == "response.done"
                and (event["response"].get("metadata") or {}).get("question") == question
            ):
                break
        response = event["response"]
        text = json.dumps(response["output"])
        if response["status"] != "completed":
            raise BrokenError  # of a service that was killed
        if "42" not in text and "forty" not in text:
            self._guest._wrong(f"the response was {text}")

    async def _connected(self) -> None:
        while self._socket is None or self._socket.closed:
            query = f"&resume={self._session}&last_event_id={self._last_event}" if self._last_event else ""
            try:
                self._socket = await self._guest.http.ws_connect(
                    self._guest._url(f"/v1/realtime?model=gpt-realtime{query}"),
                    headers=self._guest._headers,
                    max_msg_size=0,
                )
            except BROKEN:
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            if not query:
                await self._receive()

    async def _send(self, event: dict[str, Any]) -> None:
        """What is sent on a dying socket may not arrive: the dialect has no acknowledgement, so the turn counts as lost."""
        assert self._socket is not None
        try:
            await self._socket.send_json(event)
        except BROKEN:
            raise BrokenError from None

    async def _next(self) -> dict[str, Any]:
        """The next event, of the resumed session too."""
        while True:
            event = await self._receive()
            if event is not None:
                return event
            await self._connected()

    async def _receive(self) -> dict[str, Any] | None:
        """None: the socket is gone. Raises BrokenError at the beginning of a new session."""
        assert self._socket is not None
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            self._guest.note_close(self._socket.close_code)
            return None
        event: dict[str, Any] = json.loads(message.data)
        if event["event_id"] in self._seen:
            self._guest._wrong(f"event {event['event_id']} ({event['type']}) came twice")
        self._seen.add(event["event_id"])
        before, self._last_event = self._last_event, event["event_id"]
        if event["type"] == "session.created":
            self._session = event["session"]["id"]
            if before:
                self._guest.outcome.count(self._guest.outcome.refused, "realtime not resumed")
                raise BrokenError
        return event

    async def close(self) -> None:
        """Say goodbye."""
        self.closed = True
        if self._socket is not None:
            await self._socket.close()


_RECORDED = {name: (AUDIO / f"{name}.wav").read_bytes() for name in RECORDINGS}
_QUESTION = speech("flite-slt-what-time-is-it", silence_ms=1_500)
