"""All jarvis.v1 sessions of this process: started, resumed here or from another replica's record, and finally swept away."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streaming.jarvis.journal import GO_AHEAD_S, Journal, SavedSession, new_writer, saved_session
from streaming.jarvis.live import LiveSession
from streaming.protocol import messages as wire
from streaming.protocol.server import ServerConnection
from streaming.rfc3339 import rfc3339
from streaming.wakes import Wakes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.jarvis.journal import SessionStore
    from streaming.jarvis.socket import Socket
    from streaming.ports import Desk, Identity, LaneServices
    from streaming.protocol.limits import Limits
    from streaming.residents import Recorder, Resident, Residents

log = logging.getLogger(__name__)

ResumeError = Literal["NOT_FOUND", "EXPIRED", "INCOMPLETE"]


SWEEP_S = 1.0  # how often sessions that can no longer be resumed are ended
REFRESH_SWEEPS = 5  # between two looks at which records expire, which are looked at one by one; see `journal.REFRESH_S`
CLAIM_S = 60.0  # a handshake that takes longer between its claim and its session has to ask again


class ForbiddenError(Exception):
    """The session belongs to another user."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Nothing was claimed: this replica has the session's newest state, and writes its record as `writer`."""

    writer: str


# What was claimed of a session. None: nothing, and the store knows of no newer state. "unreachable": the store can't tell.
Claimed = SavedSession | Ours | Literal["unreachable"] | None


@dataclass(frozen=True, slots=True)
class Resume:
    """A returning client's resume token, and the number of the last message it received."""

    token: str
    last_seq: int


class Sessions:
    """The sessions, kept in `residents`; their tasks run in `group`. Without a `store` they cannot move between replicas."""

    def __init__(
        self,
        limits: Limits,
        provided: LaneServices,
        desk: Desk,
        group: asyncio.TaskGroup,
        residents: Residents,
        store: SessionStore | None = None,
        recorder: Recorder | None = None,
        wakes: Wakes | None = None,
    ) -> None:
        """`wakes`: the timers of the loop; None: they are not shared with others."""
        self._limits = limits
        self._provided = provided
        self._desk = desk
        self._store = store
        self._recorder = recorder
        self._wakes = wakes or Wakes()
        self._away: dict[LiveSession, None] = {}  # sessions without a socket
        # Claims under way, or from which no session was restored yet: by session and writer, with token and time, the latest last.
        self._claims: dict[str, dict[str, tuple[str, float]]] = {}
        self.group = group
        self.residents = residents
        self.resumes: dict[str, int] = {"recovered": 0, "elsewhere": 0, "lost": 0}

    def __iter__(self) -> Iterator[LiveSession]:
        """All sessions of this dialect."""
        return (resident for resident in self.residents if isinstance(resident, LiveSession))

    def _of(self, session_id: str) -> list[LiveSession]:
        return [resident for resident in self.residents.of_session(session_id) if isinstance(resident, LiveSession)]

    def _current(self, session_id: str) -> LiveSession | None:
        current = self.residents.current(session_id)
        return current if isinstance(current, LiveSession) else None

    # --- beginning ---

    def present(self, session_id: str, identity: Identity) -> LiveSession | None:
        """The session of that id, unless it is lost. Raises ForbiddenError if it is another user's."""
        live = self._current(session_id)
        if live is None or live.lost:
            return None
        if live.identity.user_id != identity.user_id:
            raise ForbiddenError
        return live

    def begin(self, session_id: str, identity: Identity, socket: Socket, *, recording: bool) -> LiveSession:
        """Start a new epoch, which becomes current for its id and uses this socket. `recording`: the client consents to one."""
        now = asyncio.get_running_loop().time()
        connection = ServerConnection(secrets.token_hex(8), now, self._limits, unix_offset_s=time.time() - now)
        live = LiveSession(
            session_id, identity, connection, self._provided, self._desk, self.group, self._wakes, self._away
        )
        self._keep_journal(live)
        if recording:
            self._start_recording(live)
        self.residents.make_current(live)
        live.attach(socket)
        return live

    def greet(self, live: LiveSession, resume_error: ResumeError | None) -> None:
        """Send `session.ready`."""
        identity, limits = live.identity, self._limits
        live.send(
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

    def _start_recording(self, live: LiveSession) -> None:
        """Record from here on, if recordings are configured."""
        tap = self._recorder(live) if self._recorder is not None else None
        if tap is not None:
            live.taps.append(tap)
            live.recording = True

    def _keep_journal(self, live: LiveSession, saved: SavedSession | None = None) -> None:
        if self._store is not None:
            live.journal = Journal(self._store, live, self.group, saved)

    # --- resuming ---

    @property
    def shared(self) -> bool:
        """True if another replica may have a requested session."""
        return self._store is not None

    async def claim(self, session_id: str, identity: Identity, asked: Resume | None) -> Claimed:
        """Claim what another replica saved of the requested session, which then belongs to this replica.

        The store is asked even if the session is here: it may have moved, with the news of that still under way.
        """
        if self._store is None or asked is None:
            return None
        name = new_writer()
        here = self._journaled(session_id, asked)
        mine = here.writer.name if here is not None else ""
        # Before the answer: another socket may overtake the claim while that is under way.
        self._claims.setdefault(session_id, {})[name] = (asked.token, asyncio.get_running_loop().time())
        try:
            found = await self._store.claim(session_id, name, identity.user_id, asked.token, mine)
        except BaseException:
            self._drop_claim(session_id, name)
            raise
        if isinstance(found, str):
            self._drop_claim(session_id, name)
        if found == "unreachable":
            return "unreachable"
        if found == "ours":
            return Ours(mine)
        if found == "unknown":
            return None
        for left in self._of(session_id):
            if _same(left, asked):
                left.on_refused("superseded" if isinstance(found, str) else "taken")
        if isinstance(found, str):
            return None
        self._drop_claim(session_id, found["owner"])
        try:
            return saved_session(name, identity.user_id, asked.token, found)
        except (KeyError, ValueError):
            log.warning("the record of session %s can't be read: another version wrote it", session_id)
            return None

    def overtaken(self, session_id: str, identity: Identity, asked: Resume, saved: Claimed) -> bool:
        """True if another socket of the client has asked for the session since `saved` was found, here or at another replica.

        The other one gets it, and nothing is known of the session as it is now: the client has to ask again.
        """
        claims = [name for name, (token, _) in self._claims.get(session_id, {}).items() if token == asked.token]
        if isinstance(saved, SavedSession):
            return claims[-1:] != [saved.writer.name]
        if not isinstance(saved, Ours):
            return False
        here = self._lingering(session_id, identity, asked)
        journal = here.journal if here is not None else None
        return bool(claims) or journal is None or journal.stopped or journal.writer.name != saved.writer

    def _drop_claim(self, session_id: str, name: str) -> None:
        """It was used, or overtaken."""
        claims = self._claims.get(session_id, {})
        if claims.pop(name, None) is not None and not claims:
            del self._claims[session_id]

    def _journaled(self, session_id: str, asked: Resume) -> Journal | None:
        """The journal of the requested session, if this replica has the one that writes its record."""
        found = (live.journal for live in self._of(session_id) if _same(live, asked) and not live.lost)
        return next((journal for journal in found if journal is not None and not journal.stopped), None)

    def resume(
        self,
        session_id: str,
        identity: Identity,
        asked: Resume,
        socket: Socket,
        saved: Claimed,
        *,
        recording: bool,
    ) -> LiveSession | ResumeError:
        """Handle a resume request; returns the session that continues, or why none does.

        `saved`: what was claimed from another replica, and wins over what is here. If the store could not be asked, another
        replica may have continued the session meanwhile, unless its token says that it can be resumed here only.
        """
        if isinstance(saved, SavedSession):
            candidate = self._restored(session_id, identity, saved, asked, recording=recording)
        else:
            candidate = self._lingering(session_id, identity, asked)
            if saved == "unreachable" and candidate is not None and not candidate.only_here(asked.token):
                candidate = None
        if candidate is None:
            error: ResumeError = "NOT_FOUND"
        elif candidate == "INCOMPLETE":
            error = "INCOMPLETE"
        elif candidate.lost:
            error = "INCOMPLETE" if candidate.connection.overflowed else "EXPIRED"
        else:
            candidate.give_way()
            if candidate.resume(socket, asked.last_seq):
                candidate.become(identity)
                self.residents.make_current(candidate)
                self.decide(candidate)
                self.resumes["recovered"] += 1
                return candidate
            error = "INCOMPLETE"
        self.resumes["lost"] += 1
        return error

    def _lingering(self, session_id: str, identity: Identity, asked: Resume) -> LiveSession | None:
        """The requested session. It need not be the newest: another socket may have started one in between and got no further."""
        same = [live for live in self._of(session_id) if _same(live, asked)]
        mine = [live for live in same if live.identity.user_id == identity.user_id]
        return min(mine, key=lambda live: live.lost, default=None)

    def _restored(
        self, session_id: str, identity: Identity, saved: SavedSession, asked: Resume, *, recording: bool
    ) -> LiveSession | Literal["INCOMPLETE"] | None:
        """The session as another replica left it, without a socket. INCOMPLETE: part of what its client missed is gone.

        None: the record can't be used.
        """
        self._drop_claim(session_id, saved.writer.name)
        try:
            live = self._restore(session_id, identity, saved, asked)
        except Exception:
            log.exception("session %s could not be restored from its record", session_id)
            return None
        if live is None:
            return "INCOMPLETE"
        if recording:
            self._start_recording(live)
        return live

    def _restore(self, session_id: str, identity: Identity, saved: SavedSession, asked: Resume) -> LiveSession | None:
        now = asyncio.get_running_loop().time()
        connection = ServerConnection.restore(
            saved.snapshot, asked.last_seq, now, self._limits, unix_offset_s=time.time() - now
        )
        if connection is None:
            return None
        live = LiveSession(
            session_id, identity, connection, self._provided, self._desk, self.group, self._wakes, self._away
        )
        live.resume_tokens, live.opened_at = [saved.head.resume_token], saved.head.opened_at
        self._keep_journal(live, saved)
        live.lost = True  # until it is complete: if this fails half-way, the sweep ends it
        self.residents.add(live)
        live.restore(saved.lanes)
        live.lost, live.as_recorded = False, True
        self.resumes["elsewhere"] += 1
        return live

    # --- news from the store and other replicas ---

    def write_anew(self) -> None:
        """Write all sessions again: the store's records may be old or gone."""
        for live in self:
            if live.journal is not None:
                live.journal.write_anew()

    def on_claimed(self, session_id: str, writer: str) -> None:
        """Another replica, or another socket of this one, continues the session from that writer's record."""
        self._drop_claim(session_id, writer)
        for live in self._of(session_id):
            if live.journal is not None and live.journal.writer.name == writer:
                live.on_refused("taken")

    def decide(self, live: LiveSession) -> None:
        """The client uses this epoch: others cannot be resumed any more, here at once, elsewhere from its next write on."""
        for other in self._of(live.session_id):
            if other is not live:
                other.lost = True
        if live.journal is not None:
            live.journal.decide()

    def on_begun_anew(self, session_id: str) -> None:
        """The client uses another epoch than before. Only the store knows which, because news may arrive late."""
        for live in self._of(session_id):
            if live.journal is not None:
                live.journal.changed()

    # --- the end ---

    def give_up(self, resident: Resident) -> None:
        """End a session of this dialect that waits for its client, because the user's other sessions need the room."""
        if isinstance(resident, LiveSession):
            resident.lose()

    async def sweep(self) -> None:
        """End sessions that can no longer be resumed, and keep the records of silent ones. Runs until cancelled."""
        for sweeps in itertools.count(1):
            await asyncio.sleep(SWEEP_S)
            if self._store is not None and (sweeps % REFRESH_SWEEPS == 0 or self._store.silent_s > GO_AHEAD_S):
                self._refresh_records()
            self._drop_old_claims()
            for live in [live for live in self._away if live.lost]:
                await self._end(live)

    def _refresh_records(self) -> None:
        for live in self:
            if live.journal is not None and not (live.lost and live.socket is None):
                live.journal.refresh()

    def _drop_old_claims(self) -> None:
        oldest = asyncio.get_running_loop().time() - CLAIM_S
        for session_id, claims in list(self._claims.items()):
            for name in [name for name, (_, at) in claims.items() if at < oldest]:
                self._drop_claim(session_id, name)

    async def _end(self, live: LiveSession) -> None:
        self.residents.remove(live)
        await live.close()
        self._away.pop(live, None)

    async def close(self) -> None:
        """End all sessions."""
        for live in list(self):
            await self._end(live)


def _same(live: LiveSession, asked: Resume) -> bool:
    """True if the token belongs to this session."""
    return any(hmac.compare_digest(token.encode(), asked.token.encode()) for token in live.resume_tokens)


def _announced(limits: Limits) -> dict[str, int | float]:
    return {
        "channels": limits.channels,
        "text_bytes": limits.text_bytes,
        "frame_bytes": limits.frame_bytes,
        "commands_per_s": limits.commands_per_s,
        "audio_bytes_per_s": limits.audio_bytes_per_s,
    }
