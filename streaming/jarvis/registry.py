"""All live sessions of this process: who may enter which, takeover, resume, and the end of those nobody came back to."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streaming.jarvis.commands import rfc3339
from streaming.jarvis.journal import Journal, kept_session, new_owner
from streaming.jarvis.live import LiveSession
from streaming.jarvis.traffic import Traffic
from streaming.protocol import events as heard
from streaming.protocol import messages as wire
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.server import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.jarvis.journal import KeptSession, SessionStore
    from streaming.jarvis.live import Socket
    from streaming.jarvis.tap import Recorder
    from streaming.ports import Desk, Identity, LaneServices
    from streaming.protocol.limits import Limits

log = logging.getLogger(__name__)

ResumeError = Literal["NOT_FOUND", "EXPIRED", "INCOMPLETE"]

MAX_HELD = 16
TOO_MANY_MESSAGES = 4029
SWEEP_S = 1.0  # how often sessions that can't be resumed any more are let go


class ForbiddenError(Exception):
    """The session belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Resume:
    """What a returning client shows."""

    token: str
    last_seq: int


class Line:
    """One socket's way into its session. What it feeds may raise RemoteProtocolError: close with its code."""

    def __init__(
        self,
        registry: Sessions,
        socket: Socket,
        live: LiveSession,
        before: LiveSession | None = None,
        *,
        undecided: bool = False,
    ) -> None:
        self._registry = registry
        self._socket = socket
        self._before = before  # what a first message `session.resume` may still take up
        self._undecided = undecided  # the first message has not come yet
        self._asking: list[str | bytes] | None = None  # a list while other replicas are asked
        self._clock = asyncio.get_running_loop().time
        self.live = live
        self._before_it = copy(live.traffic)

    def feed_text(self, text: str) -> None:
        """One text message."""
        if self.live.leaving:
            return
        if self._asking is not None:
            self._hold(text)
            return
        self.live.received(text)
        self._registry.traffic.received(text)
        for event in self.live.connection.receive_text(text, self._clock()):
            if type(event) is heard.ResumeRequested:
                self._on_resume(Resume(event.resume_token, event.last_seq))
                return
            self.live.handle(event)
        if self._undecided:
            self._begin_anew()
        self.live.wake()

    def feed_binary(self, data: bytes) -> None:
        """One frame."""
        if self.live.leaving:
            return
        if self._asking is not None:
            self._hold(data)
            return
        self.live.received(data)
        self._registry.traffic.received(data)
        for event in self.live.connection.receive_binary(data, self._clock()):
            self.live.handle(event)
        if self._undecided:
            self._begin_anew()
        self.live.wake()

    def data_to_send(self) -> list[str | bytes]:
        """What leaves now; nothing once another socket speaks for the session."""
        if self.live.socket is not self._socket:
            return []
        batch = self.live.data_to_send()
        self._registry.traffic.sent(batch)
        return batch

    async def kept(self, batch: list[str | bytes]) -> bool:
        """Before a batch leaves: whatever is not audio has to be in the session's record. False: it must not leave."""
        journal = self.live.journal
        if journal is None or all(type(item) is bytes for item in batch):
            return True
        return await journal.written()

    @property
    def traffic(self) -> Traffic:
        """What crossed the wire since this socket speaks for the session."""
        return self.live.traffic.since(self._before_it)

    def closed(self, *, for_good: bool) -> None:
        """The socket is gone. `for_good`: the client said it is done, nobody will come back."""
        self.live.detach(self._socket)
        if for_good and self.live.socket is None:
            self.live.lost = True

    def _hold(self, data: str | bytes) -> None:
        """The other replicas are being asked: a client keeps quiet meanwhile (PROTOCOL.md, section 2)."""
        assert self._asking is not None, "looked at before"
        if len(self._asking) >= MAX_HELD:
            raise RemoteProtocolError(TOO_MANY_MESSAGES, "wait for the answer to `session.resume`")
        self._asking.append(data)

    def _on_resume(self, resume: Resume) -> None:
        self._undecided = False
        if self._registry.has_store and self._registry.why_not(self._before, resume) == "NOT_FOUND":
            self._asking = []
            self._registry.group.create_task(self._ask(resume), name="session of another replica")
        else:
            self._resume(resume)

    async def _ask(self, resume: Resume) -> None:
        """Does another replica have it?"""
        kept = await self._registry.recall(self.live.session_id, self.live.identity, resume)
        held, self._asking = self._asking or [], None
        if self.live.socket is not self._socket:
            return  # gone meanwhile
        if kept is not None:
            self._before = self._registry.revive(self.live.session_id, self.live.identity, kept, resume)
            if self._before is not None and self.live.recording:
                self._registry.tape(self._before)
        self._resume(resume)
        try:
            for data in held:
                if isinstance(data, str):
                    self.feed_text(data)
                else:
                    self.feed_binary(data)
        except RemoteProtocolError as broken:
            self._socket.end(broken.close_code, broken.message)

    def _resume(self, resume: Resume) -> None:
        """The first message decides: the session goes on where the last socket left it, or begins anew."""
        fresh, before = self.live, self._before
        self._before = None
        error = self._registry.take_up(before, resume, self._socket)
        if error is None and before is not None:
            before.become(fresh.identity)
            fresh.detach(self._socket)
            self._registry.replace(fresh, before)
            self.live, self._before_it = before, copy(before.traffic)
        else:
            self._registry.greet(fresh, error)
            if before is not None:
                before.lost = True

    def _begin_anew(self) -> None:
        """The first message was another one: what the client left behind ends, here and at other replicas."""
        self._undecided = False
        if self.live.socket is self._socket:  # else another one speaks for the session: what it left is not this one's
            self._registry.begin_anew(self.live)
        if self._before is not None:
            self._before.lost = True
            self._before = None


class Sessions:
    """By session id. `group` holds the tasks of all of them."""

    def __init__(
        self,
        limits: Limits,
        provided: LaneServices,
        desk: Desk,
        group: asyncio.TaskGroup,
        store: SessionStore | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._limits = limits
        self._provided = provided
        self._desk = desk
        self._store = store
        self._recorder = recorder
        self.group = group
        self._live: dict[str, LiveSession] = {}
        self._leaving: set[LiveSession] = set()  # replaced, and perhaps still to be resumed
        self.traffic = Traffic()
        self._dropped_before = 0
        self.resumes: dict[str, int] = {"recovered": 0, "elsewhere": 0, "lost": 0}

    def __iter__(self) -> Iterator[LiveSession]:
        return iter((*self._live.values(), *self._leaving))

    def current(self, session_id: str) -> LiveSession | None:
        """The live session of that name here."""
        return self._live.get(session_id)

    @property
    def has_store(self) -> bool:
        """Do replicas share records?"""
        return self._store is not None

    async def recall(self, session_id: str, identity: Identity, resume: Resume | None) -> KeptSession | None:
        """What another replica has kept of a session that a client wants to resume; this one goes on with it."""
        if self._store is None or resume is None or self.why_not(self._live.get(session_id), resume) != "NOT_FOUND":
            return None
        owner = new_owner()
        fields = await self._store.claim(session_id, owner, identity.user_id, resume.token)
        if fields is None:
            return None
        try:
            return kept_session(owner, identity.user_id, resume.token, fields)
        except (KeyError, ValueError):
            log.warning("the record of session %s can't be read: another version wrote it", session_id)
            return None

    def revive(self, session_id: str, identity: Identity, kept: KeptSession, resume: Resume) -> LiveSession | None:
        """Go on with it here, without a socket yet; None when a part of what its client missed is gone."""
        try:
            return self._revive(session_id, identity, kept, resume)
        except Exception:
            log.exception("session %s could not be taken up from its record", session_id)
            return None

    def _revive(self, session_id: str, identity: Identity, kept: KeptSession, resume: Resume) -> LiveSession | None:
        now = asyncio.get_running_loop().time()
        connection = ServerConnection.moved(
            kept.record, resume.last_seq, now, self._limits, unix_offset_s=time.time() - now
        )
        if connection is None:
            return None
        live = LiveSession(session_id, identity, connection, self._provided, self._desk, self.group)
        live.resume_token, live.opened_at = kept.head.resume_token, kept.head.opened_at
        self._record(live, kept)
        self._leaving.add(live)  # until it is whole: if it fails half-way it is swept away
        live.lost = True
        live.take_up(kept.lanes)
        live.lost = False
        self._leaving.discard(live)
        self._live[session_id] = live
        self.resumes["elsewhere"] += 1
        return live

    def _record(self, live: LiveSession, kept: KeptSession | None = None) -> None:
        if self._store is not None:
            live.journal = Journal(self._store, live, self.group, live.on_refused, kept)

    def tape(self, live: LiveSession) -> None:
        """Its client consents: record it from here on, where that is configured."""
        tap = self._recorder(live) if self._recorder is not None else None
        if tap is not None:
            live.taps.append(tap)
            live.recording = True

    def on_claimed(self, session_id: str, owner: str) -> None:
        """Another replica goes on with what that owner of the session had."""
        for live in self._elsewhere(session_id):
            if live.journal is not None and live.journal.owner == owner:
                live.on_refused("taken")

    def on_entered(self, session_id: str, owner: str) -> None:
        """A socket came in for that session, to be its only one, here or at another replica."""
        for live in self._elsewhere(session_id):
            if live.journal is not None and live.journal.owner != owner:
                live.leave(4510, "another socket took the session")

    def begin_anew(self, live: LiveSession) -> None:
        """Its client wants nothing of the session's earlier epochs: other replicas let go of theirs."""
        if self._store is not None and live.journal is not None:
            told = self._store.begin_anew(live.session_id, live.journal.owner, live.identity.user_id)
            self.group.create_task(told, name="session begun anew")

    def on_begun_anew(self, session_id: str, owner: str, user_id: str) -> None:
        """That user's client wants nothing of what it left behind here; another user's word changes nothing."""
        for live in self._elsewhere(session_id):
            left = live.socket is None and live.identity.user_id == user_id
            if left and live.journal is not None and live.journal.owner != owner:
                live.lost = True

    def _elsewhere(self, session_id: str) -> list[LiveSession]:
        return [live for live in self if live.session_id == session_id]

    def enter(
        self,
        session_id: str,
        identity: Identity,
        socket: Socket,
        resume: Resume | None,
        kept: KeptSession | None = None,
        *,
        record: bool = False,
    ) -> Line:
        """A socket comes in; `record`: its client consents to that. Raises ForbiddenError when the session is another user's."""
        before = self._live.get(session_id)
        if before is not None and before.lost:
            before = None
        if before is not None and before.identity.user_id != identity.user_id:
            raise ForbiddenError
        if before is not None and before.socket is not None:
            self._take_over(before)
        if resume is not None and kept is not None:
            before = self.revive(session_id, identity, kept, resume)
            if before is not None and record:
                self.tape(before)
        error = self.take_up(before, resume, socket) if resume is not None else None
        if resume is not None and error is None and before is not None:
            before.become(identity)
            return Line(self, socket, before)
        return self._begin(session_id, identity, socket, before, error, record=record)

    def _begin(
        self,
        session_id: str,
        identity: Identity,
        socket: Socket,
        before: LiveSession | None,
        error: ResumeError | None,
        *,
        record: bool,
    ) -> Line:
        """A new epoch; `error`: why the one before is not resumed, None where nobody has asked for that yet."""
        now = asyncio.get_running_loop().time()
        connection = ServerConnection(secrets.token_hex(8), now, self._limits, unix_offset_s=time.time() - now)
        live = LiveSession(session_id, identity, connection, self._provided, self._desk, self.group)
        self._record(live)
        if record:
            self.tape(live)
        self._live[session_id] = live
        if before is not None:
            self._leaving.add(before)
            before.lost = error is not None
        live.attach(socket)
        self.greet(live, error)
        return Line(self, socket, live, before if error is None else None, undecided=error is None)

    def _take_over(self, live: LiveSession) -> None:
        """Another socket of the same user speaks for the session from now on."""
        socket = live.socket
        if socket is not None:
            live.detach(socket)
            socket.end(4510, "another socket took the session")

    def take_up(self, live: LiveSession | None, resume: Resume, socket: Socket) -> ResumeError | None:
        """Go on with a session; returns why not."""
        error = self.why_not(live, resume)
        if error is None and live is not None:
            if live.socket is not None:
                self._take_over(live)
            if not live.resume(socket, resume.last_seq):
                live.lost = True
                error = "INCOMPLETE"
        self.resumes["recovered" if error is None else "lost"] += 1
        return error

    def why_not(self, live: LiveSession | None, resume: Resume) -> ResumeError | None:
        """Why that can't be resumed here."""
        if live is None or not hmac.compare_digest(live.resume_token.encode(), resume.token.encode()):
            return "NOT_FOUND"
        return "EXPIRED" if live.lost else None

    def replace(self, fresh: LiveSession, resumed: LiveSession) -> None:
        """The session that a fresh state stood in for is back."""
        fresh.lost = True
        self._leaving.add(fresh)
        self._leaving.discard(resumed)
        self._live[resumed.session_id] = resumed

    def greet(self, live: LiveSession, resume_error: ResumeError | None) -> None:
        """`session.ready`."""
        identity, limits = live.identity, self._limits
        live.connection.send_message(
            wire.SessionReady(
                session_id=live.session_id,
                epoch=live.connection.epoch,
                resume_token=live.resume_token,
                resume_error=resume_error,
                recording=live.recording or None,
                user=wire.User(user_id=identity.user_id, username=identity.username, roles=identity.roles),
                expires_at=rfc3339(identity.expires_at),
                heartbeat_ms=round(limits.heartbeat_s * 1000),
                resume_window_ms=round(limits.resume_window_s * 1000),
                limits=_announced(limits),
                services=self._desk.service_states(),
                engines=self._desk.service_engines() or None,
            )
        )
        live.wake()

    async def sweep(self) -> None:
        """Let go of sessions that nobody can come back to; runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for live in self:
                if live.journal is not None:
                    live.journal.refresh()
            for live in [live for live in self if live.lost and live.socket is None]:
                await self._end(live)

    @property
    def audio_bytes_dropped(self) -> int:
        """Stale before it was sent; of ended sessions too."""
        return self._dropped_before + sum(live.connection.audio_bytes_dropped for live in self)

    async def _end(self, live: LiveSession) -> None:
        self._dropped_before += live.connection.audio_bytes_dropped
        self._leaving.discard(live)
        if self._live.get(live.session_id) is live:
            del self._live[live.session_id]
        await live.close()

    async def close(self) -> None:
        """End all of them."""
        for live in list(self):
            await self._end(live)


def _announced(limits: Limits) -> dict[str, int | float]:
    return {
        "channels": limits.channels,
        "text_bytes": limits.text_bytes,
        "frame_bytes": limits.frame_bytes,
        "commands_per_s": limits.commands_per_s,
        "audio_bytes_per_s": limits.audio_bytes_per_s,
    }
