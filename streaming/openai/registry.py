"""All sessions of this dialect in this process."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from streaming.openai.duplex import Duplex
from streaming.openai.live import RealtimeSession
from streaming.openai.room import MOST_BYTES, HearingRoom
from streaming.openai.settings import Voices
from streaming.ports import CallContext, ServiceError
from streaming.rfc6455 import NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.openai.closing import RealtimeSocket
    from streaming.ports import Allowance, Identity, LaneServices
    from streaming.residents import Recorder, Resident, Residents

VOICES_S = 60.0  # time after which the list of voices is refreshed


class RealtimeSessions:
    """The sessions, kept in `residents`; their tasks run in `group`. A session without a socket waits `resume_s` for its client."""

    def __init__(
        self,
        provided: LaneServices,
        group: asyncio.TaskGroup,
        residents: Residents,
        recorder: Recorder | None = None,
        *,
        resume_s: float = 0.0,
        allowance: Callable[[Identity], Allowance] | None = None,
    ) -> None:
        """`allowance`: what is left of a user's rate limit; None: clients are not told."""
        self._provided = provided
        self._group = group
        self._residents = residents
        self._recorder = recorder
        self._resume_s = resume_s
        self._allowance = allowance
        self._waiting: dict[str, asyncio.TimerHandle] = {}  # sessions without a socket, until they end
        self._voices = Voices()
        self.room = HearingRoom(MOST_BYTES)  # for what waits to be heard
        self._voices_at = -VOICES_S

    async def voices(self, identity: Identity) -> Voices:
        """The available voices; only OpenAI's names while the service is down."""
        now = time.monotonic()
        if now - self._voices_at >= VOICES_S:
            try:
                found = await self._provided.services.tts.voices("", CallContext(identity.user_id, identity.roles))
            except ServiceError:
                return self._voices
            self._voices, self._voices_at = Voices(tuple(voice.id for voice in found)), now
        return self._voices

    def begin(
        self,
        identity: Identity,
        socket: RealtimeSocket,
        voices: Voices,
        *,
        model: str,
        transcription: bool,
        settings: dict[str, Any] | None = None,
        recording: bool = False,
    ) -> RealtimeSession:
        """Start a session on a new socket. `settings`: those of the client secret."""
        live = RealtimeSession(
            identity,
            socket,
            self._provided,
            self._group,
            voices,
            self.room,
            model=model,
            transcription=transcription,
        )
        live.allowance = self._allowance
        live.on_lost = lambda: self._begin_end(live)
        if settings is not None:
            live.settings = {**settings, "id": live.session_id}
        self._enter(live, recording=recording)
        return live

    def begin_duplex(
        self, identity: Identity, socket: RealtimeSocket, voices: Voices, *, recording: bool = False
    ) -> Duplex:
        """Start a session of the Live API on a new socket."""
        live = Duplex(identity, socket, self._provided, self._group, voices, self.room)
        self._enter(live, recording=recording)
        return live

    def _enter(self, live: RealtimeSession, *, recording: bool) -> None:
        tap = self._recorder(live) if recording and self._recorder is not None else None
        if tap is not None:
            live.taps.append(tap)
        self._residents.make_current(live)
        live.begin()

    def duplex(self, session_id: str, identity: Identity) -> Duplex | None:
        """This user's session of the Live API, once it has started."""
        for live in self._residents.of_session(session_id):
            if isinstance(live, Duplex) and live.identity.user_id == identity.user_id and live.resource:
                return live
        return None

    def waiting(self, session_id: str, last_event_id: str, identity: Identity) -> RealtimeSession | None:
        """The user's session with that id, if it can continue after that event."""
        for live in self._residents.of_session(session_id):
            if isinstance(live, RealtimeSession) and live.identity.user_id == identity.user_id:
                return live if live.resumes and live.can_go_on(last_event_id) else None
        return None

    def resume(self, live: RealtimeSession, socket: RealtimeSocket, identity: Identity, last_event_id: str) -> None:
        """Continue the session on its client's new socket. See `waiting`."""
        self._stop_waiting(live)
        live.attach(socket, identity, last_event_id)

    def left(self, live: RealtimeSession, socket: RealtimeSocket, code: int) -> None:
        """The socket is gone. Unless the client closed normally, the session waits for it to return."""
        if live.socket is not socket and not live.lost:
            return  # it continues on another socket
        if live.lost or code == NORMAL or not (self._resume_s and live.resumes):
            self._begin_end(live)
        else:
            live.detach()
            loop = asyncio.get_running_loop()
            self._waiting[live.session_id] = loop.call_later(self._resume_s, self._begin_end, live)

    def _stop_waiting(self, live: RealtimeSession) -> None:
        if (timer := self._waiting.pop(live.session_id, None)) is not None:
            timer.cancel()

    def give_up(self, resident: Resident) -> None:
        """End a session that waits for its client, to make room for the user's other sessions. Ignores other dialects' sessions."""
        if isinstance(resident, RealtimeSession) and not resident.lost:
            self._begin_end(resident)

    def _begin_end(self, live: RealtimeSession) -> None:
        self._stop_waiting(live)
        live.closed()
        self._group.create_task(self._end(live), name="end a session")

    async def _end(self, live: RealtimeSession) -> None:
        self._stop_waiting(live)
        self._residents.remove(live)
        await live.close()

    async def close(self) -> None:
        """End all sessions."""
        for live in [resident for resident in self._residents if isinstance(resident, RealtimeSession)]:
            await self._end(live)
