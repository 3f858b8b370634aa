"""Notices a recogniser that hangs on an open microphone, within three seconds.

A service that tells its progress has promised (protos/stt.proto) to show a sign of life every half second while it owes an
answer. So silence of such a service means that it hangs. Silence of any other service may mean that nobody speaks.

Looks are counted, not seconds: when this process itself stood still, its first look afterwards is one look, and what the
service had sent meanwhile is read before the next.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

LOOK_S = 0.5
LOOKS = 5  # without a sign of life: 2.5 to 3 seconds, five times what was promised


class Watched(Protocol):
    """A stream that may hang."""

    @property
    def signs(self) -> int:
        """How many answers came so far."""

    @property
    def owed(self) -> bool:
        """Does the service owe an answer?"""

    def hung(self) -> None:
        """It hangs: end it."""


class HangWatch:
    """Looks at all streams of one service, with one timer for all of them."""

    def __init__(self) -> None:
        self.promised = False  # has this service shown that it tells its progress?
        self._watched: dict[Watched, tuple[int, int]] = {}  # signs at the last look, looks since they changed
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: Watched) -> None:
        """Watch it from now on."""
        self._watched[stream] = (stream.signs, 0)
        self._set_timer()

    def discard(self, stream: Watched) -> None:
        """It is over."""
        self._watched.pop(stream, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        for stream, (signs, looks) in tuple(self._watched.items()):
            if not self.promised or not stream.owed or stream.signs != signs:
                self._watched[stream] = (stream.signs, 0)
            elif looks + 1 < LOOKS:
                self._watched[stream] = (signs, looks + 1)
            else:
                self.discard(stream)
                stream.hung()
        if self._watched:
            self._set_timer()
