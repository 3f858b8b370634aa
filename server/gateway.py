"""The gateway: the typed set of parts that every handler gets. `server.lifecycle` builds it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from server.audio.upload import UploadTurns
from server.audio.upload_room import UploadRoom
from server.net.loop_turns import LoopTurns
from server.net.tick import TickEnd
from server.process.workers import LiveCodecs
from server.telemetry.scrapes import Scrapes
from streaming.wakes import Wakes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.config import Settings
    from server.identity.auth import Authenticator
    from server.net.handshakes import HandshakeMeter
    from server.net.websocket.rounds import ReadRounds
    from server.overload import Overload
    from server.shared.confirmations import ConfirmationStore
    from server.shared.idempotency import IdempotencyStore
    from server.shared.once import RunOnceStore
    from server.shared.rate_limits import RateLimiter
    from server.shared.state import State
    from server.telemetry.metrics import Metrics
    from server.telemetry.tracing import Tracer
    from server.upstream import Upstream
    from streaming.jarvis.registry import Sessions
    from streaming.openai.registry import RealtimeSessions
    from streaming.ports import Services
    from streaming.residents import Residents
    from streaming.twilio.registry import Calls


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session in `/ws/stats`; `opened_at` is RFC 3339."""

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
    live: tuple[SessionRow, ...] = ()


class SessionCounts(Protocol):
    """The live sessions as counted by REST and metrics."""

    def stats(self, user_id: str | None) -> SessionStats:
        """Counts of one user's sessions, or of all (None)."""

    def counts(self) -> tuple[int, int]:
        """Open sockets, and sessions with or without one: of all users, and cheap, because anybody may ask."""

    async def report(self, metrics: Metrics) -> None:
        """Bring the metrics up to date."""


class NoSessions:
    """`SessionCounts` of a gateway without sessions."""

    def stats(self, user_id: str | None) -> SessionStats:  # noqa: ARG002 - nobody has any
        return SessionStats()

    def counts(self) -> tuple[int, int]:
        """None."""
        return 0, 0

    async def report(self, metrics: Metrics) -> None:
        """There is nothing to report."""


@dataclass(slots=True)
class Gateway:
    """Everything that handlers may need. The lifecycle measures `loop_lag_s` and sets `draining`."""

    settings: Settings
    services: Services
    upstream: Upstream
    authenticator: Authenticator
    limiter: RateLimiter
    state: State
    metrics: Metrics
    confirmations: ConfirmationStore
    idempotency: IdempotencyStore
    once: RunOnceStore
    tracer: Tracer
    residents: Residents
    handshakes: HandshakeMeter
    overload: Overload
    sessions: SessionCounts = field(default_factory=NoSessions)
    jarvis: Sessions = field(init=False)  # sessions of the native dialect; set by the lifecycle
    loop_turns: LoopTurns = field(default_factory=LoopTurns)  # of crowded connections
    tick_end: TickEnd = field(default_factory=TickEnd)  # at which sockets write
    wakes: Wakes = field(default_factory=Wakes)  # timers of sockets and sessions
    codecs: LiveCodecs = field(default_factory=LiveCodecs)
    uploads: UploadTurns = field(default_factory=UploadTurns)
    upload_room: UploadRoom = field(default_factory=UploadRoom)
    openai: RealtimeSessions = field(init=False)  # sessions of OpenAI's dialect; likewise
    twilio: Calls = field(init=False)  # telephone calls; likewise
    session_tasks: asyncio.TaskGroup = field(init=False)  # the group of the sockets' and sessions' tasks
    rounds: ReadRounds | None = None  # in which busy sockets are read; set by the lifecycle
    stop_listening: Callable[[], None] = field(init=False)  # take no more connections; set by the lifecycle
    scrapes: Scrapes = field(init=False)  # pages of `/metrics`
    draining: bool = False
    loop_lag_s: float = 0.0
    requests: set[asyncio.Task[None]] = field(default_factory=set)  # requests being served; the drain waits for them
    started_at: float = field(default_factory=time.time)  # Unix time

    def __post_init__(self) -> None:
        """Make what needs the other fields."""
        self.scrapes = Scrapes(self.metrics, self._report)

    async def _report(self, metrics: Metrics) -> None:
        await self.sessions.report(metrics)  # which are set later

    @property
    def requests_running(self) -> int:
        """Number of requests being served."""
        return len(self.requests)
