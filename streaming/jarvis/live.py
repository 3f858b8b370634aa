"""A session on the wire: `jarvis.v1` (a sans-I/O connection) on one side, lanes on the other. It outlives its sockets."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from streaming.errors import OUTCOME_UNKNOWN
from streaming.expiry import TokenTimer
from streaming.flag import Flag
from streaming.jarvis.channels import CHANNEL_ACTIONS, Channels
from streaming.jarvis.commands import Commands
from streaming.jarvis.journal import SessionHead
from streaming.jarvis.observing import ChannelWatch
from streaming.jarvis.resume_notices import ResumeNotices
from streaming.listening import ListeningClock
from streaming.protocol import events
from streaming.protocol import messages as wire
from streaming.protocol.close_codes import CloseCode
from streaming.protocol.frame import HEADER_BYTES
from streaming.protocol.sendqueue import serialise
from streaming.residents import Departure
from streaming.rfc3339 import rfc3339
from streaming.session import Session
from streaming.traffic import Traffic

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from streaming.jarvis.journal import Journal, Written
    from streaming.jarvis.socket import FrameSink, Socket
    from streaming.ports import Desk, Identity, LaneServices, LiveWatching
    from streaming.protocol.server import ServerConnection
    from streaming.protocol.snapshot import Snapshot
    from streaming.residents import Tap
    from streaming.wakes import Wakes

# A claim may come from an older socket, which the client has given up for this one but whose handshake was delayed by up to this
# long. A young socket whose session is claimed is therefore told to retry; an older one is told that another has taken its place.
RIVAL_S = 5.0
# Resume tokens kept per session: a client that ignores new ones can still use its first after some outages.
KNOWN_TOKENS = 8
MAX_BATCH_BYTES = 65_536
HAND_OVER_S = 1.0  # for commands being answered while a session moves
OVERTAKEN = (CloseCode.SERVICE_RESTART, "an earlier resume of the session was served later: resume again")
_DEPARTURES = {
    Departure.RESTART: (CloseCode.SERVICE_RESTART, "the gateway restarts: resume elsewhere"),
    Departure.SIGNED_OUT: (CloseCode.BAD_TOKEN, "the token was signed out"),
}


class LiveSession:
    """One epoch of a session, a `Resident`: `connection` has numbers and unacknowledged messages, `lanes` run, `work` connects the two."""

    __deletable__ = ("commands", "work", "_expiry")  # by `close`; mypyc wants to know

    def __init__(
        self,
        session_id: str,
        identity: Identity,
        connection: ServerConnection,
        provided: LaneServices,
        desk: Desk,
        group: asyncio.TaskGroup,
        wakes: Wakes,
        away: dict[LiveSession, None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.session_id, self.identity, self.connection = session_id, identity, connection
        self.resume_tokens = [secrets.token_urlsafe(24)]  # the newest last; all of them are valid here
        self.opened_at = time.time()
        self.lost = self._closed = False  # it can no longer be resumed; it has ended, and nothing of it runs any more
        self.leaving = False  # another replica will continue it: nothing more is taken from the client
        self.traffic = Traffic()
        self.taps: list[Tap] = []
        self.recording = False  # True if one of the taps is a recording
        self.sent = Flag()  # set with every batch sent
        self.journal: Journal | None = None
        self.socket: Socket | None = None
        self._sink: FrameSink | None = None  # of the socket
        self.commands = Commands(self, desk, provided, group)
        self._listening = ListeningClock(self._loop.time)
        self.lanes = Session(session_id, identity, provided, group, self._loop.time, self._listening.now)
        self.work, self._away, self._wakes = Channels(self, self.lanes), away, wakes
        self._wake_step, self._entered_at = 0, 0.0  # the first: of the one timer for all of the connection's deadlines
        away[self] = None  # all sessions without a socket
        self._unrecorded = False  # it can be resumed here only
        self.as_recorded = False  # just restored: its record holds all that `session.resumed` says
        self.resume_notices = ResumeNotices()
        self._expiry = TokenTimer(self._loop, self._on_expiring, self._on_expired)

    # --- for the gateway: see Resident ---

    @property
    def connected(self) -> bool:
        return self.socket is not None

    @property
    def busy(self) -> bool:
        return self.lanes.busy or (not self._closed and self.commands.busy)

    @property
    def must_finish(self) -> bool:
        """True while a command is being answered, or a lane does what cannot be continued elsewhere."""
        if self.movable and not self._closed:
            return self.commands.busy or self.lanes.must_finish
        return self.busy

    @property
    def channels(self) -> Counter[str]:
        return self.connection.channels_by_kind()

    @property
    def queued_bytes(self) -> int:
        return self.connection.queue_bytes

    @property
    def audio_bytes_dropped(self) -> int:
        return self.connection.audio_bytes_dropped

    def announce_drain(self, reconnect_after_ms: int) -> None:
        """Send `session.draining`."""
        self.send(wire.SessionDraining(reconnect_after_ms=reconnect_after_ms))

    def leave(self, reason: Departure) -> None:
        """Close the socket; the session can be resumed."""
        self.end_socket(*_DEPARTURES[reason])

    def dismiss(self, reason: Departure) -> None:
        """Close the socket and stop the work; the session cannot be resumed."""
        self.leave(reason)
        self.lose()
        self.lanes.cancel_all()

    def watch(self, *, audio: bool) -> LiveWatching:
        return ChannelWatch(self, audio=audio)

    # --- sockets ---

    @property
    def traceparent(self) -> str:
        """The client's trace, to which its work belongs; empty: each channel and command starts its own."""
        return self.socket.traceparent if self.socket is not None else ""

    def attach(self, socket: Socket) -> None:
        """Use this socket from now on."""
        self.connection.attach(self._loop.time())
        self._speak_through(socket)

    def resume(self, socket: Socket, last_seq: int) -> bool:
        """Continue on this socket after message `last_seq`. False if a later message is gone."""
        if not self.connection.resume(last_seq, self._loop.time(), self.work.needed_frames()):
            return False
        self._speak_through(socket)
        return True

    def _speak_through(self, socket: Socket) -> None:
        self.socket, self._sink = socket, socket.sink
        self._away.pop(self, None)
        self._listening.come()
        self._entered_at = self._loop.time()
        if self._unrecorded:
            self.resume_notices.unsent.clear()
            self.send(self._where())
            self.send(self.resume_notices.ask())
        self._expiry.start(self.identity.expires_at)
        self.wake()

    def detach(self, socket: Socket) -> None:
        """The socket is gone. Does nothing if another one has replaced it."""
        if self.socket is socket:
            self.socket, self._sink, self.as_recorded = None, None, False
            if self._closed:
                return
            self._away[self] = None
            self._listening.leave()
            self._expiry.stop()
            self.connection.detach(self._loop.time())
            self.wake()

    def end_socket(self, code: CloseCode, reason: str) -> None:
        """Close the socket; the session waits to be resumed."""
        if (socket := self.socket) is not None:
            self.detach(socket)
            socket.end(code, reason)

    def give_way(self) -> None:
        """Another socket of the same user took the session."""
        self.end_socket(CloseCode.SESSION_TAKEN_OVER, "another socket took the session")

    # --- in and out ---

    def hear(self, data: bytes) -> bool:
        """Pass the next expected frame to its lane, which wakes the writer if it must: the hot path. False: call `receive`."""
        channel = None if self.taps else self.connection.hear(data, self._loop.time())
        if channel is not None:
            self.traffic.bytes_received += len(data)
            self.traffic.frames_received += 1
            self.work.hear(channel.id, data[HEADER_BYTES:], channel.next_frame - 1)
        return channel is not None

    def hear_pong(self, text: str) -> bool:
        """Take the answer to the ping of a heartbeat, and wait for the next silence. False: call `receive`."""
        if self.taps or not self.connection.hear_pong(text, self._loop.time()):
            return False
        self.traffic.received(text)
        self._arm(anew=True)
        return True

    def receive(self, data: str | bytes, arrived_at: float | None = None) -> list[events.Event]:
        """Feed the connection; returns its events. Raises RemoteProtocolError: close with its code."""
        now = self._loop.time()
        self.as_recorded = False  # what is taken now, and its acknowledgement, are not in the record yet
        self.traffic.received(data)
        for tap in self.taps:
            tap.received(data, now)
        if type(data) is bytes:
            return self.connection.receive_binary(data, now)
        return self.connection.receive_text(str(data), now, arrived_at)

    def handle(self, event: events.Event) -> None:
        """Handle one event of the connection."""
        if type(event) is events.AudioReceived:
            self.work.hear(event.channel, event.payload, event.seq)
        elif (of_channel := CHANNEL_ACTIONS.get(type(event))) is not None:
            of_channel(self.work, event)
        elif (action := _ACTIONS.get(type(event))) is not None:
            action(self, event)

    def send(self, message: wire.Message) -> None:
        """Queue a message and wake the writer."""
        self.connection.send_message(message)
        self.wake()

    def wake(self) -> None:
        """There may be something to send, or a new deadline."""
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

    def play(self, channel: int, frame: bytes, generation: int, pts_ms: int) -> bool:
        """Send a frame of speech at once, past the queue: the hot path. False: nothing was done, because something waits."""
        sink = self._sink
        if sink is None or self.taps or self._closed or not sink.free:
            return False
        data = self.connection.audio_at_once(channel, frame, generation, pts_ms, now := self._loop.time())
        if data is None:
            return False
        self.traffic.frames_sent += 1
        self.traffic.bytes_sent += len(data)
        sink.write_frame(data, now)
        if not self._wake_step:  # else it fires before the frame is too old, and looks again
            self._arm()
        return True

    def data_to_send(self, max_bytes: int = MAX_BATCH_BYTES) -> list[str | bytes]:
        """The data to send now, in order. Messages of the socket come first, whatever `max_bytes`."""
        now = self._loop.time()
        data = self.connection.data_to_send(now, max_bytes)
        self.traffic.sent(data)
        self.sent.set()
        for tap in self.taps if data else ():
            tap.sent(data, now)
        self._arm()
        return data

    def _arm(self, *, anew: bool = False) -> None:
        """Set the timer. Unless `anew`, one that is set for an earlier time stays: it looks again, cheaper than a timer a message."""
        deadline = self.connection.next_deadline()
        self._wake_step = self._wakes.move(self._wake_step, deadline, self._on_deadline, anew=anew)

    def _on_deadline(self) -> None:
        self._wake_step, now = 0, self._loop.time()
        if not self._asked_at_once(now):
            for event in self.connection.handle_timeout(now):
                self.handle(event)
            self.wake()
        self._arm()

    def _asked_at_once(self, now: float) -> bool:
        """Ask a silent client past the queue: all that most idle sessions ever send. False: nothing was done."""
        sink = self._sink
        if sink is None or self.taps or not sink.free or (ping := self.connection.ping_at_once(now)) is None:
            return False
        self.traffic.sent([ping])
        sink.write_text(ping)
        return True

    def lose(self) -> None:
        """Let it be resumed no more, here or by its record; the registry will end it."""
        self.lost = True
        if self.journal is not None:
            self.journal.changed()

    # --- its user ---

    def become(self, identity: Identity) -> None:
        """Use a new token of the same user. Its roles count at once, for running lanes too."""
        self.identity = identity
        self.lanes.become(identity)
        if self.socket is not None and not self._closed:
            self._expiry.start(identity.expires_at)

    def _on_expiring(self) -> None:
        self.send(wire.AuthExpiring(expires_at=rfc3339(self.identity.expires_at) or ""))

    def _on_expired(self) -> None:
        self.end_socket(CloseCode.TOKEN_EXPIRED, "the token has expired")

    # --- moving to another replica ---

    @property
    def movable(self) -> bool:
        """True if another replica can continue it."""
        return self.journal is not None

    @property
    def head(self) -> SessionHead:
        """The session's owner and token."""
        who = self.identity
        return SessionHead(who.user_id, self.resume_token, self.opened_at, self.connection.epoch, who.signed_out_by)

    @property
    def resume_token(self) -> str:
        """The newest token, under which the record is stored."""
        return self.resume_tokens[-1]

    def save(self, commands_version: int) -> Snapshot:
        """Numbers and messages; commands only if their version is no longer `commands_version`."""
        return self.connection.save(self.work.rewinds(), commands_version)

    def save_lanes(self) -> dict[int, dict[str, Any] | None]:
        """What lanes need to continue elsewhere, by channel."""
        return self.work.save()

    def only_here(self, resume_token: str) -> bool:
        """True if no other replica can have resumed the session with this token, because no record had it."""
        return self._unrecorded and resume_token == self.resume_token

    def restore(self, lanes: dict[int, dict[str, Any] | None]) -> None:
        """Continue another replica's work as far as possible. Commands it had not answered are answered with ABORTED."""
        self.work.restore(lanes)
        for command_id in self.connection.unanswered():
            self.connection.send_message(wire.Error(id=command_id, code="ABORTED", message=OUTCOME_UNKNOWN))

    async def hand_over(self) -> None:
        """Bring the session record up to date, then stop without telling the client: another replica will continue.

        What the client sends from now on is not taken; it will send it again to the other replica.
        """
        if self.journal is not None:
            self.leaving = True
            await self.commands.finished(HAND_OVER_S)
            await self.journal.settled(HAND_OVER_S)
            self.let_go()

    def on_refused(self, written: Written) -> None:
        """The session record belongs to another writer."""
        self.let_go()
        if written == "foreign":
            self.end_socket(CloseCode.FORBIDDEN, "the session belongs to another user")
        elif written == "taken" and self._loop.time() - self._entered_at < RIVAL_S:
            self.end_socket(*OVERTAKEN)
        else:
            self.give_way()

    def on_unrecorded(self) -> None:
        """The store is unreachable. A record it may still have must not be resumed, so it does not get the new token."""
        self.resume_tokens = [*self.resume_tokens[-KNOWN_TOKENS + 1 :], secrets.token_urlsafe(24)]
        self._unrecorded = True
        self.resume_notices.known.clear()
        if self.socket is not None:
            self.resume_notices.unsent.append(serialise(self._where()))
            self.send(self.resume_notices.ask())

    def on_recorded(self) -> None:
        """The record is complete again: the session can be resumed anywhere."""
        self._unrecorded = False
        self.resume_notices.unsent.clear()
        self.resume_notices.known.set()
        if self.socket is not None:
            self.send(self._where())

    def _where(self) -> wire.SessionResumable:
        return wire.SessionResumable(where="here" if self._unrecorded else "anywhere", resume_token=self.resume_token)

    async def recorded(self) -> bool:
        """Wait until an effect may begin: the record shows its cause, or the client knows that there is no record.

        False: another replica has the session, or it has ended.
        """
        journal = self.journal
        if self._closed or journal is None:
            return not self._closed
        kept = await journal.written()
        while kept and self._unrecorded and not self.resume_notices.known.is_set():
            self.wake()
            await self.resume_notices.known.wait()
        return kept and not journal.stopped

    def let_go(self) -> None:
        """Another replica continues: send and write nothing more here."""
        if self._closed:
            return
        if self.journal is not None:
            self.journal.stop()
        self.resume_notices.known.set()
        self.work.silence()
        self.lost = True

    async def close(self) -> None:
        """Stop all lanes, delete the record and end the taps."""
        self.lost = True
        await self.lanes.close()
        if self.journal is not None and not self.journal.stopped:
            await self.journal.forget()
        if self._closed:  # by the sweep or the end of the gateway, which may come to it at once
            return
        for tap in self.taps:
            tap.ended()
        self.taps.clear()
        self._closed = self.leaving = True  # leave no reference cycles: the collector hardly ever runs
        self.resume_notices.known.set()  # nobody will confirm it any more
        self._expiry.stop()
        self._wakes.cancel(self._wake_step, self._on_deadline)
        self.journal = None
        del self.commands, self.work, self._expiry


_ACTIONS: dict[type, Callable[[LiveSession, Any], None]] = {
    events.Ponged: lambda live, event: live.resume_notices.ponged(event.t),
    events.CallReceived: lambda live, event: live.commands.on_call(event),
    events.ConfirmationReceived: lambda live, event: live.commands.on_confirmation(event),
    events.AuthRefreshReceived: lambda live, event: live.commands.on_auth_refresh(event),
    # the session waits to be resumed
    events.SlowConsumer: lambda live, _: live.end_socket(CloseCode.SLOW_CONSUMER, "the client reads too slowly"),
    events.PeerSilent: lambda live, _: live.end_socket(CloseCode.GOING_AWAY, "nothing was heard from the client"),
    events.ResumeLost: lambda live, _event: live.lose(),
}
