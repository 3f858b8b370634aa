"""All live sessions of this process: who may enter which, takeover, resume, and the end of those nobody came back to."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streaming.live import LiveSession, Traffic, rfc3339
from streaming.protocol import events as heard
from streaming.protocol import messages as wire
from streaming.protocol.server import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.live import Socket
    from streaming.ports import Desk, Identity, LaneServices
    from streaming.protocol.limits import Limits

ResumeError = Literal["NOT_FOUND", "EXPIRED", "INCOMPLETE"]

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

    def __init__(self, registry: Sessions, socket: Socket, live: LiveSession, before: LiveSession | None) -> None:
        self._registry = registry
        self._socket = socket
        self._before = before  # what a first message `session.resume` may still take up
        self._clock = asyncio.get_running_loop().time
        self.live = live

    def feed_text(self, text: str) -> None:
        """One text message."""
        self.live.received(text)
        self._registry.traffic.received(text)
        for event in self.live.connection.receive_text(text, self._clock()):
            if type(event) is heard.ResumeRequested:
                self._resume(Resume(event.resume_token, event.last_seq))
                return
            self.live.handle(event)
        if self._before is not None and self.live.session.busy:
            self._let_go()
        self.live.wake()

    def feed_binary(self, data: bytes) -> None:
        """One frame."""
        self.live.received(data)
        self._registry.traffic.received(data)
        for event in self.live.connection.receive_binary(data, self._clock()):
            self.live.handle(event)
        self.live.wake()

    def data_to_send(self) -> list[str | bytes]:
        """What leaves now; nothing once another socket speaks for the session."""
        if self.live.socket is not self._socket:
            return []
        batch = self.live.data_to_send()
        self._registry.traffic.sent(batch)
        return batch

    def closed(self, *, for_good: bool) -> None:
        """The socket is gone. `for_good`: the client said it is done, nobody will come back."""
        self.live.detach(self._socket)
        if for_good and self.live.socket is None:
            self.live.lost = True

    def _resume(self, resume: Resume) -> None:
        """The first message decides: the session goes on where the last socket left it, or begins anew."""
        fresh, before = self.live, self._before
        self._before = None
        error = self._registry.take_up(before, resume, self._socket)
        if error is None and before is not None:
            fresh.detach(self._socket)
            self._registry.replace(fresh, before)
            self.live = before
        else:
            self._registry.greet(fresh, error)
            if before is not None:
                before.lost = True

    def _let_go(self) -> None:
        """The client began anew: what it left behind ends."""
        if self._before is not None:
            self._before.lost = True
            self._before = None


class Sessions:
    """By session id. `group` holds the tasks of all of them."""

    def __init__(self, limits: Limits, provided: LaneServices, desk: Desk, group: asyncio.TaskGroup) -> None:
        self._limits = limits
        self._provided = provided
        self._desk = desk
        self._group = group
        self._live: dict[str, LiveSession] = {}
        self._leaving: set[LiveSession] = set()  # replaced, and perhaps still to be resumed
        self.traffic = Traffic()
        self._dropped_before = 0
        self.resumes: dict[str, int] = {"recovered": 0, "lost": 0}

    def __iter__(self) -> Iterator[LiveSession]:
        return iter((*self._live.values(), *self._leaving))

    def enter(self, session_id: str, identity: Identity, socket: Socket, resume: Resume | None) -> Line:
        """A socket comes in. Raises ForbiddenError when the session is another user's."""
        before = self._live.get(session_id)
        if before is not None and before.lost:
            before = None
        if before is not None and before.identity.user_id != identity.user_id:
            raise ForbiddenError
        if before is not None and before.socket is not None:
            self._take_over(before)
        if resume is not None and self.take_up(before, resume, socket) is None and before is not None:
            before.become(identity)
            return Line(self, socket, before, None)
        return self._begin(session_id, identity, socket, before, resume)

    def _begin(
        self, session_id: str, identity: Identity, socket: Socket, before: LiveSession | None, resume: Resume | None
    ) -> Line:
        now = asyncio.get_running_loop().time()
        connection = ServerConnection(secrets.token_hex(8), now, self._limits, unix_offset_s=time.time() - now)
        live = LiveSession(session_id, identity, connection, self._provided, self._desk, self._group)
        self._live[session_id] = live
        if before is not None:
            self._leaving.add(before)
            before.lost = resume is not None
        live.attach(socket)
        self.greet(live, self._why_not(before, resume) if resume is not None else None)
        return Line(self, socket, live, before if resume is None else None)

    def _take_over(self, live: LiveSession) -> None:
        """Another socket of the same user speaks for the session from now on."""
        socket = live.socket
        if socket is not None:
            live.detach(socket)
            socket.end(4510, "another socket took the session")

    def take_up(self, live: LiveSession | None, resume: Resume, socket: Socket) -> ResumeError | None:
        """Go on with a session; returns why not."""
        error = self._why_not(live, resume)
        if error is None and live is not None:
            if live.socket is not None:
                self._take_over(live)
            if not live.resume(socket, resume.last_seq):
                live.lost = True
                error = "INCOMPLETE"
        self.resumes["recovered" if error is None else "lost"] += 1
        return error

    def _why_not(self, live: LiveSession | None, resume: Resume) -> ResumeError | None:
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
                user=wire.User(user_id=identity.user_id, username=identity.username, roles=identity.roles),
                expires_at=rfc3339(identity.expires_at),
                heartbeat_ms=round(limits.heartbeat_s * 1000),
                resume_window_ms=round(limits.resume_window_s * 1000),
                limits=_announced(limits),
                services=self._desk.service_states(),
            )
        )
        live.wake()

    async def sweep(self) -> None:
        """Let go of sessions that nobody can come back to; runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
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
