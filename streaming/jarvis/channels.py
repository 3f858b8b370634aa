"""A session's open channels, each with an outlet to the wire and a lane that does the work."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from streaming.jarvis.outlet import ChannelOutlet, OutletHost
from streaming.jarvis.translate import lane_of
from streaming.outlet import SpeechPosition, WrongInputError
from streaming.ports import ServiceError
from streaming.protocol import events
from streaming.protocol import messages as wire
from streaming.protocol.channel import ChannelState
from streaming.protocol.snapshot import Rewind
from streaming.session import WENT_WRONG, LaneEnd
from streaming.sound.pcm import AudioFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.lanes.base import Lane
    from streaming.outlet import LaneSetup
    from streaming.ports import Side
    from streaming.protocol.channel import ServerChannel
    from streaming.session import Session

log = logging.getLogger(__name__)

SESSION = 0  # no channel has this number: in a record, it is what all lanes share
LOST_WORK = "the replica that did this is gone, and with it the work"


def _new_lane(event: events.ChannelAccepted, setup: LaneSetup) -> Lane:
    """The lane of a new channel. A bug in building it costs the channel, for which a client that resumes would wait in vain."""
    try:
        return lane_of(event.params, setup, event.id or "")
    except (AudioFormatError, ServiceError, WrongInputError):
        raise
    except Exception:
        log.exception("the lane of a channel could not be built")
        raise ServiceError("INTERNAL", WENT_WRONG) from None


class ChannelHost(OutletHost, Protocol):
    """What channels use of their live session."""

    @property
    def traceparent(self) -> str:
        """The client's trace, to which the work belongs; may be empty."""


class Channels:
    """Handles the connection's channel events."""

    def __init__(self, host: ChannelHost, session: Session) -> None:
        self._host = host
        self._connection = host.connection
        self._session = session
        self._outlets: dict[int, ChannelOutlet] = {}
        self._ears: dict[int, Callable[[bytes, int], None]] = {}  # of the lanes that take audio: the hot path

    def _outlet(self, channel: int, generation: int = 0) -> None:
        self._outlets[channel] = ChannelOutlet(self._host, channel, self.needed_frame, generation)

    # --- what the client says ---

    def hear(self, channel: int, payload: bytes, number: int) -> None:
        """Pass a microphone frame to the lane."""
        ear = self._ears.get(channel)
        if ear is None:
            return
        try:
            ear(payload, number)
        except AudioFormatError as wrong:
            self._fail(channel, "INVALID_AUDIO", str(wrong))

    def on_opened(self, event: events.ChannelAccepted) -> None:
        """Start the lane."""
        self._outlet(event.channel)
        self._start(event.channel, lambda setup: _new_lane(event, setup))

    def on_ended(self, event: events.InputEnded) -> None:
        """End the lane's input."""
        self._with_lane(event.channel, lambda lane: lane.end())

    def on_committed(self, event: events.UtteranceCommitted) -> None:
        """End the utterance."""
        self._with_lane(event.channel, lambda lane: lane.commit())

    def on_text(self, event: events.TextReceived) -> None:
        """Pass on the next piece to speak."""
        self._with_lane(event.channel, lambda lane: lane.text(event.text))

    def on_playback(self, event: events.PlaybackReported) -> None:
        """Pass on how much the client has played."""
        self._with_lane(event.channel, lambda lane: lane.playback(event.played_ms))

    def on_credit(self, event: events.CreditGranted) -> None:
        """Wake a lane that waits for credit."""
        outlet = self._outlets.get(event.channel)
        if outlet is not None:
            outlet.credit.set()

    def on_arrived(self, event: events.SpeechArrived) -> None:
        """Wake a lane that waits until its speech has arrived."""
        outlet = self._outlets.get(event.channel)
        if outlet is not None:
            outlet.arrived()

    def on_cancelled(self, event: events.ChannelCancelled) -> None:
        """Stop the lane, whose end closes the channel."""
        if self._session.lane(event.channel) is None:
            self._close(event.channel, LaneEnd("cancelled"))
        self._session.cancel(event.channel)

    def on_failed(self, event: events.ChannelFailed) -> None:
        """The connection itself closed the channel: stop the lane."""
        self._ears.pop(event.channel, None)
        outlet = self._outlets.pop(event.channel, None)
        if outlet is not None:
            outlet.closed = True
        self._session.cancel(event.channel)

    def _with_lane(self, channel: int, use: Callable[[Lane], None]) -> None:
        lane = self._session.lane(channel)
        if lane is None:
            return  # the lane has just ended, and the client will be told
        try:
            use(lane)
        except WrongInputError as wrong:
            self._connection.send_message(wire.Error(channel=channel, code="WRONG_STATE", message=str(wrong)))
        except ServiceError as wrong:
            self._fail(channel, wrong.code, wrong.message)

    # --- beginning and end ---

    def _start(self, channel: int, build: Callable[[LaneSetup], Lane]) -> None:
        try:
            self._session.open(
                channel, build, self._outlets[channel], lambda end: self._close(channel, end), self._host.traceparent
            )
        except AudioFormatError as wrong:
            self._close(channel, LaneEnd("error", "INVALID_AUDIO", str(wrong)))
        except ServiceError as wrong:
            self._close(channel, LaneEnd("error", wrong.code, wrong.message))
        else:
            lane = self._session.lane(channel)
            if lane is not None:
                self._ears[channel] = lane.ear

    def _fail(self, channel: int, code: str, message: str) -> None:
        """Close the channel with the error, then stop its lane."""
        self._close(channel, LaneEnd("error", code, message))
        self._session.cancel(channel)

    def _close(self, channel: int, end: LaneEnd) -> None:
        """Close the channel once; a second call finds no outlet."""
        self._ears.pop(channel, None)
        outlet = self._outlets.pop(channel, None)
        if outlet is None:
            return
        outlet.closed = True
        self._connection.close_channel(channel, end.status, end.code, end.message)
        self._host.wake()

    def silence(self) -> None:
        """Drop all further output of the lanes: another replica continues the session."""
        for outlet in self._outlets.values():
            outlet.closed = True
        self._outlets.clear()
        self._ears.clear()

    # --- moving to another replica ---

    def rewinds(self) -> dict[int, Rewind]:
        """From where each microphone would have to be sent again, by channel."""
        found = {}
        for channel, lane in self._session.lanes():
            needed = lane.rewind()
            if needed is not None:
                found[channel] = Rewind(needed.frame, lane.received_bytes - needed.payload_bytes)
        return found

    def needed_frame(self, channel: int) -> int | None:
        """The first microphone frame that the client must keep; None if it may forget all that was taken."""
        lane = self._session.lane(channel) if self._host.movable else None
        needed = lane.rewind() if lane is not None else None
        return needed.frame if needed is not None else None

    def needed_frames(self) -> dict[int, int]:
        """The needed frame of every channel that has one."""
        needed = {channel: self.needed_frame(channel) for channel, _ in self._session.lanes()}
        return {channel: number for channel, number in needed.items() if number is not None}

    def save(self) -> dict[int, dict[str, Any] | None]:
        """What lanes need to continue elsewhere, by channel; what they share under SESSION."""
        lanes = {channel: lane.save() for channel, lane in self._session.lanes()}
        session = self._session.save()
        return lanes | {SESSION: session} if session else lanes

    def restore(self, lanes: dict[int, dict[str, Any] | None]) -> None:
        """Continue the lanes saved by another replica. A channel whose lane cannot continue is closed with ABORTED."""
        if (session := lanes.get(SESSION)) is not None:
            self._session.stored.restore(session)
        for channel in self._connection.open_channels():
            self._outlet(channel.id, channel.generation)
            if channel.state is ChannelState.CANCELLED:
                self._close(channel.id, LaneEnd("cancelled"))
            else:
                self._restore_lane(channel, lanes.get(channel.id))

    def _restore_lane(self, channel: ServerChannel, saved: dict[str, Any] | None) -> None:
        def build(setup: LaneSetup) -> Lane:
            if saved is None:
                raise ServiceError("ABORTED", LOST_WORK, final=True)
            lane = lane_of(channel.params, setup)
            lane.restore(saved, SpeechPosition(channel.sent_pts_ms))
            if channel.hears and channel.state is ChannelState.INPUT_ENDED:
                lane.end()
            return lane

        self._start(channel.id, build)

    # --- for observers ---

    def sounds(self) -> dict[tuple[Side, int], tuple[str, int]]:
        """Encoding and rate in Hz of the audio on open channels, by side and channel."""
        found: dict[tuple[Side, int], tuple[str, int]] = {}
        for channel, outlet in self._outlets.items():
            microphone = self._connection.microphone_format(channel)
            if microphone is not None:
                found["client", channel] = microphone
            if outlet.sound is not None:
                found["server", channel] = outlet.sound
        return found


CHANNEL_ACTIONS: dict[type, Callable[[Channels, Any], None]] = {
    events.ChannelAccepted: Channels.on_opened,
    events.InputEnded: Channels.on_ended,
    events.UtteranceCommitted: Channels.on_committed,
    events.TextReceived: Channels.on_text,
    events.PlaybackReported: Channels.on_playback,
    events.CreditGranted: Channels.on_credit,
    events.SpeechArrived: Channels.on_arrived,
    events.ChannelCancelled: Channels.on_cancelled,
    events.ChannelFailed: Channels.on_failed,
}
