"""A session on the wire: `jarvis.v1` (a sans-I/O connection) on one side, lanes on the other. It survives its sockets."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Protocol

from streaming.jarvis.commands import Commands, rfc3339
from streaming.jarvis.expiry import TokenTimer
from streaming.jarvis.journal import Head
from streaming.jarvis.outlet import ChannelOutlet
from streaming.jarvis.traffic import Traffic
from streaming.jarvis.translate import lane_of
from streaming.outlet import LaneError, SpeechPosition, WrongInputError
from streaming.protocol import events as heard
from streaming.protocol import messages as wire
from streaming.protocol.channel import ChannelState
from streaming.protocol.snapshot import Rewind
from streaming.session import ChannelEnd, Owner, Session
from streaming.sound.codecs import AudioFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.jarvis.journal import Journal, Written
    from streaming.jarvis.tap import Tap
    from streaming.lanes.base import Lane
    from streaming.outlet import LaneSetup
    from streaming.ports import Desk, Identity, LaneServices, Side
    from streaming.protocol.channel import ServerChannel
    from streaming.protocol.server import ServerConnection
    from streaming.protocol.snapshot import Record


HAND_OVER_S = 1.0  # for answers that are under way when a session moves
LOST_CALL = "the replica that ran it is gone: whether it took effect is not known"
LOST_WORK = "the replica that did this is gone, and with it the work"


class Socket(Protocol):
    """The narrow way to a WebSocket."""

    traceparent: str  # that the client came with, if it did

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: int, reason: str) -> None:
        """Say why in an `error`, then close."""


class LiveSession:
    """One epoch of a session. `connection` keeps numbers and what is unacknowledged, `session` the lanes."""

    def __init__(
        self,
        session_id: str,
        identity: Identity,
        connection: ServerConnection,
        provided: LaneServices,
        desk: Desk,
        group: asyncio.TaskGroup,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.session_id = session_id
        self.identity = identity
        self.connection = connection
        self.resume_token = secrets.token_urlsafe(24)
        self.opened_at = time.time()
        self.lost = False  # can't be resumed any more
        self.leaving = False  # another replica goes on: nothing is taken any more
        self.traffic = Traffic()
        self.taps: list[Tap] = []
        self.recording = False  # one of them writes it down
        self.sent = asyncio.Event()  # set with every batch that leaves
        self.journal: Journal | None = None
        self.socket: Socket | None = None
        self.commands = Commands(self, desk, provided, group)
        self.session = Session(session_id, _owner(identity), provided, group, self._loop.time)
        self._outlets: dict[int, ChannelOutlet] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._expiry = TokenTimer(self._loop, self._on_expiring, self._on_expired)

    # --- on another replica ---

    @property
    def head(self) -> Head:
        """Whose session it is, as its record says."""
        return Head(self.identity.user_id, self.resume_token, self.opened_at)

    def record(self, commands_version: int) -> Record:
        """As journal.Recorded."""
        rewinds = {}
        for channel, lane in self.session.lanes():
            needed = lane.rewind()
            if needed is not None:
                rewinds[channel] = Rewind(needed.frame, lane.received_bytes - needed.payload_bytes)
        return self.connection.record(rewinds, commands_version)

    def carried(self) -> dict[int, dict[str, Any] | None]:
        """As journal.Recorded."""
        return {channel: lane.carry() for channel, lane in self.session.lanes()}

    def needed_frame(self, channel: int) -> int | None:
        """From which frame on a client has to keep its microphone's audio; None: what was taken is not needed."""
        lane = self.session.lane(channel) if self.journal is not None else None
        needed = lane.rewind() if lane is not None else None
        return needed.frame if needed is not None else None

    def _needed_frames(self) -> dict[int, int]:
        needed = {channel: self.needed_frame(channel) for channel, _ in self.session.lanes()}
        return {channel: frame for channel, frame in needed.items() if frame is not None}

    def take_up(self, lanes: dict[int, dict[str, Any] | None]) -> None:
        """Go on with the work of another replica, as far as it can be carried; say what can't."""
        for channel in self.connection.open_channels():
            self._outlets[channel.id] = ChannelOutlet(self, channel.id, channel.generation)
            if channel.state is ChannelState.CANCELLED:
                self._close_channel(channel.id, ChannelEnd("cancelled"))
            else:
                self._take_up_lane(channel, lanes.get(channel.id))
        for command_id in self.connection.unanswered():
            self.connection.send_message(wire.Error(id=command_id, code="ABORTED", message=LOST_CALL, retryable=True))

    def _take_up_lane(self, channel: ServerChannel, carried: dict[str, Any] | None) -> None:
        def build(setup: LaneSetup) -> Lane:
            if carried is None:
                raise LaneError("ABORTED", LOST_WORK)
            lane = lane_of(channel.params, setup)
            lane.take_up(carried, SpeechPosition(channel.sent_pts_ms))
            if channel.hears and channel.state is ChannelState.INPUT_ENDED:
                lane.end()
            return lane

        self._start_lane(channel.id, build)

    # --- sockets ---

    @property
    def traceparent(self) -> str:
        """What the client wants its work to be below; empty: each channel and command is a trace of its own."""
        return self.socket.traceparent if self.socket is not None else ""

    def attach(self, socket: Socket) -> None:
        """Speak through this socket from now on."""
        self.socket = socket
        self.connection.attach(self._loop.time())
        self._expiry.start(self.identity.expires_at)
        self.wake()

    def resume(self, socket: Socket, last_seq: int) -> bool:
        """Go on through this socket behind `last_seq`; False when something is missing."""
        if not self.connection.resume(last_seq, self._loop.time(), self._needed_frames()):
            return False
        self.socket = socket
        self._expiry.start(self.identity.expires_at)
        self.wake()
        return True

    def detach(self, socket: Socket) -> None:
        """That socket is gone; nothing happens when another one took over."""
        if self.socket is socket:
            self.socket = None
            self._expiry.stop()
            self.connection.detach(self._loop.time())
            self.wake()

    def wake(self) -> None:
        """Something may have to be sent, or a deadline has moved."""
        for event in self.connection.take_events():
            self.handle(event)
        if self.socket is not None:
            self.socket.wake()
        else:
            self._arm()
            if self.journal is not None:
                self.journal.changed()

    def data_to_send(self) -> list[str | bytes]:
        """What leaves now, in order."""
        now = self._loop.time()
        data = self.connection.data_to_send(now)
        self.traffic.sent(data)
        self.sent.set()
        if self.taps and data:
            for tap in self.taps:
                tap.sent(data, now)
        self._arm()
        return data

    def received(self, data: str | bytes) -> None:
        """Something came in, and is fed to the connection next."""
        self.traffic.received(data)
        for tap in self.taps:
            tap.received(data, self._loop.time())

    def _arm(self) -> None:
        """One timer for everything the connection waits for."""
        deadline = self.connection.next_deadline()
        if self._timer is not None:
            if deadline is not None and self._timer.when() <= deadline:
                return  # it looks again when it goes off: cheaper than a timer per message
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        for event in self.connection.handle_timeout(self._loop.time()):
            self.handle(event)
        self.wake()
        self._arm()

    def sounds(self) -> dict[tuple[Side, int], tuple[str, int]]:
        """Encoding and rate in Hz of the audio on open channels, from the client and from here."""
        found: dict[tuple[Side, int], tuple[str, int]] = {}
        for channel, outlet in self._outlets.items():
            microphone = self.connection.microphone_format(channel)
            if microphone is not None:
                found["client", channel] = microphone
            if outlet.sound is not None:
                found["server", channel] = outlet.sound
        return found

    # --- what the client says ---

    def handle(self, event: heard.Event) -> None:
        """Act on one event of the connection."""
        if type(event) is heard.AudioReceived:
            self._on_audio(event)
        else:
            action = _ACTIONS.get(type(event))
            if action is not None:
                action(self, event)

    def _on_audio(self, event: heard.AudioReceived) -> None:
        lane = self.session.lane(event.channel)
        if lane is None:
            return
        try:
            lane.audio(event.payload, event.seq)
        except AudioFormatError as wrong:
            self._fail(event.channel, "INVALID_AUDIO", str(wrong))

    def _fail(self, channel: int, code: str, message: str) -> None:
        """The lane can't go on: close its channel with the reason, then stop it."""
        self._close_channel(channel, ChannelEnd("error", code, message))
        self.session.cancel(channel)

    def on_opened(self, event: heard.ChannelOpened) -> None:
        """Start the lane."""
        self._outlets[event.channel] = ChannelOutlet(self, event.channel)
        self._start_lane(event.channel, lambda setup: lane_of(event.params, setup, event.id or ""))

    def _start_lane(self, channel: int, build: Callable[[LaneSetup], Lane]) -> None:
        try:
            outlet, trace = self._outlets[channel], self.traceparent
            self.session.open(channel, build, outlet, lambda end: self._close_channel(channel, end), trace)
        except AudioFormatError as wrong:
            self._close_channel(channel, ChannelEnd("error", "INVALID_AUDIO", str(wrong)))
        except LaneError as wrong:
            self._close_channel(channel, ChannelEnd("error", wrong.code, wrong.message))

    def _close_channel(self, channel: int, end: ChannelEnd) -> None:
        """Exactly once: whoever comes second finds the outlet gone."""
        outlet = self._outlets.pop(channel, None)
        if outlet is None:
            return
        outlet.closed = True
        self.connection.close_channel(channel, end.status, end.code, end.message)
        self.wake()

    def _with_lane(self, channel: int, use: Callable[[Lane], None]) -> None:
        lane = self.session.lane(channel)
        if lane is None:
            return  # it has just ended: the client will learn so
        try:
            use(lane)
        except WrongInputError as wrong:
            self.connection.send_message(wire.Error(channel=channel, code="WRONG_STATE", message=str(wrong)))
        except LaneError as wrong:
            self._fail(channel, wrong.code, wrong.message)

    def on_ended(self, event: heard.InputEnded) -> None:
        """No more input."""
        self._with_lane(event.channel, lambda lane: lane.end())

    def on_committed(self, event: heard.UtteranceCommitted) -> None:
        """The utterance ends here."""
        self._with_lane(event.channel, lambda lane: lane.commit())

    def on_text(self, event: heard.TextReceived) -> None:
        """The next piece to speak."""
        self._with_lane(event.channel, lambda lane: lane.text(event.text))

    def on_playback(self, event: heard.PlaybackReported) -> None:
        """So much was heard."""
        self._with_lane(event.channel, lambda lane: lane.playback(event.played_ms))

    def on_cancelled(self, event: heard.ChannelCancelled) -> None:
        """Stop the lane; it closes the channel."""
        if self.session.lane(event.channel) is None:
            self._close_channel(event.channel, ChannelEnd("cancelled"))
        self.session.cancel(event.channel)

    def on_failed(self, event: heard.ChannelFailed) -> None:
        """The core closed the channel already."""
        outlet = self._outlets.pop(event.channel, None)
        if outlet is not None:
            outlet.closed = True
        self.session.cancel(event.channel)

    def on_credit(self, event: heard.CreditGranted) -> None:
        """The lane may go on."""
        outlet = self._outlets.get(event.channel)
        if outlet is not None:
            outlet.credit.set()

    # --- who it belongs to ---

    def become(self, identity: Identity) -> None:
        """A new token of the same user: its roles count from the next command on."""
        self.identity = identity
        self.session.owner = _owner(identity)
        if self.socket is not None:
            self._expiry.start(identity.expires_at)

    def _on_expiring(self) -> None:
        self.connection.send_message(wire.AuthExpiring(expires_at=rfc3339(self.identity.expires_at) or ""))
        self.wake()

    def _on_expired(self) -> None:
        self._end_socket(4009, "the token has expired")

    # --- the end ---

    def leave(self, code: int, reason: str) -> None:
        """Close the socket; the client comes back later, or elsewhere."""
        self._end_socket(code, reason)

    def dismiss(self, code: int, reason: str) -> None:
        """Close the socket and let nobody come back."""
        self._end_socket(code, reason)
        self.lost = True

    def _end_socket(self, code: int, reason: str) -> None:
        """Close the socket; the session waits to be resumed."""
        socket = self.socket
        if socket is not None:
            self.detach(socket)
            socket.end(code, reason)

    def on_slow(self, _event: heard.SlowConsumer) -> None:
        """Close; the session waits to be resumed."""
        self._end_socket(4002, "the client reads too slowly")

    def on_silent(self, _event: heard.PeerSilent) -> None:
        """The client is gone; the session waits."""
        self._end_socket(1001, "nothing was heard from the client")

    def on_lost(self, _event: heard.ResumeLost) -> None:
        """Nobody can come back any more: the registry lets go."""
        self.lost = True

    async def hand_over(self) -> None:
        """Let another replica go on: the record is brought up to date, then the work here stops without a word.

        What the client says from now on is not taken: it says it again over there.
        """
        if self.journal is not None:
            self.leaving = True
            await self.commands.finished(HAND_OVER_S)
            await self.journal.settled(HAND_OVER_S)
            self.let_go()

    def on_refused(self, written: Written) -> None:
        """The record is not ours."""
        self.let_go()
        if written == "foreign":
            self._end_socket(4503, "the session belongs to another user")
        else:
            self._end_socket(4510, "another socket took the session")

    def let_go(self) -> None:
        """Another replica goes on: nothing is said or written here any more."""
        if self.journal is not None:
            self.journal.stop()
        for outlet in self._outlets.values():
            outlet.closed = True
        self._outlets.clear()
        self.lost = True

    async def close(self) -> None:
        """Stop every lane and let go of everything."""
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        await self.session.close()
        if self.journal is not None and not self.journal.stopped:
            await self.journal.forget()
        for tap in self.taps:
            tap.ended()
        self.taps.clear()


_ACTIONS: dict[type, Callable[[LiveSession, Any], None]] = {
    heard.ChannelOpened: LiveSession.on_opened,
    heard.InputEnded: LiveSession.on_ended,
    heard.UtteranceCommitted: LiveSession.on_committed,
    heard.TextReceived: LiveSession.on_text,
    heard.PlaybackReported: LiveSession.on_playback,
    heard.ChannelCancelled: LiveSession.on_cancelled,
    heard.ChannelFailed: LiveSession.on_failed,
    heard.CreditGranted: LiveSession.on_credit,
    heard.CallReceived: lambda live, event: live.commands.on_call(event),
    heard.ConfirmationReceived: lambda live, event: live.commands.on_confirmation(event),
    heard.AuthRefreshReceived: lambda live, event: live.commands.on_auth_refresh(event),
    heard.SlowConsumer: LiveSession.on_slow,
    heard.PeerSilent: LiveSession.on_silent,
    heard.ResumeLost: LiveSession.on_lost,
}


def _owner(identity: Identity) -> Owner:
    return Owner(identity.user_id, identity.roles)
