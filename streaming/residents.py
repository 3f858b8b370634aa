"""Live sessions as the gateway sees them, whatever dialect they speak.

Drain, statistics, limits, revocation, observers and recordings use `Resident`. The gateway gives a reason (`Departure`), never
a message or close code; the dialect decides what to tell the client.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from streaming.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming.ports import Identity, LiveWatching


class Departure(Enum):
    """Why the gateway closes a session's socket."""

    RESTART = "the gateway restarts"
    SIGNED_OUT = "the token was signed out"


class Tap(Protocol):
    """Sees all data on a session's wire, tokens included. Its methods return at once and never raise."""

    def received(self, data: str | bytes, at_s: float) -> None:
        """A message or frame was received. `at_s`: the loop's time."""

    def sent(self, batch: list[str | bytes], at_s: float) -> None:
        """A batch was sent. After a resume, the messages that the client missed are reported again."""

    def ended(self) -> None:
        """The session ended."""


class Resident(Protocol):
    """One live session. It may have no socket while it waits for its client to return."""

    @property
    def session_id(self) -> str:
        """The id given by the client."""

    @property
    def identity(self) -> Identity:
        """The session's user. Tokens and roles may be renewed; the user stays."""

    @property
    def opened_at(self) -> float:
        """Unix seconds."""

    @property
    def connected(self) -> bool:
        """True if it has a socket."""

    @property
    def busy(self) -> bool:
        """True while a lane or command is running."""

    @property
    def must_finish(self) -> bool:
        """True while it does work that another replica could not continue."""

    @property
    def channels(self) -> Counter[str]:
        """Open channels, by kind."""

    @property
    def traffic(self) -> Traffic:
        """Its traffic over all sockets."""

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting to be sent."""

    @property
    def audio_bytes_dropped(self) -> int:
        """Bytes of audio that became stale before they were sent."""

    @property
    def taps(self) -> list[Tap]:
        """The taps on its wire."""

    def announce_drain(self, reconnect_after_ms: int) -> None:
        """Tell the client that the gateway is shutting down, and when to reconnect."""

    async def hand_over(self) -> None:
        """Save what other replicas need, then stop the work here without telling the client."""

    def leave(self, reason: Departure) -> None:
        """Close the socket. The client may return, here or elsewhere."""

    def dismiss(self, reason: Departure) -> None:
        """Close the socket and end the session, which cannot be resumed."""

    def watch(self, *, audio: bool) -> LiveWatching:
        """What the session receives and sends from now on, without secrets, until it ends or moves away."""


Recorder: TypeAlias = "Callable[[Resident], Tap | None]"
"""Makes the tap that records a session; returns None if recordings cannot be written."""


class Residents:
    """All live sessions of this process, by session id and by user.

    An id has one *current* session. Earlier ones with the same id may linger until they can no longer be resumed.
    """

    def __init__(self) -> None:
        self._current: dict[str, Resident] = {}
        self._by_session: dict[str, dict[Resident, None]] = {}  # a dict, to keep the order
        self._by_user: dict[str, dict[Resident, None]] = {}
        self.beside: Counter[str] = Counter()  # sockets beside sessions' own, by user
        self._ended = Traffic()
        self._dropped_by_ended = 0

    def __iter__(self) -> Iterator[Resident]:
        """All sessions; they may come and go during the iteration."""
        return iter([resident for same_id in self._by_session.values() for resident in same_id])

    def __len__(self) -> int:
        """The number of session ids in use."""
        return len(self._by_session)

    def current(self, session_id: str) -> Resident | None:
        """The current session of this id."""
        return self._current.get(session_id)

    def of_session(self, session_id: str) -> list[Resident]:
        """All sessions of this id, lingering ones included."""
        return list(self._by_session.get(session_id, ()))

    def of_user(self, user_id: str) -> list[Resident]:
        """All sessions of this user, lingering ones included."""
        return list(self._by_user.get(user_id, ()))

    def count_of_user(self, user_id: str) -> int:
        """How many sessions `of_user` would return."""
        return len(self._by_user.get(user_id, ()))

    def add(self, resident: Resident) -> None:
        """Add a session that is not, or not yet, the current one of its id."""
        self._by_session.setdefault(resident.session_id, {})[resident] = None
        self._by_user.setdefault(resident.identity.user_id, {})[resident] = None

    def make_current(self, resident: Resident) -> None:
        """Make it the current session of its id; the previous one lingers."""
        self.add(resident)
        self._current[resident.session_id] = resident

    def remove(self, resident: Resident) -> None:
        """Remove an ended session; its figures stay in the totals."""
        _discard(self._by_session, resident.session_id, resident)
        _discard(self._by_user, resident.identity.user_id, resident)
        if self._current.get(resident.session_id) is resident:
            del self._current[resident.session_id]
        self._ended.add(resident.traffic)
        self._dropped_by_ended += resident.audio_bytes_dropped

    def of_ended(self) -> tuple[Traffic, int]:
        """Traffic of the sessions that have ended, and the bytes of their audio that became stale before they were sent."""
        return replace(self._ended), self._dropped_by_ended


def _discard(index: dict[str, dict[Resident, None]], key: str, resident: Resident) -> None:
    same = index.get(key, {})
    same.pop(resident, None)
    if not same:
        index.pop(key, None)
