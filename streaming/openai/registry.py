"""All sessions of this dialect in this process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from streaming.openai.live import LiveSession
from streaming.openai.settings import Voices
from streaming.ports import CallContext, ServiceError

if TYPE_CHECKING:
    import asyncio

    from streaming.openai.live import Socket
    from streaming.ports import Identity, LaneServices
    from streaming.residents import Recorder, Residents

VOICES_S = 60.0  # the voices are asked for again after so long


class Sessions:
    """Sessions live in `residents`, their tasks in `group`."""

    def __init__(
        self, provided: LaneServices, group: asyncio.TaskGroup, residents: Residents, recorder: Recorder | None = None
    ) -> None:
        self._provided = provided
        self._group = group
        self._residents = residents
        self._recorder = recorder
        self._voices = Voices()
        self._voices_at = -VOICES_S

    async def voices(self, identity: Identity) -> Voices:
        """The voices there are; OpenAI's names alone while the service is away."""
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
        socket: Socket,
        voices: Voices,
        *,
        model: str,
        transcription: bool,
        settings: dict[str, Any] | None = None,
        recording: bool = False,
    ) -> LiveSession:
        """A socket has come in. `settings`: of the session, as a client secret was made for."""
        live = LiveSession(
            identity, socket, self._provided, self._group, voices, model=model, transcription=transcription
        )
        if settings is not None:
            live.settings = {**settings, "id": live.session_id}
        tap = self._recorder(live) if recording and self._recorder is not None else None
        if tap is not None:
            live.taps.append(tap)
        self._residents.make_current(live)
        live.begin()
        return live

    def end(self, live: LiveSession) -> None:
        """Its socket is gone."""
        live.closed()
        self._group.create_task(self._end(live), name="end a session")

    async def _end(self, live: LiveSession) -> None:
        self._residents.remove(live)
        await live.close()

    async def close(self) -> None:
        """End all of them."""
        for live in [resident for resident in self._residents if isinstance(resident, LiveSession)]:
            await self._end(live)
