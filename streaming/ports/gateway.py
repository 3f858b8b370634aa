"""What a lane is provided with: the nine services, and what the gateway itself lends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.ports.call import CallContext
    from streaming.ports.executors import Executor
    from streaming.ports.memory import Memory
    from streaming.ports.mind import Action, IntentRecognizer, Planner, Safety, Verdict
    from streaming.ports.observation import Observation
    from streaming.ports.once import RunOnce
    from streaming.ports.voice import SpeechToText, TextToSpeech


@dataclass(frozen=True, slots=True)
class Services:
    """The nine, as every lane gets them."""

    stt: SpeechToText
    tts: TextToSpeech
    intent: IntentRecognizer
    planner: Planner
    safety: Safety
    browser: Executor
    os: Executor
    search: Executor
    memory: Memory


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A risky action waiting for its user; `expires_at` is RFC 3339."""

    confirmation_id: str
    expires_at: str
    by_voice: bool = True  # False: a spoken yes does not count


class Confirmations(Protocol):
    """Questions that any socket of the user, on any replica, or a REST call may settle."""

    async def create(self, action: Action, verdict: Verdict, context: CallContext) -> Confirmation:
        """Ask."""

    def asked_in(self, context: CallContext) -> str | None:
        """The newest question that a lane of this session still waits for."""

    async def decision(self, confirmation_id: str) -> bool | None:
        """Wait for the answer; None when it expired."""

    async def settle(
        self, confirmation_id: str, context: CallContext, *, approve: bool, via: Literal["message", "voice"] = "message"
    ) -> bool:
        """Answer; False when the user has no such open question, or may not approve it in this way."""


class Permissions(Protocol):
    """Role rules, as the operations declare them."""

    def may_execute(self, executor: str, roles: Sequence[str]) -> bool:
        """May somebody with these roles use that executor?"""


class Meter(Protocol):
    """Where lanes leave their measurements."""

    def turn_stage(self, stage: str, seconds: float) -> None:
        """A stage of a turn was done so long after the end of speech."""


class Span(Protocol):
    """One piece of work in a trace; `traceparent` (W3C Trace Context) goes to whoever works below it."""

    traceparent: str

    def end(self, error: BaseException | None = None) -> None:
        """It is done, or failed."""


class Tracer(Protocol):
    """Where spans come from."""

    def span(self, name: str, parent: str = "") -> Span:
        """Begin one below a traceparent, or a new trace."""


@dataclass(frozen=True, slots=True)
class LaneServices:
    """Everything a lane works with."""

    services: Services
    confirmations: Confirmations
    permissions: Permissions
    meter: Meter
    tracer: Tracer
    observation: Observation
    once: RunOnce | None = None  # None: every command is taken for the first
    sheds_progress: Callable[[], bool] = lambda: False  # is there too much to do to tell how far a task is?


@dataclass(frozen=True, slots=True)
class Identity:
    """The user whom a token speaks for.

    A token's `roles` are sorted. `expires_at` is in Unix seconds; None for a development session without a token. `token_id` is what
    a sign-out revokes: the token's `jti`, else a digest of its header and claims. All tokens of one sign-in share `family`.
    """

    user_id: str
    username: str
    roles: tuple[str, ...]
    expires_at: float | None = None
    token_id: str = ""
    family: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a user has left of the limit of requests; in `reset_s` seconds the oldest one counted leaves the window."""

    limit: int
    remaining: int
    reset_s: float


class Desk(Protocol):
    """What a session asks of the gateway around it."""

    async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        """Run an operation by name; its answer as JSON. Raises ServiceError."""

    async def identify(self, token: str) -> Identity:
        """Whose token is it? Raises ServiceError."""

    def service_states(self) -> dict[str, Literal["up", "down"]]:
        """Up or down, by service."""

    def service_engines(self) -> dict[str, str]:
        """What does the work, by service, of those that tell it: {"tts": "hibari (heart)"}."""
