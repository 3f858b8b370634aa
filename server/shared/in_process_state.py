"""The shared state of a gateway without Redis, or one that has lost it: bounded memory of this process."""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Listener = Callable[[str, dict[str, Any]], None]

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Above either, the entries that expire first are evicted.
MAX_ENTRIES = 100_000
ENTRY_CHARS = 300  # what an entry takes besides its text, roughly
MAX_CHARS = 64 * 1024 * 1024  # stored answers are kept for a day and may be screenshots
ANSWERS, SECRETS, QUESTIONS = "idempotency:", "secret:", "confirmation:"
# These keys have room of their own, as they are many and long: they evict no tickets or token families.
ROOMY = (ANSWERS, SECRETS, QUESTIONS)


class Expiring(Generic[T]):
    """Values that expire. `now` and `ends` are seconds of one clock. Holds at most `max_entries`, and texts of `max_chars`."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_chars: int = MAX_CHARS) -> None:
        self._values: dict[str, tuple[float, T]] = {}
        self._chars = 0
        self._max_chars = max_chars
        self._ends: list[tuple[float, str]] = []  # a heap; replaced or taken values stay in it until they expire
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str, now: float) -> T | None:
        """A value that has not expired."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > now else None

    def put(self, key: str, value: T, ends: float, now: float, owner: str = "") -> None:
        """Store or replace a value. `owner`: see `Shared`."""
        self._drop(key)
        self._add(key, value, ends, owner)
        heapq.heappush(self._ends, (ends, key))
        while self._ends and self._ends[0][0] <= now:
            self._forget_first()
        while self._values and self._is_too_full:
            self._make_room()
        if len(self._ends) > 2 * len(self._values) + 64:  # most entries are of replaced values
            self._ends = [(end, name) for name, (end, _) in self._values.items()]
            heapq.heapify(self._ends)

    @property
    def _is_too_full(self) -> bool:
        return len(self._values) > self._max_entries or self._chars > self._max_chars

    def _make_room(self) -> None:
        """Evict one value."""
        self._forget_first()

    def _add(self, key: str, value: T, ends: float, owner: str) -> None:  # noqa: ARG002 - all have one room
        self._values[key] = (ends, value)
        self._chars += _chars(value)

    def _forget_first(self) -> None:
        end, key = heapq.heappop(self._ends)
        found = self._values.get(key)
        if found is not None and found[0] == end:
            self._drop(key)

    def _drop(self, key: str) -> tuple[float, T] | None:
        found = self._values.pop(key, None)
        if found is not None:
            self._chars -= _chars(found[1])
        return found

    def pop(self, key: str, now: float) -> T | None:
        """Remove and return a value."""
        found = self._drop(key)
        return found[1] if found is not None and found[0] > now else None

    def items(self, now: float) -> list[tuple[str, float, T]]:
        """Key, expiry and value of everything that has not expired."""
        return [(key, ends, value) for key, (ends, value) in self._values.items() if ends > now]


def _chars(value: object) -> int:
    return len(value) if isinstance(value, str) else 0


class Shared(Expiring[str]):
    """Whoever takes most of a full room loses the oldest of their own values."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_chars: int = MAX_CHARS) -> None:
        super().__init__(max_entries, max_chars)
        self._owner: dict[str, str] = {}  # of each key
        self._owned: dict[str, dict[str, None]] = {}  # keys of each owner, the oldest first
        self._standing: dict[
            str, tuple[int, int, str]
        ] = {}  # of each owner: minus their weight, a number, and the owner
        self._heaviest: list[tuple[int, int, str]] = []  # a heap of them, some outdated
        self._number = 0  # of equally heavy owners, whose weight changed last comes last

    def _add(self, key: str, value: str, ends: float, owner: str) -> None:
        super()._add(key, value, ends, owner)
        self._owner[key] = owner
        self._owned.setdefault(owner, {})[key] = None
        self._weigh(owner, ENTRY_CHARS + len(value))

    def _drop(self, key: str) -> tuple[float, str] | None:
        found = super()._drop(key)
        if found is not None:
            owner = self._owner.pop(key)
            del self._owned[owner][key]
            self._weigh(owner, -ENTRY_CHARS - len(found[1]))
        return found

    def _weigh(self, owner: str, more: int) -> None:
        weight = more - self._standing.get(owner, (0,))[0]
        if not weight:
            del self._standing[owner], self._owned[owner]
            return
        self._number += 1
        standing = self._standing[owner] = (-weight, self._number, owner)
        heapq.heappush(self._heaviest, standing)
        if len(self._heaviest) > 2 * len(self._standing) + 64:  # most are outdated
            self._heaviest = list(self._standing.values())
            heapq.heapify(self._heaviest)

    def _make_room(self) -> None:
        while self._standing.get(self._heaviest[0][2]) is not self._heaviest[0]:
            heapq.heappop(self._heaviest)
        owner = self._heaviest[0][2]
        self._drop(next(iter(self._owned[owner])))


class LocalState:
    """`server.shared.state.State` for this process only. `clock`: Unix seconds."""

    shared = False

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        max_entries: int = MAX_ENTRIES,
        max_chars: int = MAX_CHARS,
    ) -> None:
        self._clock = clock
        self._values: Expiring[str] = Expiring(max_entries, max_chars)
        self._roomy = Shared(max_entries, max_chars)
        self._revoked: Expiring[None] = Expiring()
        self._known_revoked: set[str] = set()
        self._listeners: list[Listener] = []

    async def complete(self) -> bool:
        return True

    # --- values ---

    def _holder(self, key: str) -> Expiring[str]:
        return self._roomy if key.startswith(ROOMY) else self._values

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
        now = self._clock()
        if only_new and self._holder(key).get(key, now) is not None:
            return False
        self._holder(key).put(key, value, now + ttl_s, now, owner)
        return True

    async def get(self, key: str) -> str | None:
        return self._holder(key).get(key, self._clock())

    async def take(self, key: str, *, closes: bool = False) -> str | None:  # noqa: ARG002 - it has all values
        return self._holder(key).pop(key, self._clock())

    async def remove(self, key: str, value: str) -> None:
        if await self.get(key) == value:
            await self.take(key)

    async def replace(self, key: str, old: str, new: str, ttl_s: float) -> bool:
        now = self._clock()
        if self._holder(key).get(key, now) != old:
            return False
        self._holder(key).put(key, new, now + ttl_s, now)
        return True

    async def add(self, _key: str, _number: int, _ttl_s: float) -> int:
        return 0

    # --- revocations ---

    async def revoke(self, token_id: str, until: float) -> None:
        self.note_revoked(token_id, until)
        await self.publish("revoked", token_id=token_id, until=until)

    def note_revoked(self, token_id: str, until: float) -> None:
        """Record a revocation without announcing it."""
        self._revoked.put(token_id, None, until, self._clock())
        self._known_revoked.add(token_id)
        if len(self._known_revoked) > 2 * len(self._revoked) + 64:
            self._known_revoked = {key for key, _, _ in self._revoked.items(self._clock())}

    def revocations(self) -> list[tuple[str, float]]:
        """All that are known here, and until when each counts."""
        return [(token_id, until) for token_id, until, _ in self._revoked.items(self._clock())]

    def revoked(self, *token_ids: str) -> bool:
        return not self._known_revoked.isdisjoint(token_ids)

    def revocation(self, *token_ids: str) -> Awaitable[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer.set_result(self.revoked(*token_ids))
        return answer

    async def forget(self, key: str) -> None:
        self._holder(key).pop(key, self._clock())

    # --- news ---

    async def publish(self, kind: str, **news: Any) -> None:
        self.tell(kind, news)

    def tell(self, kind: str, news: dict[str, Any]) -> None:
        """Call all listeners, even if one of them fails."""
        for listener in tuple(self._listeners):
            try:
                listener(kind, news)
            except Exception:
                log.exception("a listener to news of other replicas failed", kind=kind)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def write_anew(self) -> None:
        """Nothing gets lost here."""

    async def ping(self) -> float | None:
        return None
