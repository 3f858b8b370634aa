"""The gateway: the typed set of collaborators that every handler gets. `server.lifecycle` builds it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from server.config import Settings
    from server.identity.auth import Authenticator
    from server.sessions.hub import Realtime
    from server.shared.confirmations import ConfirmationStore
    from server.shared.idempotency import IdempotencyStore
    from server.shared.once import TaskReceipts
    from server.shared.rate_limits import RateLimiter
    from server.shared.state import State
    from server.telemetry.metrics import Metrics
    from server.telemetry.tracing import Tracer
    from server.upstream import Upstream
    from streaming.ports import Services


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One session as `/ws/stats` shows it; `opened_at` is RFC 3339."""

    session_id: str
    user_id: str
    connected: bool
    opened_at: str
    channels: tuple[str, ...] = ()
    bytes_received: int = 0
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Counts of this process's live sessions. `channels` by kind, `dropped` by class."""

    sockets: int = 0
    sessions: int = 0
    channels: dict[str, int] = field(default_factory=dict)
    bytes_received: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    live: tuple[LiveSession, ...] = ()


class SessionRegistry(Protocol):
    """The live sessions, as far as REST looks at them."""

    def stats(self, user_id: str | None) -> SessionStats:
        """Of one user's sessions, or of all (None)."""


class NoSessions:
    """Before there are any."""

    def stats(self, user_id: str | None) -> SessionStats:  # noqa: ARG002 - nobody has any
        """Nothing."""
        return SessionStats()


@dataclass(slots=True)
class Gateway:
    """Everything a request may need. `loop_lag_s` is measured by the lifecycle, `draining` set by it."""

    settings: Settings
    services: Services
    upstream: Upstream
    authenticator: Authenticator
    limiter: RateLimiter
    state: State
    metrics: Metrics
    confirmations: ConfirmationStore
    idempotency: IdempotencyStore
    once: TaskReceipts
    tracer: Tracer
    sessions: SessionRegistry = field(default_factory=NoSessions)
    realtime: Realtime = field(init=False)  # set by the lifecycle, which builds it around the gateway
    draining: bool = False
    loop_lag_s: float = 0.0
    requests: set[asyncio.Task[None]] = field(default_factory=set)  # being served; the drain waits until there are none
    started_at: float = field(default_factory=time.time)  # Unix time

    @property
    def requests_running(self) -> int:
        """How many are being served."""
        return len(self.requests)
