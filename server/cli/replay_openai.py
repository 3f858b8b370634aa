"""Replays a recording of OpenAI's Realtime API: the same client events on a new session, each after what preceded it then.

Ids are made by the server, so each recorded one is replaced by the one at the same place now: in the n-th event of its type.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from binascii import Error as NotBase64Error
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from server.cli.replay_outcome import SESSION, ReplayOutcome
from server.cli.replay_player import Played
from streaming.client import refusal
from streaming.client.address import socket_url
from streaming.client.errors import GatewayError
from streaming.rate import TokenBucket
from streaming.redaction import without_tool_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.jarvis.recording import Recording

BEGIN = "session.created"
HEARD = "conversation.item.input_audio_transcription.completed"
SOUND = "response.output_audio.delta"
# What a client may have waited for. None of these waits for more microphone audio, or a fast replay would stall.
MILESTONES = frozenset(
    {BEGIN, "session.updated", "error", "input_audio_buffer.cleared", HEARD}
    | {"response.created", "response.output_item.added", "response.done"}
    | {f"conversation.item.{what}" for what in ("done", "retrieved", "deleted", "truncated")}
    | {"conversation.item.input_audio_transcription.failed", "mcp_list_tools.completed", "mcp_list_tools.failed"}
)
PASSING = ("rate_limits.updated", "conversation.item.added")  # an item's end tells as much
BYTES_PER_S = {"audio/pcm": 48_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
MESSAGES_PER_S, MESSAGE_BURST = 500.0, 1_000.0  # half of what a gateway takes
CONNECT_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 21 * 1024 * 1024  # as gateways take

Place: TypeAlias = tuple[str, int, tuple[str | int, ...]]
"""Where an id was first told: an event's type, its number among those, and the path inside it."""


class OpenAiOutcome(ReplayOutcome):
    """What the server's events of a session came to. What depends on timing only is ignored."""

    def __init__(self) -> None:
        super().__init__()
        self._responses: dict[str, str] = {}  # id → place
        self._n_bytes: Counter[str] = Counter()

    def event(self, event: dict[str, Any]) -> None:
        """Add a server event."""
        kind = str(event["type"])
        self.counts[SESSION, kind] += 1
        response = event.get("response")
        if kind == SOUND:
            self._n_bytes[str(event.get("response_id"))] += _size(event.get("delta"))
        elif kind.endswith(".delta") or kind in PASSING:
            return
        elif isinstance(response, dict):
            self._on_response(kind, response)
        elif "response_id" in event:
            self._say(self._place(event["response_id"]), "order", kind)
        else:
            self._on_other(kind, event)

    def _place(self, response_id: Any) -> str:
        return self._responses.setdefault(str(response_id), f"response {len(self._responses) + 1}")

    def _say(self, place: str, what: str, said: str) -> None:
        self._places[place].said[what].append(said)

    def _on_response(self, kind: str, response: dict[str, Any]) -> None:
        place = self._place(response.get("id"))
        if kind != "response.done":
            return
        details = response.get("status_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        self._say(place, "ends", f"{response.get('status')} {reason or ''}".rstrip())
        if response.get("status") != "completed":
            self._places[place].said.pop("order", None)  # how far it came is chance
            return
        for item in response.get("output") or ():
            if item.get("type") == "message":
                parts = item.get("content") or ()
                self._say(place, "replies", " ".join(str(part.get("transcript") or part.get("text")) for part in parts))
            elif item.get("type") == "function_call":
                self._say(place, "calls", f"{item.get('name')} {item.get('arguments')}")
        output = (response.get("audio") or {}).get("output") or {}
        rate = BYTES_PER_S.get(str((output.get("format") or {}).get("type")), 0)
        if rate:
            self._places[place].audio_s = self._n_bytes.pop(str(response.get("id")), 0) / rate

    def _on_other(self, kind: str, event: dict[str, Any]) -> None:
        item = event.get("item")
        if kind == "error":
            error = event.get("error")
            self._say(SESSION, "errors", str(error.get("code") if isinstance(error, dict) else None))
        elif kind == HEARD:
            self._say(SESSION, "transcripts", str(event.get("transcript")))
        elif kind.startswith("input_audio_buffer."):
            self._say(SESSION, "order", kind)
        elif kind == "conversation.item.done" and isinstance(item, dict) and item.get("role") == "user":
            self._say(SESSION, "user's items", str(item.get("type")))


def _size(base64: Any) -> int:
    try:
        return len(b64decode(str(base64), validate=True))
    except (NotBase64Error, ValueError):
        return 0


@dataclass(frozen=True, slots=True)
class OpenAiCue:
    """One client event. `after`: the number of milestones that had come before."""

    at_ms: float
    event: dict[str, Any]
    after: int

    @property
    def is_audio(self) -> bool:
        """True for a piece of the microphone's audio."""
        return bool(self.event.get("type") == "input_audio_buffer.append")


@dataclass(slots=True)
class OpenAiScript:
    """The events to send, and where each recorded id was first told."""

    query: dict[str, str]
    cues: list[OpenAiCue] = field(default_factory=list)
    milestones: list[tuple[str, int]] = field(default_factory=list)  # type and number among those
    ids: dict[str, Place] = field(default_factory=dict)
    outcome: OpenAiOutcome = field(default_factory=OpenAiOutcome)
    left_out: Counter[str] = field(default_factory=Counter)


def openai_script(recording: Recording) -> OpenAiScript | None:
    """The script of a recording; None if it is of another dialect."""
    told = next((entry.message for entry in recording.entries if entry.direction == "in"), None)
    session = told.get("session") if told is not None and told["type"] == BEGIN else None
    if not isinstance(session, dict):
        return None
    query = {"intent": "transcription"} if session.get("type") == "transcription" else {}
    script = OpenAiScript(query | {"model": str(session.get("model") or "")})
    seen: set[str] = set()
    for entry in recording.entries:
        event = entry.message
        if event is None or entry.direction == "local":
            continue
        if entry.direction == "out":
            script.cues.append(OpenAiCue(entry.at_ms, without_tool_secrets(event), len(script.milestones)))
            continue
        event_id = str(event.get("event_id"))
        if event_id in seen:
            continue  # sent again after a resume
        seen.add(event_id)
        script.outcome.event(event)
        kind = str(event["type"])
        nth = script.outcome.counts[SESSION, kind]
        if kind in MILESTONES:
            script.milestones.append((kind, nth))
        for path, value in _ids(kind, event):
            script.ids.setdefault(value, (kind, nth, path))
    return script


def _ids(kind: str, event: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """All ids in a server event that comes equally often every time."""
    return iter(()) if kind.endswith(".delta") or kind in PASSING[:1] else _within(event, ())


def _within(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and (name == "id" or name.endswith("_id")) and name != "event_id":
                yield (*path, name), inner
            else:
                yield from _within(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _within(inner, (*path, index))


class OpenAiPlayer:
    """One session that plays a script. `fast`: as fast as limits and order allow, else at the recorded times."""

    def __init__(self, script: OpenAiScript, url: str, *, fast: bool, timeout_s: float, token: str) -> None:
        self.outcome = OpenAiOutcome()
        self.played = Played(self.outcome, left_out=Counter(script.left_out))
        self._script = script
        self._fast = fast
        self._timeout_s = timeout_s
        self._url = f"{socket_url(url)}/v1/realtime?{urlencode(script.query)}"
        self._token = token
        self._ids: dict[Place, str] = {}
        self._progress = asyncio.Event()
        self._passed = 0
        self._closed: GatewayError | None = None
        self._gave_up = False

    async def play(self) -> Played:
        """Play until the outcome of the recording was reached. Raises GatewayError."""
        socket = await self._connect()
        listening = asyncio.get_running_loop().create_task(self._listen(socket), name="listen")
        try:
            await self._play(socket)
        except WebSocketClosedError:
            await listening
        finally:
            listening.cancel()
            socket.close()
        if self._closed is not None and self._passed < len(self._script.milestones):
            raise self._closed
        return self.played

    async def _connect(self) -> WebSocketClientConnection:
        if not self._token:
            raise GatewayError("UNAUTHENTICATED", "a session of OpenAI's dialect needs a token")
        request = HTTPRequest(
            self._url, headers={"Authorization": f"Bearer {self._token}"}, connect_timeout=CONNECT_TIMEOUT_S
        )
        try:
            return await websocket_connect(request, max_message_size=MAX_MESSAGE_BYTES)
        except (OSError, HTTPClientError, WebSocketError) as error:
            raise refusal.of_handshake(self._url.partition("?")[0], error) from None

    async def _play(self, socket: WebSocketClientConnection) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        rate = TokenBucket(MESSAGES_PER_S, MESSAGE_BURST, began)
        for cue in self._script.cues:
            if not self._fast:
                await asyncio.sleep(max(0.0, began + (cue.at_ms - self._script.cues[0].at_ms) / 1000 - loop.time()))
            elif not rate.take(1, loop.time()):
                await asyncio.sleep(rate.wait_s(1))
                rate.take(1, loop.time())
            if self._fast or not cue.is_audio:
                await self._pass(cue.after)
            await socket.write_message(json.dumps(cue.event if cue.is_audio else self._mapped(cue.event)))
        await self._pass(len(self._script.milestones))

    async def _listen(self, socket: WebSocketClientConnection) -> None:
        while (data := await socket.read_message()) is not None:
            event = json.loads(data)
            self.outcome.event(event)
            kind = str(event["type"])
            nth = self.outcome.counts[SESSION, kind]
            for path, value in _ids(kind, event):
                self._ids[kind, nth, path] = value
            self._progress.set()
        self._closed = refusal.of_close(socket.close_code or 1006, socket.close_reason)
        self._progress.set()

    async def _pass(self, count: int) -> None:
        """Wait for the first `count` milestones; after one that does not come, for no other."""
        while self._passed < count and not self._gave_up:
            kind, nth = self._script.milestones[self._passed]
            try:
                async with asyncio.timeout(self._timeout_s):
                    while self.outcome.counts[SESSION, kind] < nth:
                        if self._closed is not None:
                            return
                        self._progress.clear()
                        await self._progress.wait()
            except TimeoutError:
                self._gave_up = True
                self.played.in_vain.append(f"{kind} (number {nth})")
            self._passed += 1

    def _mapped(self, value: Any) -> Any:
        """The value with this session's ids instead of the recorded ones."""
        if isinstance(value, dict):
            return {name: self._mapped(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._mapped(inner) for inner in value]
        place = self._script.ids.get(value) if isinstance(value, str) else None
        return value if place is None else self._ids.get(place, value)
