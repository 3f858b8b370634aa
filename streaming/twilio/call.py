"""One telephone call, a Resident: Twilio's socket on one side, a turn lane with an open microphone on the other."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from streaming.agent.format import ReplyFormat
from streaming.lanes.turn import TurnLane
from streaming.ports import SeenMessage
from streaming.redaction import without_secrets
from streaming.residents import Departure
from streaming.rfc6455 import GOING_AWAY, INTERNAL_ERROR, NORMAL, POLICY_VIOLATION
from streaming.session import Session
from streaming.sound.microphone_format import MicrophoneFormat
from streaming.twilio import wire
from streaming.twilio.keypad import Keypad
from streaming.twilio.line import PhoneOutlet
from streaming.unrecorded import UnrecordedResident
from streaming.watch import Watch, json_object

if TYPE_CHECKING:
    import asyncio

    from streaming.outlet import LaneSetup
    from streaming.ports import Identity, LaneServices, LiveWatching, Seen, Side
    from streaming.session import LaneEnd

ENCODING, RATE_HZ = "mulaw", 8_000
CHANNEL = 1
_CODES = {Departure.RESTART: GOING_AWAY, Departure.SIGNED_OUT: POLICY_VIOLATION}


class PhoneSocket(Protocol):
    """A call's interface to its WebSocket."""

    traceparent: str

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: int, reason: str) -> None:
        """Send what waits, then close. Twilio then goes on with the TwiML after `<Connect>`."""


class PhoneCall(UnrecordedResident):
    """A call as a Resident. It ends with its socket."""

    def __init__(
        self,
        identity: Identity,
        socket: PhoneSocket,
        provided: LaneServices,
        group: asyncio.TaskGroup,
        start: wire.Start,
    ) -> None:
        super().__init__(f"call_{secrets.token_hex(11)}", identity)
        self._socket: PhoneSocket | None = socket
        self._over = False
        self._lanes = Session(self.session_id, identity, provided, group, self._clock)
        self._line = PhoneOutlet(start.stream_sid, self._on_played, socket.wake)
        self._keypad = Keypad(self._on_entered)
        self._lane = self._open(start.parameters.get("language", "en-US"), start.parameters.get("voice", ""))

    def _open(self, language: str, voice: str) -> TurnLane:
        source = MicrophoneFormat(language=language, encoding=ENCODING, sample_rate_hz=RATE_HZ)
        reply = ReplyFormat(language=language, voice=voice, encoding=ENCODING, sample_rate_hz=RATE_HZ)

        def build(setup: LaneSetup) -> TurnLane:
            self._lane = TurnLane(setup, source, reply)
            return self._lane

        assert self._socket is not None, "it was given just now"
        self._lanes.open(CHANNEL, build, self._line, self._on_ended, self._socket.traceparent)
        return self._lane

    def _on_ended(self, end: LaneEnd) -> None:
        """The lane ends by itself only if the recogniser is lost, after an apology."""
        if end.status == "error":
            self._leave(INTERNAL_ERROR, end.message or "the conversation cannot go on")

    # --- what Twilio sends ---

    def receive(self, data: str | bytes) -> None:
        """Handle one message. One that is not Twilio's ends the call."""
        self._note_received(data)
        try:
            message = wire.read(data)
        except wire.UnreadableMessageError as flaw:
            self._leave(POLICY_VIOLATION, str(flaw))
            return
        match message:
            case wire.Media(audio):
                self._lane.audio(audio)
            case wire.Mark(name):
                self._line.played(name)
            case wire.Dtmf(digit):
                self._lane.interrupt()
                self._keypad.press(digit)
            case wire.Stop():
                self._leave(NORMAL, "")
            case wire.Start():
                self._leave(POLICY_VIOLATION, "the call has started already")
            case _:
                pass

    def _on_played(self, played_ms: int) -> None:
        self._lane.playback(played_ms)

    def _on_entered(self, keys: str) -> None:
        self._lane.typed(keys)

    # --- what its socket sends ---

    def data_to_send(self) -> list[str | bytes]:
        """The messages to send now, in order."""
        batch = self._line.take()
        self._note_sent(batch)
        return batch

    # --- for the gateway: see Resident ---

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def busy(self) -> bool:
        """True while the caller speaks or presses keys, and until that is answered."""
        return self._lane.hearing or self._lane.answering or self._keypad.pressed

    @property
    def must_finish(self) -> bool:
        """The same: a call cannot move to another replica, and its caller would have to dial and say it again."""
        return self.busy

    @property
    def channels(self) -> Counter[str]:
        return Counter({"turn": 1} if self._lanes.busy else {})

    @property
    def queued_bytes(self) -> int:
        return self._line.bytes

    @property
    def audio_bytes_dropped(self) -> int:
        """Characters of messages with sound that became stale before they were sent."""
        return self._line.audio_bytes_dropped

    def leave(self, reason: Departure) -> None:
        """Close the socket, which ends the call here."""
        self._leave(_CODES[reason], reason.value)

    def watch(self, *, audio: bool) -> LiveWatching:
        return PhoneWatch(self, audio=audio)

    def _leave(self, code: int, reason: str) -> None:
        socket, self._socket = self._socket, None
        self._keypad.stop()
        if socket is not None:
            socket.end(code, reason)

    async def close(self) -> None:
        """The socket is gone: stop the lane and end the taps."""
        self._socket = None
        self._keypad.stop()
        await self._lanes.close()
        self._end_taps()
        if not self._over:  # by another call meanwhile
            self._over = True
            self._keypad.forget()
            self._line.forget()


class PhoneWatch(Watch):
    """How observers see a call: every message; those with sound only if `audio`."""

    def __init__(self, call: PhoneCall, *, audio: bool) -> None:
        super().__init__(call)
        self._audio = audio

    def wants(self, data: str | bytes) -> bool:
        return isinstance(data, str) and (self._audio or '"payload"' not in data)

    def read(self, side: Side, data: str | bytes) -> list[Seen]:
        message = json_object(side, data) if isinstance(data, str) else None
        return [] if message is None else [SeenMessage(side, without_secrets(str(data), message))]
