"""An observer's view of a live session: everything on its wire, as far as the observer keeps up. Dialects interpret it.

The session never waits: the data is put into a bounded queue, by reference. What does not fit is counted and reported.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Protocol

from streaming.ports import Missed, SeenFrame, SeenMessage
from streaming.strict_json import MAX_VALUES, NotJsonError, UnsafeJsonError, parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ports import Seen, Side
    from streaming.residents import Tap

MAX_DEPTH = 63  # nesting of a message: it is told one level down, and clients accept 64
MAX_WAITING_BYTES = 1_048_576  # of one observer, with what Python adds: seconds of a busy session with its audio
ITEM_BYTES = 256  # of the objects around a message or frame that waits


class Tapped(Protocol):
    """The live session, as seen by observers."""

    taps: list[Tap]


class Watch(ABC):
    """A tap on one session and what it saw (`seen`), until the session ends or moves to another replica."""

    def __init__(self, watched: Tapped) -> None:
        self._watched = watched
        self._waiting: deque[tuple[Side, str | bytes]] = deque()
        self._read: deque[tuple[Seen, int]] = deque()  # to be taken, each with the memory that it takes
        self._bytes = 0
        self._missed_messages = self._missed_bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        watched.taps.append(self)

    @abstractmethod
    def wants(self, data: str | bytes) -> bool:
        """True if the observer asked for this kind of data."""

    @abstractmethod
    def read(self, side: Side, data: str | bytes) -> Sequence[Seen]:
        """What the observer is shown of it, secrets hidden; empty for what it must not see or can't read."""

    def received(self, data: str | bytes, at_s: float) -> None:  # noqa: ARG002 - a live copy needs no times
        self._put("client", data)

    def sent(self, batch: list[str | bytes], at_s: float) -> None:  # noqa: ARG002 - as above
        for data in batch:
            self._put("server", data)

    def ended(self) -> None:
        self._over = True
        self._wake.set()

    def _put(self, side: Side, data: str | bytes) -> None:
        if not self.wants(data):
            return
        n_bytes = held_bytes(data)
        if self._bytes + n_bytes > MAX_WAITING_BYTES:
            if isinstance(data, str):
                self._missed_messages += 1
            else:
                self._missed_bytes += len(data)
            return
        self._waiting.append((side, data))
        self._bytes += n_bytes
        self._wake.set()

    # --- the observer's side: no generator, as closing one that has not begun closes nothing ---

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Seen:
        """The items in order; `Missed` marks a gap."""
        while not self._read:
            if not await self.more():
                raise StopAsyncIteration
            self._read_next()
        return self._read.popleft()[0]

    async def more(self) -> bool:
        """Wait until there is something to take. False once the session has ended and all was taken."""
        while not self._waiting and not self._read:
            if self._over:
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    def take(self, most: int) -> list[tuple[Seen, int]]:
        """What the next `most` messages and frames show, and how much memory each takes."""
        while self._waiting and most > 0:
            self._read_next()
            most -= 1
        taken = list(self._read)
        self._read.clear()
        return taken

    def _read_next(self) -> None:
        side, data = self._waiting.popleft()
        self._bytes -= held_bytes(data)
        self._read.extend((seen, _bytes_of(seen)) for seen in self.read(side, data))
        if not self._waiting and (self._missed_messages or self._missed_bytes):
            self._read.append((Missed(self._missed_messages, self._missed_bytes), 0))
            self._missed_messages = self._missed_bytes = 0

    async def aclose(self) -> None:
        """Remove the tap, and drop what was not taken."""
        if self in self._watched.taps:
            self._watched.taps.remove(self)
        self._waiting.clear()
        self._read.clear()
        self.ended()


def held_bytes(data: str | bytes) -> int:
    """The memory that this takes while it waits. A character takes up to four bytes."""
    return getsizeof(data) + ITEM_BYTES


def _bytes_of(seen: Seen) -> int:
    match seen:
        case SeenMessage():
            return held_bytes(seen.text)
        case SeenFrame():
            return held_bytes(seen.payload)
        case _:
            return ITEM_BYTES


def json_object(side: Side, text: str) -> dict[str, Any] | None:
    """The JSON object in `text`; None if it is none, or one that cannot be passed on: a client is told of both.

    What the session itself sends may have any number of values, as a search of memory does.
    """
    try:
        return parse_object(text, MAX_DEPTH, len(text) if side == "server" else MAX_VALUES)
    except (NotJsonError, UnsafeJsonError):
        return None
