"""What sessions without a record share: those of other dialects, which no other replica can continue."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from streaming.long_text import LongText
from streaming.traffic import Traffic

if TYPE_CHECKING:
    from streaming.domain import LaneEvent
    from streaming.ports import Identity
    from streaming.residents import Departure, Tap


class UnrecordedOutlet:
    """An `Outlet` without record, credit and sound; derived classes add what they have."""

    def tell(self, event: LaneEvent) -> None:
        """Tell the client nothing."""

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Play nothing."""

    def play_at_once(self, frame: bytes, pts_ms: int) -> bool:  # noqa: ARG002 - as in the protocol
        """False: frames go through the queue."""
        return False

    def has_room(self, n_bytes: int) -> bool:  # noqa: ARG002 - for derived classes
        """True if `room` would not wait now."""
        return True

    async def room(self, n_bytes: int) -> None:
        """Wait until there is room for sound."""

    async def caught_up(self) -> None:
        """Wait until the queue is short."""
        await self.room(0)

    def receipt(self) -> None:
        """Nobody could repeat lost speech."""

    async def recorded(self) -> bool:
        """True: there is no record to wait for."""
        return True

    def taken(self, n_bytes: int) -> None:
        """The client has no credit that it could get back."""

    def interrupt(self) -> None:
        """There is no sound to drop."""


class UnrecordedResident(ABC):
    """A `Resident` and the writer's source, but for what is said on the wire."""

    def __init__(self, session_id: str, identity: Identity) -> None:
        self.session_id = session_id
        self.identity = identity
        self.opened_at = time.time()
        self.traffic = Traffic()
        self.taps: list[Tap] = []
        self._clock = asyncio.get_running_loop().time

    def announce_drain(self, reconnect_after_ms: int) -> None:  # noqa: B027 - a default
        """Does nothing: the dialects have no such message, and clients learn it from the close code."""

    async def hand_over(self) -> None:  # noqa: B027 - a default
        """Does nothing: no part of it can continue elsewhere."""

    @abstractmethod
    def leave(self, reason: Departure) -> None:
        """Close the socket and end the session."""

    def dismiss(self, reason: Departure) -> None:
        """The same, as it would not go on without its socket."""
        self.leave(reason)

    def must_be_saved(self, batch: list[str | bytes]) -> bool:  # noqa: ARG002 - part of the writer's interface
        """False: there is no record."""
        return False

    async def saved(self, batch: list[str | bytes]) -> list[str | bytes]:
        """The batch, unchanged."""
        return batch

    def said(self, text: str) -> None:
        """Show the taps what was in no batch: the last words of the socket itself."""
        self._note_sent([text])

    def _note_received(self, data: str | bytes | LongText) -> None:
        """Count a message, and show it to the taps."""
        self.traffic.received(data)
        if self.taps:
            shown, now = data.decode() if isinstance(data, LongText) else data, self._clock()
            for tap in self.taps:
                tap.received(shown, now)

    def _note_sent(self, batch: list[str | bytes]) -> None:
        """The same for a batch."""
        self.traffic.sent(batch)
        if self.taps and batch:
            now = self._clock()
            for tap in self.taps:
                tap.sent(batch, now)

    def _end_taps(self) -> None:
        for tap in self.taps:
            tap.ended()
        self.taps.clear()
