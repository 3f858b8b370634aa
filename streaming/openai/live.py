"""One session of this dialect, a Resident: a socket on one side, a microphone lane and turn lanes on the other.

It outlives a lost socket for a while: its client may resume it on the same replica. docs/OPENAI.md says how.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from streaming.expiry import TokenTimer
from streaming.listening import ListeningClock
from streaming.long_text import LongText
from streaming.openai import settings as config
from streaming.openai.appends import appended
from streaming.openai.client_events import NO_SOUNDS, ClientEvent, read
from streaming.openai.closing import DEPARTURES, last_mistake, parting, say_last
from streaming.openai.conversation import Conversation, Entry, new_id
from streaming.openai.event_queue import EventQueue
from streaming.openai.idle import IdleWatch
from streaming.openai.inbox import LONG_CHARS, EventInbox, in_steps
from streaming.openai.items import checked_item
from streaming.openai.long_sound import TAKE_SOUND, is_in_items, without_sound
from streaming.openai.microphones import Microphones
from streaming.openai.mistakes import MistakeError, error_event, wrong
from streaming.openai.pace import EventPace
from streaming.openai.recorded import RecordedSound
from streaming.openai.remembering import Remembered
from streaming.openai.replies import Replies
from streaming.openai.room import HearingRoom, no_room
from streaming.openai.telling import Mistaken, tell, telling_mistakes
from streaming.openai.tool_lists import ToolLists
from streaming.openai.watching import EventWatch
from streaming.ports import CallContext
from streaming.rfc6455 import POLICY_VIOLATION
from streaming.session import Session
from streaming.unrecorded import UnrecordedResident

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from streaming.openai.closing import RealtimeSocket
    from streaming.ports import Allowance, Identity, LaneServices, LiveWatching
    from streaming.residents import Departure

# Of events. Lanes stop far below this, but answers to a client that does not read do not.
MAX_WAITING_BYTES = 4 * 1024 * 1024


class RealtimeSession(UnrecordedResident):
    """One session of the Realtime API; `Duplex` derives from it for the Live API. Lost sockets may come back for a while."""

    queue_class: ClassVar[type[EventQueue]] = EventQueue
    append_kind = "input_audio_buffer.append"
    reads_appends = True  # those in their usual form are not parsed as JSON
    resumes = True
    delegates = False  # True: the steps of a plan are left to the client
    # By `close`; mypyc wants to know.
    __deletable__ = ("_expiry", "_idle", "_inbox", "microphones", "recorded", "remembered", "replies", "tool_lists")

    def __init__(
        self,
        identity: Identity,
        socket: RealtimeSocket,
        provided: LaneServices,
        group: asyncio.TaskGroup,
        voices: config.Voices,
        room: HearingRoom,
        *,
        model: str = "",
        transcription: bool = False,
    ) -> None:
        super().__init__(new_id("sess"), identity)
        self._loop = asyncio.get_running_loop()
        self.socket: RealtimeSocket | None = socket
        self.traceparent = socket.traceparent
        self.lost = self._over = False  # the second: its parts are gone too
        self.voices = voices
        self.allowance: Callable[[Identity], Allowance] | None = None  # the user's rate limit
        self.on_lost: Callable[[], None] | None = None  # called when the session ends while it has no socket
        self.provided = provided
        self.group = group
        self.conversation = Conversation()
        self.event_queue = self.queue_class(f"{self.session_id[5:13]}_")
        self._listening = ListeningClock(self._loop.time, present=True)
        self.lanes = Session(self.session_id, identity, provided, group, self._loop.time, self._listening.now)
        self.settings = config.new_session(self.session_id, model, identity.expires_at, transcription=transcription)
        self._inbox = EventInbox(self._receive_long, self.receive_now, group, room.holding(identity.user_id))
        self.microphones = Microphones(self, self._inbox.hold)
        self.recorded = RecordedSound(self, room.holding(identity.user_id))
        self.remembered = Remembered(self)
        self.tool_lists = ToolLists(self)
        self.replies = Replies(self)
        self._idle = IdleWatch(self, self._loop)
        self._pace = EventPace(self.append_kind, self._loop.time())
        self._arrived_at: float | None = None
        self._expiry = TokenTimer(self._loop, None, self._on_expired)

    # --- for the gateway: see Resident ---

    @property
    def connected(self) -> bool:
        return self.socket is not None

    @property
    def busy(self) -> bool:
        """True while events wait to be read, the user is heard, or a reply is being given."""
        return not self._over and (self._inbox.busy or self.microphones.hearing or self.replies.busy)

    @property
    def must_finish(self) -> bool:
        """The same, as no other replica can continue it."""
        return self.busy

    @property
    def channels(self) -> Counter[str]:
        """Its lanes, by kind."""
        lanes = {} if self._over else {"stt": self.microphones.open, "turn": len(self.replies.turns)}
        return Counter(lanes) + Counter()

    @property
    def queued_bytes(self) -> int:
        return self.event_queue.bytes

    @property
    def audio_bytes_dropped(self) -> int:
        """Bytes of audio, in base64, that became stale before they were sent."""
        return self.event_queue.audio_bytes_dropped

    def leave(self, reason: Departure) -> None:
        """Close the socket and end the session."""
        self.end(*DEPARTURES[reason])
        self.closed()

    def watch(self, *, audio: bool) -> LiveWatching:
        return EventWatch(self, audio=audio)

    # --- socket ---

    def begin(self) -> None:
        """Start the session on an open socket."""
        self._expiry.start(self.identity.expires_at)
        self.event_queue.say({"type": "session.created", "session": self.settings})
        self.wake()

    def end(self, code: int, word: str, message: str) -> None:
        """End what has begun, send the reason as an `error`, and close."""
        if (socket := self.socket) is not None:
            say_last(self, last_mistake(code, word, message))
            socket.end(code, message)
            self.closed()

    def detach(self) -> None:
        """The socket is gone; the session continues, and its events wait."""
        self.socket = None
        self._listening.leave()
        self._expiry.stop()

    def can_go_on(self, last_event_id: str) -> bool:
        """True if everything after this event is still there."""
        return not self.lost and self.event_queue.can_go_on(last_event_id)

    def attach(self, socket: RealtimeSocket, identity: Identity, last_event_id: str) -> None:
        """Continue on this socket, after the last event that the client received. See `can_go_on`."""
        if (former := self.socket) is not None:
            former.hand_over(POLICY_VIOLATION, "the session goes on through another socket")
        self._listening.come()
        self.socket = socket
        self.identity = identity
        self.lanes.become(identity)
        self._expiry.start(identity.expires_at)
        self.event_queue.go_on(last_event_id)
        self.wake()

    def closed(self) -> None:
        """The session has ended, and with it its socket. Without a socket, the registry ends the session."""
        alone = self.socket is None and not self.lost
        self.socket, self.lost = None, True
        self.event_queue.shut = True
        if not self._over:
            self._idle.stop()
            self._expiry.stop()
        if alone and self.on_lost is not None:
            self.on_lost()

    def _on_expired(self) -> None:
        self.end(POLICY_VIOLATION, "session_expired", "the token has expired")

    async def close(self) -> None:
        """Stop all lanes and end the taps. Tasks that go on for a moment have the parts that they need."""
        self.closed()
        await self.lanes.close()
        if self._over:  # by another call meanwhile
            return
        self._over, self.on_lost = True, None  # leave no reference cycles: the collector hardly ever runs
        self._end_taps()
        self._inbox.close()
        self.recorded.close()
        self.replies.close()
        del self._expiry, self._idle, self._inbox
        del self.microphones, self.recorded, self.remembered, self.replies, self.tool_lists

    def wake(self) -> None:
        """There may be something to send. A client that lets too much of it wait loses its session."""
        if self.event_queue.bytes > MAX_WAITING_BYTES:
            self.end(POLICY_VIOLATION, "slow_consumer", "events were not read in time")
            self.closed()
        elif self.socket is not None and self.event_queue.bytes:
            self.socket.wake()

    def data_to_send(self) -> list[str | bytes]:
        """The data to send now, in order."""
        batch = self.event_queue.take()
        self._note_sent(batch)
        return batch

    def last_words(self, socket: RealtimeSocket, mistake: MistakeError) -> list[str | bytes]:
        """What waits, and why the socket closes by itself. A client that returns goes on behind it."""
        if socket is not self.socket:
            return [parting(mistake)]
        self.event_queue.say(error_event(mistake))
        return self.data_to_send()

    # --- client events ---

    def receive(self, data: str | bytes | LongText, arrived_at: float | None = None) -> None:
        """Handle one message. A mistake is answered and has no effect. `arrived_at`: when it was read, if it has waited since."""
        self._note_received(data)
        self._arrived_at = arrived_at
        if self._inbox.must_take(data):
            if not self._inbox.takes(data):
                self.refuse()
            return
        audio = appended(data) if self.reads_appends and isinstance(data, str) else None
        if audio is not None:
            self._append(*audio)
        elif not isinstance(data, LongText):  # else it is queued
            self.receive_now(data)

    def refuse(self) -> None:
        """Answer that there is no room for a message."""
        self._tell_uncounted(no_room(), "")
        self.wake()

    def hear(self, data: str | bytes) -> bool:
        """Take an append that came alone: the hot path. False: nothing was done, so call `receive`."""
        if type(data) is not str or self.taps or not self.reads_appends or self._inbox.must_take(data):
            return False
        audio = appended(data)
        if audio is None:
            return False
        self.traffic.bytes_received += len(data)
        self.traffic.texts_received += 1
        self._append(*audio)
        return True

    def _append(self, audio: bytes, event_id: str) -> None:
        """Feed the microphone."""
        try:
            self.microphones.append(audio)
        except Exception as error:  # noqa: BLE001 - any of them is answered
            self._tell_uncounted(error, event_id)
        if self.event_queue.bytes:
            self.wake()

    def _tell_uncounted(self, error: Exception, event_id: str) -> None:
        """Answer what went wrong with an event that has not counted yet, and count it."""
        tell(self, error, Mistaken(event_id, is_sound=True))

    def receive_now(self, data: str | bytes, refused: tuple[str, ...] = ()) -> None:
        """Parse a message and handle it. Types in `refused` are for the session's own socket only."""
        with telling_mistakes(self, data) as mistaken:
            event = read(data, self.actions)
            mistaken.event_id, mistaken.is_sound = event.event_id, event.kind == self.append_kind
            self.count(event.kind, data)
            if event.kind in refused:
                raise MistakeError("unsupported_event", f"'{event.kind}' is for the session's own socket", "type")
            self.act(event)
        self.wake()

    def count(self, kind: str, data: str | bytes | LongText) -> None:
        """Count an event. Raises MistakeError if there are too many."""
        # Where there are more characters, these count enough.
        commas = data.count(",", 0, LONG_CHARS) if isinstance(data, str) else data.count(b",", 0, LONG_CHARS)
        self._pace.count(kind, len(data), commas, self._loop.time() if self._arrived_at is None else self._arrived_at)

    def appending(self, event: ClientEvent, audio: bytes | bytearray) -> Generator[None, None, None]:
        """Feed the microphone, piece by piece. Raises MistakeError."""
        event.check_fields()
        return self.microphones.appending(audio)

    def receive_beside(self, data: str | bytes, refused: tuple[str, ...], arrived_at: float | None = None) -> None:
        """Handle an event from a sideband socket."""
        self._arrived_at = arrived_at
        self.receive_now(data, refused)

    def act(self, event: ClientEvent) -> None:
        """Raises MistakeError."""
        event.check_fields()
        self.actions[event.kind](self, event)

    async def _receive_long(self, data: str | bytes | LongText) -> None:
        """Handle a long message: read and feed its sound in short steps, and parse the rest in a thread."""
        with telling_mistakes(self, data) as mistaken:
            rest, sounds = (data, NO_SOUNDS) if isinstance(data, bytes) else await in_steps(without_sound(data))
            reading = partial(read, rest, self.actions, sounds)
            event = await asyncio.to_thread(reading) if len(rest) > LONG_CHARS else reading()
            mistaken.event_id, mistaken.is_sound = event.event_id, event.kind == self.append_kind
            self.count(event.kind, data)
            if mistaken.is_sound:
                await in_steps(self.appending(event, event.audio()), self.microphones.ready)
            elif sounds and event.kind not in TAKE_SOUND:
                raise wrong("type", f"'{event.kind}' takes no sound")
            elif not is_in_items(sounds, event.fields):
                raise wrong("audio", "Invalid 'audio': sound stands in the content of items.")
            else:
                self.act(event)
        self.wake()

    def on_update(self, event: ClientEvent) -> None:
        """`session.update`."""
        fresh = config.merged(self.settings, event.fields.get("session"), self.voices)
        config.check_voice(self.settings, fresh, spoken=self.event_queue.has_spoken)
        if config.expected_of(fresh).language == config.expected_of(self.settings).language:
            self._change(fresh)
        else:
            self._inbox.hold(partial(self._change_if_understood, fresh, event.event_id))

    async def _change_if_understood(self, fresh: dict[str, Any], event_id: str) -> None:
        """Ask the recogniser first whether it knows the new language."""
        with telling_mistakes(self, "") as mistaken:
            mistaken.event_id = event_id
            await config.check_language(self.provided.services.stt, fresh, self.call_context(self.session_id))
            self._change(fresh)
        self.wake()

    def _change(self, fresh: dict[str, Any]) -> None:
        heard_so = config.microphone_of(self.settings)
        self.settings = fresh
        self._idle.stop()
        if config.microphone_of(fresh) != heard_so:
            self.microphones.retire()
        self.event_queue.say({"type": "session.updated", "session": fresh})
        self.tool_lists.list_new(fresh.get("tools") or [])

    def on_append(self, event: ClientEvent) -> None:
        """`input_audio_buffer.append`."""
        self.microphones.append(bytes(event.audio()))

    def on_create(self, event: ClientEvent) -> None:
        """`conversation.item.create`."""
        self._add(event, checked_item(event.fields.get("item"), sounds=event.sounds))

    def _add(self, event: ClientEvent, entry: Entry) -> None:
        after = event.optional_text("previous_item_id")
        self.conversation.check(entry, after)
        self.recorded.check(entry)
        self.replies.act_on(entry, event.event_id)  # after every check, because this cannot be undone
        previous = self.conversation.add(entry, after)
        for kind in ("added", "done"):
            self.event_queue.say(
                {"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": entry.item}
            )
        self.recorded.hear(entry)

    def on_retrieve(self, event: ClientEvent) -> None:
        """`conversation.item.retrieve`."""
        entry = self.conversation.find(event.text("item_id"), "item_retrieve_invalid_item_id")
        self.event_queue.say({"type": "conversation.item.retrieved", "item": entry.item})

    def on_delete(self, event: ClientEvent) -> None:
        """`conversation.item.delete`."""
        entry = self.conversation.remove(event.text("item_id"))
        self.event_queue.say({"type": "conversation.item.deleted", "item_id": entry.item["id"]})
        self.remembered.deleted(entry)

    def on_truncate(self, event: ClientEvent) -> None:
        """`conversation.item.truncate`."""
        item_id, index, at_ms = event.text("item_id"), event.whole("content_index"), event.whole("audio_end_ms")
        entry, end_ms = self.conversation.truncate(item_id, index, at_ms)
        told = {"item_id": item_id, "content_index": index, "audio_end_ms": end_ms}
        self.event_queue.say({"type": "conversation.item.truncated", **told})
        if entry.was_cut:
            self.lanes.unheard()
        self.remembered.correct(entry)

    def on_output_clear(self, _command: ClientEvent) -> None:
        """`output_audio_buffer.clear`: on a WebSocket the client holds that buffer."""
        raise wrong("type", "output_audio_buffer.clear is for WebRTC and SIP: use response.cancel here")

    # --- what the microphones and the replies tell ---

    def on_speech(self) -> None:
        """Speech started: it interrupts the reply, if the session is set to do so."""
        self._idle.stop()
        detection = config.detection_of(self.settings)
        if detection is not None and detection["interrupt_response"]:
            self.replies.interrupt("turn_detected")

    def on_words(self, entry: Entry, *, automatic: bool) -> None:
        """A transcript is ready: perhaps it is time to reply."""
        detection = config.detection_of(self.settings)
        if not entry.text:
            self._idle.start()
        wanted = automatic and bool(entry.text) and self.settings["type"] == "realtime"
        self.replies.heard(answer=wanted and detection is not None and detection["create_response"])

    def call_context(self, session_id: str) -> CallContext:
        """The context of a call for this conversation of the agent's memory."""
        return CallContext(self.identity.user_id, self.identity.roles, session_id, new_id("req"), self.traceparent)

    def on_quiet(self) -> None:
        """Every reply was heard: silence counts from now on."""
        if not self._over:
            self._idle.start()

    def on_delegated(self) -> None:
        """A turn is left to the client: see `delegates`."""

    @property
    def actions(self) -> dict[str, Callable[[Any, ClientEvent], None]]:
        """What each type of client event does."""
        return _ACTIONS


_ACTIONS: dict[str, Callable[[Any, ClientEvent], None]] = {
    "session.update": RealtimeSession.on_update,
    "input_audio_buffer.append": RealtimeSession.on_append,
    "input_audio_buffer.commit": lambda live, _command: live.microphones.commit(),
    "input_audio_buffer.clear": lambda live, _command: live.microphones.clear(),
    "conversation.item.create": RealtimeSession.on_create,
    "conversation.item.retrieve": RealtimeSession.on_retrieve,
    "conversation.item.delete": RealtimeSession.on_delete,
    "conversation.item.truncate": RealtimeSession.on_truncate,
    "response.create": lambda live, event: live.replies.create(event),
    "response.cancel": lambda live, event: live.replies.cancel(event.optional_text("response_id")),
    "output_audio_buffer.clear": RealtimeSession.on_output_clear,
}
