"""A session on the wire: `jarvis.v1` (a sans-I/O connection) on one side, lanes on the other. It survives its sockets."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from streaming.audio import AudioFormatError
from streaming.expiry import TokenTimer
from streaming.lanes.base import LaneError, WrongInputError
from streaming.outlet import ChannelOutlet
from streaming.ports import CallContext, CallError, ServiceError
from streaming.protocol import events as heard
from streaming.protocol import messages as wire
from streaming.session import ChannelEnd, Owner, Session
from streaming.translate import lane_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.lanes.base import Lane
    from streaming.ports import Desk, Identity, LaneServices
    from streaming.protocol.server import ServerConnection
    from streaming.tap import Tap


class Socket(Protocol):
    """The narrow way to a WebSocket."""

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: int, reason: str) -> None:
        """Say why in an `error`, then close."""


@dataclass(slots=True)
class Traffic:
    """What crossed the wire, counted; one for each session and one for all of them."""

    bytes_received: int = 0
    bytes_sent: int = 0
    texts_received: int = 0
    texts_sent: int = 0
    frames_received: int = 0
    frames_sent: int = 0

    def received(self, data: str | bytes) -> None:
        """One message came in."""
        self.bytes_received += len(data)
        if type(data) is bytes:
            self.frames_received += 1
        else:
            self.texts_received += 1

    def sent(self, batch: list[str | bytes]) -> None:
        """A batch went out."""
        frames = sum(type(item) is bytes for item in batch)
        self.frames_sent += frames
        self.texts_sent += len(batch) - frames
        self.bytes_sent += sum(map(len, batch))


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
        self.traffic = Traffic()
        self.taps: list[Tap] = []
        self.socket: Socket | None = None
        self._desk = desk
        self._group = group
        self._confirmations = provided.confirmations
        self.session = Session(session_id, _owner(identity), provided, group, self._loop.time)
        self._outlets: dict[int, ChannelOutlet] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._expiry = TokenTimer(self._loop, self._on_expiring, self._on_expired)

    # --- sockets ---

    def attach(self, socket: Socket) -> None:
        """Speak through this socket from now on."""
        self.socket = socket
        self.connection.attach(self._loop.time())
        self._expiry.start(self.identity.expires_at)
        self.wake()

    def resume(self, socket: Socket, last_seq: int) -> bool:
        """Go on through this socket behind `last_seq`; False when something is missing."""
        if not self.connection.resume(last_seq, self._loop.time()):
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
            self._arm()

    def wake(self) -> None:
        """Something may have to be sent, or a deadline has moved."""
        for event in self.connection.take_events():
            self.handle(event)
        if self.socket is not None:
            self.socket.wake()
        else:
            self._arm()

    def data_to_send(self) -> list[str | bytes]:
        """What leaves now, in order."""
        now = self._loop.time()
        data = self.connection.data_to_send(now)
        self.traffic.sent(data)
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
            lane.audio(event.payload)
        except AudioFormatError as wrong:
            self._fail(event.channel, "INVALID_AUDIO", str(wrong))

    def _fail(self, channel: int, code: str, message: str) -> None:
        """The lane can't go on: close its channel with the reason, then stop it."""
        self._close_channel(channel, ChannelEnd("error", code, message))
        self.session.cancel(channel)

    def on_opened(self, event: heard.ChannelOpened) -> None:
        """Start the lane."""
        outlet = self._outlets[event.channel] = ChannelOutlet(self, event.channel)
        channel = event.channel
        try:
            self.session.open(
                channel,
                lambda frame: lane_of(event.params, frame),
                outlet,
                lambda end: self._close_channel(channel, end),
            )
        except KeyError:
            self._close_channel(channel, ChannelEnd("error", "UNIMPLEMENTED", f"no {event.kind} channels here yet"))
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

    # --- commands of the session itself ---

    def _context(self, request_id: str) -> CallContext:
        identity = self.identity
        return CallContext(identity.user_id, identity.roles, self.session_id, request_id)

    def on_call(self, event: heard.CallReceived) -> None:
        """Run an operation."""
        self._group.create_task(self._answer(event), name=f"call {event.op}")

    async def _answer(self, event: heard.CallReceived) -> None:
        context = self._context(event.id)
        await self._reply(event.id, lambda: self._desk.call(event.op, event.params, self.identity, context))

    async def _reply(self, command_id: str | None, work: Callable[[], Any]) -> None:
        """Answer a command with what `work` gives, or with its error."""
        answer: wire.Message
        try:
            data = await work()
        except (CallError, ServiceError) as refused:
            answer = _refusal(refused, command_id)
        else:
            answer = wire.Result(id=command_id or "", data=data) if not isinstance(data, wire.Message) else data
        self.connection.send_message(answer)
        self.wake()

    def on_confirmation(self, event: heard.ConfirmationReceived) -> None:
        """Settle a question."""
        self._group.create_task(self._confirm(event), name="task.confirm")

    async def _confirm(self, event: heard.ConfirmationReceived) -> None:
        context = self._context(event.confirmation_id)
        settled = await self._confirmations.settle(event.confirmation_id, context, approve=event.approve)
        if not settled:
            message = "there is no open question of that id"
            self.connection.send_message(
                wire.Error(id=event.id, channel=event.channel, code="NOT_FOUND", message=message)
            )
        elif event.id is not None:
            self.connection.send_message(wire.Result(id=event.id, data={"approved": event.approve}))
        self.wake()

    def on_auth_refresh(self, event: heard.AuthRefreshReceived) -> None:
        """Take a new token."""
        self._group.create_task(self._refresh(event), name="auth.refresh")

    async def _refresh(self, event: heard.AuthRefreshReceived) -> None:
        async def identify() -> wire.AuthOk:
            identity = await self._desk.identify(event.token)
            if identity.user_id != self.identity.user_id:
                raise CallError("PERMISSION_DENIED", "the token is another user's")
            self.become(identity)
            return wire.AuthOk(id=event.id, expires_at=rfc3339(identity.expires_at))

        await self._reply(event.id, identify)

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

    async def close(self) -> None:
        """Stop every lane and let go of everything."""
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        await self.session.close()
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
    heard.CallReceived: LiveSession.on_call,
    heard.ConfirmationReceived: LiveSession.on_confirmation,
    heard.AuthRefreshReceived: LiveSession.on_auth_refresh,
    heard.SlowConsumer: LiveSession.on_slow,
    heard.PeerSilent: LiveSession.on_silent,
    heard.ResumeLost: LiveSession.on_lost,
}


def _owner(identity: Identity) -> Owner:
    return Owner(identity.user_id, identity.roles)


def rfc3339(unix_s: float | None) -> str | None:
    """UTC, to the second."""
    return None if unix_s is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def _refusal(refused: CallError | ServiceError, command_id: str | None) -> wire.Error:
    return wire.Error(
        id=command_id,
        code=refused.code,
        message=refused.message,
        retryable=refused.retryable,
        retry_after_ms=refused.retry_after_ms,
    )
