"""A session on the wire: `jarvis.v1` (a sans-I/O connection) on one side, lanes on the other. It survives its sockets."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from streaming.expiry import TokenTimer
from streaming.jarvis.channels import Channels
from streaming.jarvis.commands import Commands
from streaming.jarvis.journal import Head
from streaming.jarvis.observing import ChannelWatch
from streaming.listening import ListeningClock
from streaming.protocol import events
from streaming.protocol import messages as wire
from streaming.protocol.close_codes import CloseCode
from streaming.protocol.sendqueue import serialise
from streaming.residents import Departure
from streaming.rfc3339 import rfc3339
from streaming.session import Session
from streaming.traffic import Traffic

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncGenerator, Callable

    from streaming.jarvis.journal import Journal, Written
    from streaming.jarvis.socket import Socket
    from streaming.ports import Desk, Identity, LaneServices, Seen
    from streaming.protocol.server import ServerConnection
    from streaming.protocol.snapshot import Snapshot
    from streaming.residents import Tap


# A claim may be that of a socket which its client has given up for this one: a handshake waits for so long on its way. So a
# young socket whose session is claimed is asked to come again, where an older one is told that another has taken its place.
RIVAL_S = 5.0
KNOWN_TOKENS = 8  # resume tokens of one session: a client that ignores new ones still has the first for some outages
GREETING = '{"type":"session.re'  # session.ready or session.resumed: they come first
HAND_OVER_S = 1.0  # for answers that are under way when a session moves
LOST_CALL = "the replica that ran it is gone: whether it took effect is not known"
_DEPARTURES = {
    Departure.RESTART: (CloseCode.SERVICE_RESTART, "the gateway restarts: resume elsewhere"),
    Departure.SIGNED_OUT: (CloseCode.BAD_TOKEN, "the token was signed out"),
}


class LiveSession:
    """One epoch of a session; a `streaming.residents.Resident`.

    `connection` keeps numbers and what is not acknowledged, `lanes` run, `work` joins the two.
    """

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
        self.resume_tokens = [secrets.token_urlsafe(24)]  # the newest last; the session knows all of them here
        self.opened_at = time.time()
        self.lost = False  # can't be resumed any more
        self._closed = False  # and nothing of it runs any more
        self.leaving = False  # another replica will continue it: nothing is taken from the client any more
        self.traffic = Traffic()
        self.taps: list[Tap] = []
        self.recording = False  # is one of the taps a recording?
        self.sent = asyncio.Event()  # set with every batch that leaves
        self.journal: Journal | None = None
        self.socket: Socket | None = None
        self.commands = Commands(self, desk, provided, group)
        self._listening = ListeningClock(self._loop.time)
        self.lanes = Session(session_id, identity, provided, group, self._loop.time, self._listening.now)
        self.work = Channels(self, self.lanes)
        self._timer: asyncio.TimerHandle | None = None
        self._entered_at = 0.0  # the socket
        self._unrecorded = False  # can it be resumed here only?
        self._told_where = asyncio.Event()  # does the client know that?
        self.notices: list[str] = []  # messages of the socket that leave before the next batch
        self._timer_at = 0.0  # uvloop's handle of a time that is due already can't tell
        self._expiry = TokenTimer(self._loop, self._on_expiring, self._on_expired)

    # --- as the gateway sees it: see Resident ---

    @property
    def connected(self) -> bool:
        """Has it a socket?"""
        return self.socket is not None

    @property
    def busy(self) -> bool:
        """Is a lane or a command at work?"""
        return self.lanes.busy or (not self._closed and self.commands.busy)

    @property
    def must_finish(self) -> bool:
        """Is a command being answered, or does a lane do what can't be continued elsewhere?"""
        if self.movable and not self._closed:
            return self.commands.busy or self.lanes.must_finish
        return self.busy

    @property
    def channels(self) -> Counter[str]:
        """Open channels, by kind."""
        return self.connection.channels_by_kind()

    @property
    def queued_bytes(self) -> int:
        """Waiting to be sent."""
        return self.connection.queue_bytes

    @property
    def audio_bytes_dropped(self) -> int:
        """Audio that became stale before it was sent."""
        return self.connection.audio_bytes_dropped

    def announce_drain(self, reconnect_after_ms: int) -> None:
        """Send `session.draining`."""
        self.send(wire.SessionDraining(reconnect_after_ms=reconnect_after_ms))

    def leave(self, reason: Departure) -> None:
        """Close the socket; the session can be resumed."""
        self.end_socket(*_DEPARTURES[reason])

    def dismiss(self, reason: Departure) -> None:
        """Close the socket; nobody may resume."""
        self.leave(reason)
        self.lost = True

    def watch(self, *, audio: bool) -> AsyncGenerator[Seen]:
        """What it sees and says from now on."""
        return ChannelWatch(self, audio=audio).seen()

    # --- sockets ---

    @property
    def traceparent(self) -> str:
        """The trace that the client wants its work to be part of; empty: each channel and command begins its own."""
        return self.socket.traceparent if self.socket is not None else ""

    def attach(self, socket: Socket) -> None:
        """Speak through this socket from now on."""
        self.connection.attach(self._loop.time())
        self._speak_through(socket)

    def resume(self, socket: Socket, last_seq: int) -> bool:
        """Continue through this socket, after message `last_seq`. False: something that came after it is gone."""
        if not self.connection.resume(last_seq, self._loop.time(), self.work.needed_frames()):
            return False
        self._speak_through(socket)
        return True

    def _speak_through(self, socket: Socket) -> None:
        self.socket = socket
        self._listening.come()
        self._entered_at = self._loop.time()
        if self._unrecorded:
            self._tell_where()
        self._expiry.start(self.identity.expires_at)
        self.wake()

    def detach(self, socket: Socket) -> None:
        """The socket is gone. No effect when another one has replaced it."""
        if self.socket is socket:
            self.socket = None
            if self._closed:
                return
            self._listening.leave()
            self._expiry.stop()
            self.connection.detach(self._loop.time())
            self.wake()

    def end_socket(self, code: CloseCode, reason: str) -> None:
        """Close the socket. The session waits to be resumed."""
        socket = self.socket
        if socket is not None:
            self.detach(socket)
            socket.end(code, reason)

    def give_way(self) -> None:
        """Another socket of the same user has taken the session."""
        self.end_socket(CloseCode.SESSION_TAKEN_OVER, "another socket took the session")

    # --- in and out ---

    def hear(self, data: bytes) -> bool:
        """Hand the frame that was expected next to its lane: the hot path. False: nothing was done, `receive` has to look."""
        event = None if self.taps else self.connection.hear(data, self._loop.time())
        if event is None:
            return False
        self.traffic.bytes_received += len(data)
        self.traffic.frames_received += 1
        self.work.on_audio(event)  # a lane that has something to say wakes the writer itself
        return True

    def receive(self, data: str | bytes) -> list[events.Event]:
        """Feed the connection; returns what the client wants. Raises RemoteProtocolError: close with its code."""
        now = self._loop.time()
        self.traffic.received(data)
        if self.taps:
            for tap in self.taps:
                tap.received(data, now)
        if type(data) is bytes:
            return self.connection.receive_binary(data, now)
        return self.connection.receive_text(str(data), now)

    def handle(self, event: events.Event) -> None:
        """Act on one event of the connection."""
        if type(event) is events.AudioReceived:
            self.work.on_audio(event)
        else:
            action = _ACTIONS.get(type(event))
            if action is not None:
                action(self, event)

    def send(self, message: wire.Message) -> None:
        """Queue a message and wake the writer."""
        self.connection.send_message(message)
        self.wake()

    def wake(self) -> None:
        """Something may have to be sent, or a deadline has moved."""
        if self._closed:
            return
        for event in self.connection.take_events():
            self.handle(event)
        if self.socket is not None:
            if self.connection.has_data:
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

    def _arm(self) -> None:
        """One timer for everything that the connection waits for."""
        deadline = self.connection.next_deadline()
        if self._timer is not None:
            if deadline is not None and self._timer_at <= deadline:
                return  # it fires early and looks again: cheaper than a new timer for each message
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        for event in self.connection.handle_timeout(self._loop.time()):
            self.handle(event)
        self.wake()
        self._arm()

    def on_lost(self, _event: events.ResumeLost) -> None:
        """Nobody can resume any more: the registry ends the session."""
        self.lost = True

    # --- its user ---

    def become(self, identity: Identity) -> None:
        """Take a new token of the same user: its roles count from the next command on."""
        self.identity = identity
        self.lanes.identity = identity
        if self.socket is not None and not self._closed:
            self._expiry.start(identity.expires_at)

    def _on_expiring(self) -> None:
        self.send(wire.AuthExpiring(expires_at=rfc3339(self.identity.expires_at) or ""))

    def _on_expired(self) -> None:
        self.end_socket(CloseCode.TOKEN_EXPIRED, "the token has expired")

    # --- moving to another replica ---

    @property
    def movable(self) -> bool:
        """Can another replica continue it?"""
        return self.journal is not None

    @property
    def head(self) -> Head:
        """Whose session it is."""
        return Head(self.identity.user_id, self.resume_token, self.opened_at, self.connection.epoch)

    @property
    def resume_token(self) -> str:
        """The newest: the one that the record is kept under."""
        return self.resume_tokens[-1]

    def save(self, commands_version: int) -> Snapshot:
        """Numbers and messages; commands only when they are not of that version any more."""
        return self.connection.save(self.work.rewinds(), commands_version)

    def save_lanes(self) -> dict[int, dict[str, Any] | None]:
        """What the lanes need to continue elsewhere, by channel."""
        return self.work.save()

    def restore(self, lanes: dict[int, dict[str, Any] | None]) -> None:
        """Continue another replica's work as far as possible. Commands that it had not answered are answered ABORTED."""
        self.work.restore(lanes)
        for command_id in self.connection.unanswered():
            self.connection.send_message(wire.Error(id=command_id, code="ABORTED", message=LOST_CALL, retryable=True))

    async def hand_over(self) -> None:
        """Bring the session record up to date, then stop without a word: another replica will continue.

        What the client sends from now on is not taken; it sends it again over there.
        """
        if self.journal is not None:
            self.leaving = True
            await self.commands.finished(HAND_OVER_S)
            await self.journal.settled(HAND_OVER_S)
            self.let_go()

    def on_refused(self, written: Written) -> None:
        """The session record is somebody else's."""
        self.let_go()
        if written == "foreign":
            self.end_socket(CloseCode.FORBIDDEN, "the session belongs to another user")
        elif written == "taken" and self._loop.time() - self._entered_at < RIVAL_S:
            self.end_socket(
                CloseCode.SERVICE_RESTART, "an earlier resume of the session was served later: resume again"
            )
        else:
            self.give_way()

    def on_unrecorded(self) -> None:
        """The store is out of reach. The record that it may still have must not be resumed: it does not know the fresh token."""
        self.resume_tokens = [*self.resume_tokens[-KNOWN_TOKENS + 1 :], secrets.token_urlsafe(24)]
        self._unrecorded = True
        self._told_where.clear()
        if self.socket is not None:
            self.notices.append(serialise(self._where()))

    def on_recorded(self) -> None:
        """The record is whole again: the session can be resumed anywhere."""
        self._unrecorded = False
        self.notices.clear()
        self._told_where.set()
        if self.socket is not None:
            self.send(self._where())

    def _where(self) -> wire.SessionResumable:
        return wire.SessionResumable(where="here" if self._unrecorded else "anywhere", resume_token=self.resume_token)

    def _tell_where(self) -> None:
        self.notices.clear()
        self.send(self._where())
        self._told_where.set()

    def with_notices(self, batch: list[str | bytes]) -> list[str | bytes]:
        """The batch that leaves now, behind what the client has to know before it."""
        if not self.notices:
            return batch
        greeting = 1 if isinstance(batch[0], str) and batch[0].startswith(GREETING) else 0
        told = [*batch[:greeting], *self.notices, *batch[greeting:]]
        self.notices.clear()
        self._told_where.set()
        return told

    async def recorded(self) -> bool:
        """Wait until an effect may begin: the record says what led to it, or the client knows that there is none.

        False: the session is another replica's, or it is over.
        """
        if self._closed or self.journal is None:
            return not self._closed
        kept = await self.journal.written()
        while kept and self._unrecorded and not self._told_where.is_set():
            self.wake()
            await self._told_where.wait()
        return kept and not self.journal.stopped

    def let_go(self) -> None:
        """Another replica continues: nothing is sent or written here any more."""
        if self._closed:
            return
        if self.journal is not None:
            self.journal.stop()
        self._told_where.set()
        self.work.silence()
        self.lost = True

    async def close(self) -> None:
        """Stop every lane, forget the record, end the taps."""
        if self._closed:
            return
        self.lost = True
        await self.lanes.close()
        if self.journal is not None and not self.journal.stopped:
            await self.journal.forget()
        for tap in self.taps:
            tap.ended()
        self.taps.clear()
        self._closed = self.leaving = True  # and no cycles are left: the collector hardly ever runs
        self._expiry.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.journal = None
        del self.commands, self.work, self._expiry


_ACTIONS: dict[type, Callable[[LiveSession, Any], None]] = {
    events.ChannelOpened: lambda live, event: live.work.on_opened(event),
    events.InputEnded: lambda live, event: live.work.on_ended(event),
    events.UtteranceCommitted: lambda live, event: live.work.on_committed(event),
    events.TextReceived: lambda live, event: live.work.on_text(event),
    events.PlaybackReported: lambda live, event: live.work.on_playback(event),
    events.ChannelCancelled: lambda live, event: live.work.on_cancelled(event),
    events.ChannelFailed: lambda live, event: live.work.on_failed(event),
    events.CreditGranted: lambda live, event: live.work.on_credit(event),
    events.CallReceived: lambda live, event: live.commands.on_call(event),
    events.ConfirmationReceived: lambda live, event: live.commands.on_confirmation(event),
    events.AuthRefreshReceived: lambda live, event: live.commands.on_auth_refresh(event),
    # the session waits to be resumed
    events.SlowConsumer: lambda live, _: live.end_socket(CloseCode.SLOW_CONSUMER, "the client reads too slowly"),
    events.PeerSilent: lambda live, _: live.end_socket(CloseCode.GOING_AWAY, "nothing was heard from the client"),
    events.ResumeLost: LiveSession.on_lost,
}
