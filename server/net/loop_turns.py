"""Connections that have much to do take turns, so that those with little to do need not wait for them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

ArgumentT = TypeVar("ArgumentT")

# A connection should stop after this long. What arrives waits for the rest of an iteration of the loop and for two more; a
# microphone's frame costs a tenth of a millisecond.
TURN_S = 0.0002
# A turn that took longer had dear messages: so long for each message that it might have, with the tasks that it started, and never longer
# than LONG_TURN_S.
DEAR_S = 0.0002
LONG_TURN_S = 0.001
# Iterations of the loop without a turn behind each turn and its tasks: what arrived meanwhile is read in the first, and its tasks run in
# the second, so that it waits for one turn and not for two.
RESTS = 2
PAUSE = 3.0  # after a dear turn the others have so many times its length: all crowds together get a quarter of the loop
LONGEST_PAUSE_S = 0.02
# The share of the loop, in CPU time, with which a connection goes ahead of those that had more: at once that of 200 frames of audio
# or 50 commands, and each second about twice what a talker of OpenAI's dialect takes.
SHARE_S = 0.005
SHARE_S_PER_S = 0.02
# In a turn: reports of a listener come in threes. A command costs up to a millisecond, with its tasks.
FIRST_MESSAGES: Final = 3
MOST_MESSAGES = 64


class Share:
    """What one connection has had of the loop."""

    __slots__ = ("_at", "_had_s", "most", "spent")

    def __init__(self) -> None:
        self._had_s, self._at = 0.0, time.monotonic()
        self.spent = False  # it had more than its share
        self.most = FIRST_MESSAGES  # of the next turn; 1: its messages are dear

    def run(self, work: Callable[[ArgumentT], None], argument: ArgumentT) -> None:
        """Call `work(argument)`, and count what it took."""
        began = time.thread_time()
        work(argument)
        self.take(time.thread_time() - began)

    def take(self, seconds: float) -> None:
        """Count CPU time."""
        now = time.monotonic()
        self._had_s = max(0.0, self._had_s - SHARE_S_PER_S * (now - self._at)) + seconds
        self._at = now
        self.spent = self._had_s > SHARE_S

    def learn(self, turn_s: float) -> bool:
        """Take more messages in the next turn, fewer if this one was too long, or one if it was dear. Returns whether it was."""
        dear = turn_s > min(DEAR_S * self.most, LONG_TURN_S)
        if dear:
            self.most = 1
        elif turn_s > TURN_S:
            self.most = max(1, int(self.most * TURN_S / turn_s))
        else:
            self.most = min(2 * self.most, MOST_MESSAGES)
        return dear


class LoopTurns:
    """One turn of one connection in each iteration of the loop, first come, first served. Those with some of their share left go ahead.

    A turn is measured with the first steps of the tasks that it started, in CPU time of this thread: neither what other processes take nor
    what other connections do is its fault.
    After a dear one the loop belongs to others for a while, those who go ahead among them.
    """

    def __init__(self) -> None:
        self._ahead: deque[tuple[Callable[[int], None], Share]] = deque()
        self._waiting: deque[tuple[Callable[[int], None], Share]] = deque()
        self._turning = False  # a turn is being measured
        self._began = self._spent_s = 0.0  # in CPU time: its messages or its tasks; the first part of it
        self._not_before = 0.0  # the next one of those who wait, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # the next turn, on the loop's clock
        self._looked = self._looked_at = 0.0  # at what this thread was given, on the loop's clock and in CPU time
        self._stalled_s = 0.0

    def time(self) -> float:
        """The loop's clock, in seconds, without the time in which there was a crowd and this process did not get the processor."""
        return asyncio.get_running_loop().time() - self._stalled_s

    @property
    def crowd(self) -> int:
        """How many connections share the turns, with the one whose turn it is."""
        return len(self._ahead) + len(self._waiting) + 1

    def wait(self, go_on: Callable[[int], None], share: Share) -> None:
        """Call `go_on(most)` when its turn comes. It should stop after TURN_S or so many messages, and wait again.

        The turn is counted in `share`.
        """
        share.take(0.0)  # it may have been silent since it was counted last
        if not self._turning and self._timer is None:
            self._looked, self._looked_at = asyncio.get_running_loop().time(), time.thread_time()
        self._ahead.append((go_on, share))
        if not self._turning:
            self._go_on()

    def _go_on(self) -> None:
        """Whoever goes ahead does not wait for the end of a pause."""
        if self._timer is not None:
            self._timer.cancel()
        self._look()
        self._due = max(0.0 if self._goes_ahead() else self._not_before, self._looked)
        self._timer = asyncio.get_running_loop().call_at(self._due, self._next)

    def _look(self) -> None:
        """Count what passed without this thread since the last look. Between turns the loop has something to do, but for pauses."""
        now, at = asyncio.get_running_loop().time(), time.thread_time()
        since = max(self._looked, min(self._due, now))
        self._stalled_s += max(0.0, now - since - (at - self._looked_at))
        self._looked, self._looked_at = now, at

    def _goes_ahead(self) -> bool:
        """True if somebody does. Whose share is spent waits with the others."""
        while self._ahead and self._ahead[0][1].spent:
            self._waiting.append(self._ahead.popleft())
        return bool(self._ahead)

    def _next(self) -> None:
        self._timer, self._turning = None, True
        go_on, share = (self._ahead if self._goes_ahead() else self._waiting).popleft()
        # What the turn starts runs in the next iteration, between these two.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._begin_tasks)
        self._look()
        self._began = time.thread_time()
        try:
            go_on(share.most)
        finally:
            self._spent_s = time.thread_time() - self._began
            loop.call_soon(self._over, share)

    def _begin_tasks(self) -> None:
        self._began = time.thread_time()

    def _over(self, share: Share) -> None:
        spent_s = self._spent_s + time.thread_time() - self._began
        dear = share.learn(spent_s)
        share.take(spent_s)
        if dear:
            self._not_before = asyncio.get_running_loop().time() + min(PAUSE * spent_s, LONGEST_PAUSE_S)
        self._rest(RESTS)

    def _rest(self, left: int) -> None:
        """Leave so many iterations of the loop to others."""
        if left:
            asyncio.get_running_loop().call_soon(self._rest, left - 1)
            return
        self._turning = False
        if self._ahead or self._waiting:
            self._go_on()
