"""Watching live sessions on whichever replica they live: found through the news, streamed over a channel of their own.

The replica that has the session publishes as long as somebody listens; Redis returns the number of listeners for each message.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from server.roles import ADMIN
from server.shared.redis_errors import RedisDownError, RedisRefusedError
from server.shared.state import PREFIX
from server.shared.views import Views
from streaming.ports import Missed, SeenAudio, SeenFrame, SeenMessage, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from server.net.loop_turns import LoopTurns
    from server.shared.redis_link import RedisLink
    from server.shared.redis_subscription import Subscription
    from server.shared.state import State
    from streaming.ports import CallContext, Seen, Side, Watching
    from streaming.residents import Resident, Residents

ASKED = "observe.asked"
CONNECT_S = 2.0  # for a Redis that answers; a hanging one is not waited for
ANSWER_S = 0.5  # a replica that has the session answers within this time
MOST_ELSEWHERE = 16  # of one user at a time, as many as a socket has channels: each holds a connection to Redis
SILENCE_S = 5.0  # so long an observer waits for a message, twice: a replica that has the session says something within
LISTENS_S = 1.0  # of a silent session, whose observer may have left: each holds a tap and a task
FRAME_HEAD = 5  # bytes before a frame's payload: 1 if it is the last one, then its position in milliseconds
HELLO = b"h"
OVER = b"o"
FULL = b"x"  # the user observes too much over there


class ReplicaObservation:
    """Implements `streaming.ports.Observation`. `link` is None if this process is alone."""

    def __init__(
        self, state: State, link: RedisLink | None, tasks: asyncio.TaskGroup, residents: Residents, turns: LoopTurns
    ) -> None:
        self._state = state
        self._link = link
        self._tasks = tasks
        self._residents = residents
        self._views = Views(tasks, turns)
        self._watched: set[tuple[str, str]] = set()  # sessions watched at other replicas, with their channels
        self._elsewhere: Counter[str] = Counter()  # subscriptions that each user has

    async def watch(self, session_id: str, context: CallContext, *, audio: bool) -> Watching | None:
        resident = self._here(session_id, context.user_id, admin=ADMIN in context.roles)
        if resident is not None:
            return self._views.watch(resident, session_id, context.user_id, audio=audio)
        return await self._watch_elsewhere(session_id, context, audio=audio)

    def _here(self, session_id: str, user_id: str, *, admin: bool) -> Resident | None:
        """The session, if it lives here and the user may observe it."""
        resident = self._residents.current(session_id)
        return resident if resident is not None and (admin or resident.identity.user_id == user_id) else None

    # --- a session that is elsewhere ---

    async def _watch_elsewhere(self, session_id: str, context: CallContext, *, audio: bool) -> Watching | None:
        if self._link is None or not self._link.up:
            return None
        user_id = context.user_id
        if self._elsewhere[user_id] >= MOST_ELSEWHERE:
            raise ServiceError(
                "RESOURCE_EXHAUSTED", f"at most {MOST_ELSEWHERE} sessions at other replicas are observed at once"
            )
        channel = f"{PREFIX}watch:{secrets.token_hex(12)}"
        subscription = self._link.subscription()
        self._elsewhere[user_id] += 1
        try:
            await subscription.open(channel, CONNECT_S)
            await self._state.publish(
                ASKED,
                session_id=session_id,
                user_id=user_id,
                admin=ADMIN in context.roles,
                audio=audio,
                channel=channel,
            )
            async with asyncio.timeout(ANSWER_S):
                while (answer := await subscription.next(SILENCE_S)) not in {HELLO, FULL}:
                    pass
        except (RedisDownError, TimeoutError):
            await self._close(subscription, user_id)
            return None
        except BaseException:  # cancelled: the subscription holds a connection until it is closed
            await self._close(subscription, user_id)
            raise
        if answer == FULL:
            await self._close(subscription, user_id)
            raise ServiceError("RESOURCE_EXHAUSTED", "too many channels observe at the replica of that session")
        watched = (session_id, channel)
        self._watched.add(watched)

        async def close() -> None:
            self._watched.discard(watched)
            await self._close(subscription, user_id)

        return _SeenElsewhere(subscription, close)

    async def _close(self, subscription: Subscription, user_id: str) -> None:
        """Close in a task of its own, so that it completes even if the caller is cancelled."""
        closing = self._tasks.create_task(self._give_back(subscription, user_id), name="close a subscription")
        await asyncio.shield(closing)

    async def _give_back(self, subscription: Subscription, user_id: str) -> None:
        await subscription.close(CONNECT_S)
        self._elsewhere[user_id] -= 1
        if not self._elsewhere[user_id]:
            del self._elsewhere[user_id]

    def on_moved(self, session_id: str) -> None:
        """Tell local watchers of a session that it moved to another replica, so that they look for it there."""
        for name, channel in self._watched:
            if name == session_id and self._link is not None:
                self._link.submit("PUBLISH", channel, OVER)

    # --- a session that is here, and watched from elsewhere ---

    def on_asked(self, session_id: str, user_id: str, admin: bool, audio: bool, channel: str) -> None:
        """Another replica wants to watch a session. If the session lives here, publish what it sees."""
        resident = self._here(session_id, user_id, admin=admin)
        if resident is not None and self._link is not None:
            try:
                watch = self._views.watch(resident, session_id, user_id, audio=audio)
            except ServiceError:
                self._link.submit("PUBLISH", channel, FULL)
            else:
                self._tasks.create_task(self._show(watch, channel), name=f"observed {session_id}")

    async def _show(self, watch: Watching, channel: str) -> None:
        """Publish until nobody listens any more or the session ends. HELLO also asks, in silence, whether anybody still does."""
        assert self._link is not None, "else nobody could have asked"
        said = HELLO
        with suppress(RedisDownError, RedisRefusedError):
            async with aclosing(watch):
                while await self._link.call("PUBLISH", channel, said) and said != OVER:
                    try:
                        async with asyncio.timeout(LISTENS_S):
                            seen = await anext(watch, None)
                        said = OVER if seen is None else _packed(seen)
                    except TimeoutError:
                        said = HELLO


class _SeenElsewhere:
    """Implements `streaming.ports.Watching`, until the session ends or moves here, or Redis is lost.

    No generator: closing one that has not begun closes nothing, and one that is dropped is closed at some time by the loop.
    """

    def __init__(self, subscription: Subscription, close: Callable[[], Coroutine[None, None, None]]) -> None:
        self._subscription = subscription
        self._close: Callable[[], Coroutine[None, None, None]] | None = close

    def __aiter__(self) -> _SeenElsewhere:
        return self

    async def __anext__(self) -> Seen:
        """A replica that died says nothing, so two silent intervals in a row are an end too."""
        quiet = False
        with suppress(RedisDownError):
            while self._close is not None and (data := await self._subscription.next(SILENCE_S)) != OVER:
                if data is None and quiet:
                    break
                quiet = data is None
                if data and data != HELLO:
                    return _unpacked(data)
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            await close()


_KINDS: dict[bytes, type[SeenAudio | Missed]] = {b"a": SeenAudio, b"l": Missed}
# The message in it is JSON already, and stays as it is.
_HEADS: dict[Side, str] = {
    "client": 'm{"direction":"client","message":',
    "server": 'm{"direction":"server","message":',
}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


def _packed(seen: Seen) -> bytes:
    if isinstance(seen, SeenFrame):
        return b"f" + bytes([seen.last]) + seen.pts_ms.to_bytes(4, "big") + seen.payload
    if isinstance(seen, SeenMessage):
        return f"{_HEADS[seen.direction]}{seen.text}}}".encode()
    return _LETTERS[type(seen)] + json.dumps(asdict(seen), separators=(",", ":")).encode()


def _unpacked(data: bytes) -> Seen:
    kind, rest = data[:1], data[1:]
    if kind == b"f":
        return SeenFrame(rest[FRAME_HEAD:], int.from_bytes(rest[1:FRAME_HEAD], "big"), rest[0] == 1)
    if kind == b"m":
        text = data.decode()
        direction, head = next(each for each in _HEADS.items() if text.startswith(each[1]))
        return SeenMessage(direction, text[len(head) : -1])
    return _KINDS[kind](**json.loads(rest))
