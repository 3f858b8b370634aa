"""Live sessions as the gateway around them sees them, whatever dialect they speak.

Drain, statistics, limits, revocation, observers and recordings work on `Resident`. What is said to the client is up to the
dialect: the gateway gives a reason (`Departure`), never a message or a close code.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from streaming.traffic import Traffic

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncGenerator, Callable, Iterator

    from streaming.ports import Identity, Seen


class Departure(Enum):
    """Why the gateway closes a session's socket."""

    RESTART = "the gateway restarts"
    SIGNED_OUT = "the token was signed out"


class Tap(Protocol):
    """Sees everything that crosses one session's wire. It returns at once and never raises. Tokens are not hidden from it."""

    def received(self, data: str | bytes, at_s: float) -> None:
        """A message or frame came in. `at_s`: the loop's time."""

    def sent(self, batch: list[str | bytes], at_s: float) -> None:
        """A batch left. After a resume, what the client had missed is seen again."""

    def ended(self) -> None:
        """The session is over."""


class Resident(Protocol):
    """One live session. It may be without a socket, waiting for its client to come back."""

    @property
    def session_id(self) -> str:
        """The name that its client gave it."""

    @property
    def identity(self) -> Identity:
        """Its user. Tokens and roles may be renewed; the user stays."""

    @property
    def opened_at(self) -> float:
        """Unix seconds."""

    @property
    def connected(self) -> bool:
        """Has it a socket?"""

    @property
    def busy(self) -> bool:
        """Is a lane or a command at work?"""

    @property
    def must_finish(self) -> bool:
        """Is work going on that another replica could not continue?"""

    @property
    def channels(self) -> Counter[str]:
        """Open channels, by kind."""

    @property
    def traffic(self) -> Traffic:
        """What crossed its wire, in all its sockets."""

    @property
    def queued_bytes(self) -> int:
        """Waiting to be sent."""

    @property
    def audio_bytes_dropped(self) -> int:
        """Audio that became stale before it was sent."""

    @property
    def taps(self) -> list[Tap]:
        """Whoever looks at its wire."""

    def announce_drain(self, reconnect_after_ms: int) -> None:
        """Tell the client that the gateway is being stopped, and when to connect again."""

    async def hand_over(self) -> None:
        """Bring what other replicas need up to date, then stop the work here without a word to the client."""

    def leave(self, reason: Departure) -> None:
        """Close the socket. The client may come back, here or elsewhere."""

    def dismiss(self, reason: Departure) -> None:
        """Close the socket and end the session: nobody may come back to it."""

    def watch(self, *, audio: bool) -> AsyncGenerator[Seen]:
        """What it sees and says from now on, secrets hidden, until it ends or moves away."""


Recorder: TypeAlias = "Callable[[Resident], Tap | None]"
"""Makes the tap that records a session; None where nothing can be written."""


class Residents:
    """All live sessions of this process, found by session id and by user.

    An id has one *current* session. Earlier ones of the same id may linger until it is certain that nobody resumes them.
    """

    def __init__(self) -> None:
        self._current: dict[str, Resident] = {}
        self._by_session: dict[str, dict[Resident, None]] = {}  # a dict for its order
        self._by_user: dict[str, dict[Resident, None]] = {}
        self._ended = Traffic()
        self._dropped_by_ended = 0

    def __iter__(self) -> Iterator[Resident]:
        """All of them. Sessions may come and go meanwhile."""
        return iter([resident for same_id in self._by_session.values() for resident in same_id])

    def __len__(self) -> int:
        """How many session ids are in use."""
        return len(self._by_session)

    def current(self, session_id: str) -> Resident | None:
        """The session that speaks for this id."""
        return self._current.get(session_id)

    def of_session(self, session_id: str) -> list[Resident]:
        """All of this id, lingering ones included."""
        return list(self._by_session.get(session_id, ()))

    def of_user(self, user_id: str) -> list[Resident]:
        """All of this user, lingering ones included."""
        return list(self._by_user.get(user_id, ()))

    def add(self, resident: Resident) -> None:
        """A session that does not speak for its id, or not yet."""
        self._by_session.setdefault(resident.session_id, {})[resident] = None
        self._by_user.setdefault(resident.identity.user_id, {})[resident] = None

    def make_current(self, resident: Resident) -> None:
        """From now on it speaks for its id; whichever did so before lingers."""
        self.add(resident)
        self._current[resident.session_id] = resident

    def remove(self, resident: Resident) -> None:
        """It has ended; its figures stay in the totals."""
        _discard(self._by_session, resident.session_id, resident)
        _discard(self._by_user, resident.identity.user_id, resident)
        if self._current.get(resident.session_id) is resident:
            del self._current[resident.session_id]
        self._ended.add(resident.traffic)
        self._dropped_by_ended += resident.audio_bytes_dropped

    def traffic(self) -> Traffic:
        """What crossed all wires since the start."""
        total = Traffic()
        total.add(self._ended)
        for resident in self:
            total.add(resident.traffic)
        return total

    @property
    def audio_bytes_dropped(self) -> int:
        """Audio that became stale before it was sent, since the start."""
        return self._dropped_by_ended + sum(resident.audio_bytes_dropped for resident in self)


def _discard(index: dict[str, dict[Resident, None]], key: str, resident: Resident) -> None:
    same = index.get(key, {})
    same.pop(resident, None)
    if not same:
        index.pop(key, None)
