"""What replicas share, as everybody else sees it: see `server.shared.state`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.shared.in_process_state import Listener


class State(Protocol):
    """State shared by all replicas that reach the same Redis. Keys consist of ids and never contain a client's raw text."""

    shared: bool
    """True if a Redis is configured."""

    async def complete(self) -> bool:
        """False while Redis is lost or full, and shortly after: values that other replicas have stored may be only there."""

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
        """Store a value. False if `only_new` and the key exists.

        `owner`: the user whose it is. The memory of a process is shared fairly between them; Redis' keys do not depend on it.
        """

    async def get(self, key: str) -> str | None:
        """The value, or None if it is missing or has expired."""

    async def take(self, key: str, *, closes: bool = False) -> str | None:
        """Remove and return a value; a second caller gets None. For keys that are stored once: see `remove`.

        `closes`: nobody may take it afterwards, even if Redis, which may have it, is away now and the answer is None.
        """

    async def remove(self, key: str, value: str) -> None:
        """Compare and delete: remove the value if it is still this one, however late that is.

        For keys that are stored again by others, who must not lose what they stored: a command may reach Redis when its sender has
        given up waiting, and is sent once more then.
        """

    async def replace(self, key: str, old: str, new: str, ttl_s: float) -> bool:
        """Compare and set: store `new` if the value is `old`; False if it is not."""

    async def add(self, key: str, number: int, ttl_s: float) -> int:
        """Add to a sum that begins with 0 and is forgotten `ttl_s` after its first addition; returns it.

        0 without Redis, where memory is bounded in another way: see `put`.
        """

    async def revoke(self, token_id: str, until: float) -> None:
        """Revoke a token or family. `until`: Unix seconds after which it can be forgotten.

        Listeners on every replica are told `revoked` with token_id and until.
        """

    def revoked(self, *token_ids: str) -> bool:
        """True if any of them is known here to be revoked. No round trip; news from another replica may still be under way."""

    def revocation(self, *token_ids: str) -> Awaitable[bool]:
        """The same, asked of Redis in the round trip that this tick of the event loop shares. Never raises.

        Listeners of this process are told of a revocation that is found in this way.
        """

    async def forget(self, key: str) -> None:
        """Remove a value."""

    async def publish(self, kind: str, **news: Any) -> None:
        """Tell all replicas, this one included."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(kind, news)` for whatever any replica publishes. Returns a function that unsubscribes."""

    def write_anew(self) -> None:
        """Redis may have lost its newest data, or all: it is told again what was done here just before, and all revocations."""

    async def ping(self) -> float | None:
        """Round trip of a write to Redis in ms; None if it is lost. Raises RedisRefusedError if it takes none, as a full one does."""
