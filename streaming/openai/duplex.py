"""A session of the Live API: full duplex, without turns on the wire. Requests that take more than words are delegated to the client.

It uses the same lanes, replies and memory as a Realtime session; `timeline` converts their events to those of this API.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from streaming.openai import settings as config
from streaming.openai.closing import last_mistake
from streaming.openai.conversation import Entry, new_id
from streaming.openai.live import RealtimeSession
from streaming.openai.live_schema import check_append, check_bare, check_sound, check_start, check_update
from streaming.openai.microphones import PIECE_MS
from streaming.openai.mistakes import MistakeError, error_event, wrong
from streaming.openai.timeline import Timeline
from streaming.rfc6455 import NORMAL, POLICY_VIOLATION, SERVICE_RESTART

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from streaming.openai.client_events import ClientEvent
    from streaming.openai.closing import RealtimeSocket
    from streaming.openai.event_queue import EventQueue
    from streaming.openai.room import HearingRoom
    from streaming.ports import Identity, LaneServices

MAX_SESSION_S = 24 * 3_600  # a session lasts no longer, even if its token does
USAGE_S = 5.0  # interval of `session.usage.updated`
MAX_TO_SAY = 64  # commentaries waiting to be spoken
MAX_CONTEXT_CHARS = 65_536  # of what the client has appended; the oldest is forgotten, as a session may last a day
ACKNOWLEDGEMENT = "One moment."
DEFAULT_VOICE = "marin"
_SILENCE = {"audio/pcm": b"\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}
_ROLES = {"developer": "system", "user": "user", "assistant": "assistant"}
_PART = {"system": "input_text", "user": "input_text", "assistant": "output_text"}


class Duplex(RealtimeSession):
    """One session of the Live API. Until `session.start`, every other event is refused."""

    queue_class: ClassVar[type[EventQueue]] = Timeline
    append_kind = "session.input_audio.append"
    reads_appends = False  # a muted microphone needs a look at each
    resumes = False  # the API has no way to say where a client stood
    event_queue: Timeline

    def __init__(
        self,
        identity: Identity,
        socket: RealtimeSocket,
        provided: LaneServices,
        group: asyncio.TaskGroup,
        voices: config.Voices,
        room: HearingRoom,
    ) -> None:
        super().__init__(identity, socket, provided, group, voices, room)
        self.resource: dict[str, Any] = {}  # the session as shown to the client; empty before the start
        self.delegates = True
        self.muted = False
        self.reflections: list[Callable[[bytes], None]] = []  # of sidebands: they get what the microphone gets
        self._delegations: set[str] = set()
        self._to_say: deque[tuple[str, bool]] = deque()  # each with: does it count against the user's limit?
        self._context: deque[str] = deque()  # appended by the client, for the model
        self._acknowledging: dict[str, asyncio.TimerHandle] = {}  # delegations that the client has not commented on yet
        self._usage_timer: asyncio.TimerHandle | None = None
        self._closed_told = False

    def begin(self) -> None:
        """The socket is open. In this API the client sends the first event."""
        self._expiry.start(self._expires_at)

    @property
    def _expires_at(self) -> float:
        latest = self.opened_at + MAX_SESSION_S
        return min(latest, self.identity.expires_at or latest)

    @property
    def actions(self) -> dict[str, Callable[[Any, ClientEvent], None]]:
        """What each type of client event does."""
        return _ACTIONS

    def act(self, event: ClientEvent) -> None:
        """Raises MistakeError."""
        if event.kind != "session.start":
            self._require_start()
        self.actions[event.kind](self, event)  # which checks the fields

    def _require_start(self) -> None:
        if not self.resource:
            raise MistakeError("session_not_started", "Send session.start first.", "type")

    def _acknowledge(self, kind: str, event: ClientEvent, **fields: Any) -> None:
        told = {"client_event_id": event.event_id} if event.event_id else {}
        self.event_queue.say({"type": kind, **fields, **told})

    def on_start(self, event: ClientEvent) -> None:
        """`session.start`."""
        if self.resource:
            raise MistakeError("session_already_started", "The session has started already.", "type")
        asked = check_start(event.fields)
        audio = asked.get("audio") or {}
        form = audio.get("format") or {"type": "audio/pcm", "rate": config.PCM_RATE_HZ}
        given_voice = (audio.get("output") or {}).get("voice")
        voice = DEFAULT_VOICE if given_voice is None else given_voice
        self.voices.ours(voice, "session.audio.output.voice")
        fresh = config.new_session(self.session_id, asked["model"], self.identity.expires_at, transcription=False)
        fresh["audio"]["input"]["format"] = fresh["audio"]["output"]["format"] = form
        fresh["audio"]["output"]["voice"] = voice
        fresh["audio"]["input"]["turn_detection"]["prefix_padding_ms"] = (
            0  # transcripts are told with the times of the words
        )
        fresh["instructions"] = asked.get("instructions") or ""
        self.settings = fresh
        encoding, rate_hz = config.sound_of(form)
        self.event_queue.bytes_per_ms = rate_hz * (2 if encoding == "pcm_s16le" else 1) / 1000
        for item in asked.get("input") or ():
            self._recall(item)
        delegation = {"type": "client", "acknowledgement_delay_ms": 0, **_given(asked.get("delegation"))}
        self.resource = {
            "id": self.session_id,
            "expires_at": int(self._expires_at),
            "status": "active",
            **_given(asked),
            "audio": {"format": form, "output": {"voice": voice}},
            "delegation": delegation,
        }
        self._acknowledge("session.started", event, session=self.resource)
        self._tick()

    def _recall(self, item: dict[str, Any]) -> None:
        role = _ROLES[item["role"]]
        content = [{"type": _PART[role], "text": part["text"]} for part in item["content"]]
        known = {"id": new_id("item"), "object": "realtime.item", "type": "message", "status": "completed"}
        self.conversation.add(Entry({**known, "role": role, "content": content}, answered=True))

    def on_update(self, event: ClientEvent) -> None:
        """`session.update`: what may change while a session goes on."""
        change = _given(check_update(event.fields).get("delegation"))
        self.resource = {**self.resource, "delegation": {**self.resource["delegation"], **change}}
        self._acknowledge("session.updated", event, session=self.resource)

    def on_append(self, event: ClientEvent) -> None:
        """`session.input_audio.append`."""
        for _ in self.appending(event, event.audio()):
            pass

    def appending(self, event: ClientEvent, audio: bytes | bytearray) -> Generator[None, None, None]:
        """Feed the microphone; if it is muted, with silence of the same length. Raises MistakeError."""
        self._require_start()
        check_sound(event.fields)
        if self.muted:
            return self.microphones.appending(_SILENCE[self.resource["audio"]["format"]["type"]] * len(audio))
        return self._reflecting(audio)

    def _reflecting(self, audio: bytes | bytearray) -> Generator[None, None, None]:
        """Feed the microphone, and show each piece to the sidebands."""
        piece_bytes = round(self.event_queue.bytes_per_ms * PIECE_MS)
        for number, _ in enumerate(self.microphones.appending(audio)):
            for reflect in self.reflections:
                reflect(bytes(audio[number * piece_bytes : (number + 1) * piece_bytes]))
            yield

    def on_mute(self, event: ClientEvent) -> None:
        """`session.input_audio.mute` and `.unmute`."""
        check_bare(event.fields)
        self.muted = event.kind.endswith(".mute")
        self._acknowledge(f"{event.kind}d", event)

    def on_context(self, event: ClientEvent) -> None:
        """Speak a `session.commentary.append`; add `session.thinking.append` and `session.instructions.append` to the instructions."""
        content, delegation_id = check_append(event.fields)
        if delegation_id is not None and delegation_id not in self._delegations:
            raise wrong("delegation_id", f"there is no delegation '{delegation_id[:64]}'")
        kind = event.kind.split(".")[1]
        if kind == "commentary" and len(self._to_say) >= MAX_TO_SAY:
            raise MistakeError("rate_limit_exceeded", "too much waits to be said", "content", kind="rate_limit_error")
        now_ms = self.event_queue.now_ms
        self._acknowledge(f"session.{kind}.appended", event, start_ms=now_ms, end_ms=now_ms)
        if kind == "commentary":
            self._stop_acknowledging()
            self._say(content, counts=True)
            return
        if kind == "thinking":
            self._stop_acknowledging()
        self._add_context(content)

    def _add_context(self, content: str) -> None:
        self._context.append(content)
        while sum(map(len, self._context)) > MAX_CONTEXT_CHARS:
            self._context.popleft()
        given = self.resource.get("instructions") or ""
        self.settings["instructions"] = "\n".join(text for text in (given, *self._context) if text)

    def on_close(self, event: ClientEvent) -> None:
        """`session.close`."""
        check_bare(event.fields)
        self._tell_closed("close_requested", event.event_id)
        self._leave(NORMAL, "")

    # --- speaking ---

    def _say(self, text: str, *, counts: bool) -> None:
        self._to_say.append((text, counts))
        self._say_next()

    def _say_next(self) -> None:
        if self._to_say and not self.replies.busy and not self.replies.turns:
            text, counts = self._to_say.popleft()
            self.replies.say_aloud(text, counts=counts)

    def on_quiet(self) -> None:
        """Every reply has been heard: speak the next waiting commentary."""
        if not self._over:
            self._say_next()

    def on_delegated(self) -> None:
        """Delegate a turn to the client."""
        delegation_id = new_id("deleg")
        self._delegations.add(delegation_id)
        delegation = {"id": delegation_id, "type": "delegation", "target": "client"}
        self.event_queue.say(
            {
                "type": "session.delegation.created",
                "delegation": delegation,
                "offset_ms": self.event_queue.now_ms,
            }
        )
        delay_s = self.resource["delegation"]["acknowledgement_delay_ms"] / 1000
        self._acknowledging[delegation_id] = self._loop.call_later(delay_s, self._say_acknowledgement, delegation_id)

    def _say_acknowledgement(self, delegation_id: str) -> None:
        del self._acknowledging[delegation_id]
        self._say(ACKNOWLEDGEMENT, counts=False)
        self.wake()

    def _stop_acknowledging(self) -> None:
        for timer in self._acknowledging.values():
            timer.cancel()
        self._acknowledging.clear()

    # --- the end ---

    @property
    def _usage(self) -> dict[str, float]:
        return {"seconds": float(self.event_queue.now_ms // 1000)}

    def _tick(self) -> None:
        self._usage_timer = self._loop.call_later(USAGE_S, self._tell_usage)

    def _tell_usage(self) -> None:
        self.event_queue.say({"type": "session.usage.updated", "usage": self._usage})
        self._tick()
        self.wake()

    def _tell_closed(self, reason: str, client_event_id: str = "") -> None:
        if self._closed_told or not self.resource:
            return
        self._closed_told = True
        told = {"client_event_id": client_event_id} if client_event_id else {}
        self.event_queue.say(
            {
                "type": "session.closed",
                "reason": reason,
                "session": self.resource,
                "usage": self._usage,
                **told,
            }
        )

    def _leave(self, code: int, message: str) -> None:
        socket = self.socket
        if socket is not None:
            socket.end(code, message)
        self.closed()

    def end(self, code: int, word: str, message: str) -> None:
        """Send the reason as `error` and in `session.closed`, and close."""
        if self.socket is not None:
            self.event_queue.say(error_event(last_mistake(code, word, message)))
            self._tell_closed("expired" if word == "session_expired" else "connection_lost")
            self._leave(code if code in {SERVICE_RESTART, POLICY_VIOLATION} else NORMAL, message)

    def last_words(self, socket: RealtimeSocket, mistake: MistakeError) -> list[str | bytes]:
        """What waits, and why the socket closes by itself, which ends the session."""
        told = super().last_words(socket, mistake)
        self._tell_closed("connection_lost")
        return [*told, *self.data_to_send()]

    def closed(self) -> None:
        """End the session; its socket is closed."""
        super().closed()
        self._stop_acknowledging()
        if self._usage_timer is not None:
            self._usage_timer.cancel()
            self._usage_timer = None


def _given(fields: dict[str, Any] | None) -> dict[str, Any]:
    """The fields that are not null. Null means the default, or no change."""
    return {name: value for name, value in (fields or {}).items() if value is not None}


def _not_here(_live: Duplex, event: ClientEvent) -> None:
    raise MistakeError(
        "unsupported_event", f"'{event.kind}' belongs to what this server does not have: see docs/OPENAI.md.", "type"
    )


UNSUPPORTED_EVENTS = (
    "session.output_audio.fixture.play",
    "decision.create",
    "decision.item.create",
    "decision.item.delete",
    "response.create",
    "response.item.create",
    "transport.dtmf.send",
)
"""Client events of the Live API that belong to what this server does not have."""

_ACTIONS: dict[str, Callable[[Any, ClientEvent], None]] = {
    "session.start": Duplex.on_start,
    "session.update": Duplex.on_update,
    "session.input_audio.append": Duplex.on_append,
    "session.input_audio.mute": Duplex.on_mute,
    "session.input_audio.unmute": Duplex.on_mute,
    "session.instructions.append": Duplex.on_context,
    "session.thinking.append": Duplex.on_context,
    "session.commentary.append": Duplex.on_context,
    "session.close": Duplex.on_close,
    **dict.fromkeys(UNSUPPORTED_EVENTS, _not_here),
}
CLIENT_EVENTS = tuple(_ACTIONS)
