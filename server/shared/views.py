"""What observers see of the sessions of this process: read once for each session, and passed on to all who watch it.

What a session's wire has is read and passed on in turns of the event loop (`LoopTurns`), which are measured with what the observers do
with it. So of a session with much to show and many who watch it some is missed, and neither it nor others wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from server.net.loop_turns import Share
from streaming.ports import Missed, SeenAudio, SeenFrame, ServiceError
from streaming.watch import MAX_WAITING_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.net.loop_turns import LoopTurns
    from streaming.ports import LiveWatching, Seen
    from streaming.residents import Resident

MOST_OF_SESSION: Final = (
    8  # observers of one session that a user has, over all sockets and replicas: each message is told to each
)
MOST_OF_USER: Final = 32  # of all sessions of this process: as many as two sockets have channels


class Views:
    """Those who watch sessions of this process, here or from another replica."""

    def __init__(self, tasks: asyncio.TaskGroup, turns: LoopTurns) -> None:
        self._tasks = tasks
        self._turns = turns
        self._views: dict[tuple[Resident, bool], _View] = {}
        self._watching: Counter[tuple[str, ...]] = Counter()  # of each user, and of each user and session

    def watch(self, resident: Resident, session_id: str, user_id: str, *, audio: bool) -> Sight:
        """What this session receives and sends from now on. Raises ServiceError RESOURCE_EXHAUSTED if the user watches too much."""
        if self._watching[user_id, session_id] >= MOST_OF_SESSION:
            raise ServiceError("RESOURCE_EXHAUSTED", f"at most {MOST_OF_SESSION} channels observe a session at once")
        if self._watching[user_id,] >= MOST_OF_USER:
            raise ServiceError("RESOURCE_EXHAUSTED", f"at most {MOST_OF_USER} channels of a user observe at once")
        view = self._views.get((resident, audio))
        if view is None:
            view = self._views[resident, audio] = _View(resident.watch(audio=audio), self._turns)
            self._tasks.create_task(self._show(view, (resident, audio)), name=f"seen of {session_id}")
        counted = ((user_id,), (user_id, session_id))
        self._watching.update(counted)

        async def leave(sight: Sight) -> None:
            self._watching.subtract(counted)
            for key in counted:
                if not self._watching[key]:
                    del self._watching[key]
            del view.sights[sight]
            if not view.sights:
                self._forget(view, (resident, audio))
                await view.watch.aclose()

        sight = Sight(leave)
        view.sights[sight] = None
        return sight

    async def _show(self, view: _View, key: tuple[Resident, bool]) -> None:
        try:
            await view.run()
        finally:
            self._forget(view, key)

    def _forget(self, view: _View, key: tuple[Resident, bool]) -> None:
        if self._views.get(key) is view:
            del self._views[key]


class _View:
    """One session as all see it who watch it with audio, or all who watch it without."""

    def __init__(self, watch: LiveWatching, turns: LoopTurns) -> None:
        self.watch = watch
        self.sights: dict[Sight, None] = {}
        self._turns = turns
        self._share = Share()
        self._sound: SeenAudio | None = None  # of the frames that come now

    async def run(self) -> None:
        """Pass on what is seen until the session ends or moves away, or nobody watches any more."""
        fault: Exception | None = None
        try:
            async with aclosing(self.watch):
                while await self.watch.more():
                    await self._take_turn()
        except Exception as error:  # noqa: BLE001 - each observer fails of it, and nothing else
            fault = error
        finally:
            for sight in self.sights:
                sight.end(fault)

    async def _take_turn(self) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go_on(most: int) -> None:
            if over.done():  # cancelled meanwhile
                return
            try:
                self._pass_on(most)
            except Exception as error:  # noqa: BLE001 - as above
                over.set_exception(error)
            else:
                over.set_result(None)

        self._turns.wait(go_on, self._share)
        await over

    def _pass_on(self, most: int) -> None:
        for seen, n_bytes in self.watch.take(most):
            if isinstance(seen, SeenAudio):
                self._sound = seen
                continue
            for sight in self.sights:
                sight.put(seen, n_bytes, self._sound)


class Sight:
    """Implements `streaming.ports.Watching` for one observer, who may be slow: what does not fit is counted and reported."""

    def __init__(self, leave: Callable[[Sight], Awaitable[None]]) -> None:
        self._leave: Callable[[Sight], Awaitable[None]] | None = leave
        self._waiting: deque[tuple[Seen, int]] = deque()
        self._bytes = 0
        self._told: SeenAudio | None = None
        self._missed_messages = self._missed_bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        self._fault: Exception | None = None

    def put(self, seen: Seen, n_bytes: int, sound: SeenAudio | None) -> None:
        """Keep this, of so many bytes in memory, until it is taken. `sound`: that of frames."""
        if isinstance(seen, Missed):
            self._missed_messages += seen.messages
            self._missed_bytes += seen.audio_bytes
        elif self._bytes + n_bytes > MAX_WAITING_BYTES:
            if isinstance(seen, SeenFrame):
                self._missed_bytes += len(seen.payload)
            else:
                self._missed_messages += 1
        else:
            if isinstance(seen, SeenFrame) and sound is not None and sound is not self._told:
                self._told = sound
                self._waiting.append((sound, 0))  # one for each frame at most, in whose bytes it is counted
            self._waiting.append((seen, n_bytes))
            self._bytes += n_bytes
        self._wake.set()

    def end(self, fault: Exception | None = None) -> None:
        """There is no more. `fault`: the observer's error then."""
        self._over, self._fault = True, fault
        self._wake.set()

    def __aiter__(self) -> Sight:
        return self

    async def __anext__(self) -> Seen:
        """The items in order; `Missed` marks a gap."""
        while not self._waiting:
            if self._missed_messages or self._missed_bytes:
                missed = Missed(self._missed_messages, self._missed_bytes)
                self._missed_messages = self._missed_bytes = 0
                return missed
            if self._fault is not None:
                raise self._fault
            if self._over:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        seen, n_bytes = self._waiting.popleft()
        self._bytes -= n_bytes
        return seen

    async def aclose(self) -> None:
        """See no more, and drop what was not taken."""
        leave, self._leave = self._leave, None
        self._waiting.clear()
        self.end()
        if leave is not None:
            await leave(self)
