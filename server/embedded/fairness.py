"""Fair shares of what a service has little of: nobody waits for all that another user has asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from server.embedded.callers import current_user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

T = TypeVar("T")
MANY_USERS = 256  # then those who owe nothing are forgotten


class Shares:
    """Start-time fair queueing (Goyal, Vin and Cheng, 1996): who has had less begins sooner.

    Costs are in any one unit. A user who asks for nothing gathers no claims, and owes nothing once the others have had as much.
    """

    def __init__(self) -> None:
        self._now = 0.0  # the start of the newest piece of work that was begun
        self._ends: dict[str, float] = {}

    def start(self, user: str) -> float:
        """When the user's next work starts, on the clock of the shares."""
        return max(self._now, self._ends.get(user, 0.0))

    def begin(self, user: str, cost: float, start: float | None = None) -> float:
        """Work of the user begins now; returns its end. `start`: if it has waited, what `start` said then."""
        start = self.start(user) if start is None else start
        self._now = max(self._now, start)
        if len(self._ends) >= MANY_USERS:
            self._ends = {other: end for other, end in self._ends.items() if end > self._now}
        self._ends[user] = start + cost
        return start + cost

    def correct(self, user: str, more: float) -> None:
        """Work that has begun cost so much more than was said then, or less."""
        self._ends[user] = self._ends.get(user, self._now) + more


class _Waiter(NamedTuple):
    turn: asyncio.Future[None]
    cost: float


class _Queue:
    """What one user waits for. `start`: of the next of it, which does not move while the user waits."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.urgent: deque[_Waiter] = deque()
        self.usual: deque[_Waiter] = deque()

    def __bool__(self) -> bool:
        return bool(self.urgent or self.usual)


class FairTurns:
    """A few places. A user's urgent work precedes the user's other work, and that of users who had at most `ahead` less."""

    def __init__(self, at_once: int, ahead: float = 0.0) -> None:
        self._free = at_once
        self._ahead = ahead
        self._shares = Shares()
        self._waiting: dict[str, _Queue] = {}

    @asynccontextmanager
    async def turn(self, at_most_s: float) -> AsyncIterator[None]:
        """Wait for the turn of the task's user. It is over with the block, or after that time, although the block may go on."""
        over = False

        def end() -> None:
            nonlocal over
            if not over:
                over = True
                self.give_back()

        await self.take(1.0)
        timer = asyncio.get_running_loop().call_later(at_most_s, end)
        try:
            yield
        finally:
            timer.cancel()
            end()

    async def take(self, cost: float, *, urgent: bool = False) -> None:
        """Wait for a place, to be given back."""
        user = current_user()
        if self._free:
            self._free -= 1
            self._shares.begin(user, cost)
            return
        waiter = _Waiter(asyncio.get_running_loop().create_future(), cost)
        if user not in self._waiting:
            self._waiting[user] = _Queue(self._shares.start(user))
        queue = self._waiting[user]
        waiters = queue.urgent if urgent else queue.usual
        waiters.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if not waiter.turn.cancelled():  # the turn had just come
                self.give_back()
            elif waiter in waiters:
                waiters.remove(waiter)
                if not queue:
                    del self._waiting[user]
            raise

    def give_back(self) -> None:
        """Give a freed place to the next waiter."""
        while self._waiting:
            user, queue = min(self._waiting.items(), key=lambda item: self._rank(item[1]))
            waiter = (queue.urgent or queue.usual).popleft()
            if not queue:
                del self._waiting[user]
            if not waiter.turn.done():  # else it was cancelled just now
                queue.start = self._shares.begin(user, waiter.cost, queue.start)
                waiter.turn.set_result(None)
                return
        self._free += 1

    def _rank(self, queue: _Queue) -> float:
        return queue.start - (self._ahead if queue.urgent else 0.0)


class FairThreads:
    """A few threads, shared by such turns."""

    def __init__(self, at_once: int, name: str, ahead: float = 0.0) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)
        self._turns = FairTurns(at_once, ahead)
        self._closed = False

    async def run(self, work: Callable[[], T], cost: float = 1.0, *, urgent: bool = False) -> T:
        """Do this in a thread when it is the turn of the task's user. A cancel does not stop what has begun.

        Once the threads have ended, so has the service: its calls are cancelled, and gRPC may not have come to this one yet.
        """
        await self._turns.take(cost, urgent=urgent)
        if self._closed:
            raise asyncio.CancelledError
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    def _ended(self, running: asyncio.Future[Any]) -> None:
        """After a cancel too, when the thread has actually ended. How it failed is nobody's business any more then: not the log's either."""
        if not running.cancelled():
            running.exception()
        self._turns.give_back()

    def close(self) -> None:
        """End the threads. What has not begun is dropped."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
