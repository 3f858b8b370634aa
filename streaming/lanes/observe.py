"""`observe`: a live copy of another session, on whichever replica it is."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from streaming.lanes.base import Lane
from streaming.ports import SeenFrame, ServiceError

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup, SpeechPosition
    from streaming.ports import Seen

GONE_S = 2.0  # a session that moves to another replica is back within this time
LOOK_AGAIN_S = 0.05


class ObserveLane(Lane):
    """Watches one of the user's own sessions; for an admin, anybody's. Read-only. Whoever loses a role has to ask again."""

    def __init__(self, setup: LaneSetup, session_id: str, *, audio: bool) -> None:
        super().__init__(setup)
        if session_id == self._context.session_id:
            raise ServiceError("INVALID_ARGUMENT", "a session can't observe itself")
        self._session_id = session_id
        self._audio = audio
        self._stopped = False  # by a token with fewer roles

    async def run(self) -> None:
        """Run until the session ends; follow it when it moves to another replica. Raises ServiceError NOT_FOUND."""
        if not await self._watch():
            raise ServiceError("NOT_FOUND", "there is no live session of that name")
        while await self._watch_again():
            pass
        if self._stopped:
            raise ServiceError("NOT_FOUND", "there is no live session of that name for the role you have now")

    async def _watch_again(self) -> bool:
        give_up_at = self._clock() + GONE_S
        while self._clock() < give_up_at:
            await asyncio.sleep(LOOK_AGAIN_S)
            if await self._watch():
                return True
        return False

    async def _watch(self) -> bool:
        """Pass on what the session sees, until a role is lost. False if the session is not found."""
        roles = set(self._context.roles)
        watch = await self._provided.observation.watch(self._session_id, self._context, audio=self._audio)
        if watch is None:
            return False
        async with aclosing(watch):
            async for seen in watch:
                await self._outlet.caught_up()
                if isinstance(seen, SeenFrame):
                    await self._outlet.room(len(seen.payload))
                self._stopped = not roles.issubset(self._context.roles)
                if self._stopped:
                    break
                self._pass_on(seen)
        return True

    def _pass_on(self, seen: Seen) -> None:
        if isinstance(seen, SeenFrame):
            self._outlet.play(seen.payload, seen.pts_ms, last=seen.last)
        else:
            self._outlet.tell(seen)

    def save(self) -> dict[str, Any]:
        """An observer has no state: it only needs to watch again."""
        return {}

    def restore(self, saved: dict[str, Any], position: SpeechPosition) -> None: ...
