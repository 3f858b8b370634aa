"""Notices a recogniser that hangs on an open microphone, within three seconds.

A service that reports progress promises (protos/stt.proto) a sign of life every half second while it owes an answer, so its
silence means that it hangs. So does the silence of one that does not even answer the call for a trunk, which every live service
answers or refuses at once. The silence of any other service may mean that nobody speaks.

Checks are counted rather than seconds. If this process itself stood still, that is one check, and what the service sent in the
meantime is read before the next one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 0.5
LOOKS = 5  # checks without a sign of life: 2.5 to 3 seconds, five times what was promised


class GuardedStream(Protocol):
    """A stream that may hang."""

    @property
    def signs(self) -> int:
        """The number of answers so far."""

    @property
    def owed(self) -> bool:
        """True if the service owes an answer."""

    def hung(self) -> None:
        """The stream hangs: end it."""


class HangWatch:
    """Checks all streams of one service with a single timer. `unanswered`: it has not said yet whether it has trunks."""

    def __init__(self, unanswered: Callable[[], bool] = lambda: False) -> None:
        self._unanswered = unanswered
        self.promised = False  # True if this service has reported progress, or has said that it does
        # Answers at the last check, and checks since they changed.
        self._watched: dict[GuardedStream, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: GuardedStream) -> None:
        """Watch a stream from now on."""
        self._watched[stream] = (stream.signs, 0)
        self._set_timer()

    def discard(self, stream: GuardedStream) -> None:
        """The stream has ended."""
        self._watched.pop(stream, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        speaks = self.promised or self._unanswered()
        for stream, (signs, looks) in tuple(self._watched.items()):
            if not speaks or not stream.owed or stream.signs != signs:
                self._watched[stream] = (stream.signs, 0)
            elif looks + 1 < LOOKS:
                self._watched[stream] = (signs, looks + 1)
            else:
                self.discard(stream)
                stream.hung()
        if self._watched:
            self._set_timer()
