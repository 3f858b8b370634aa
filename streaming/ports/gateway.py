"""What lanes are given: the nine services, and the parts of the gateway that they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.ports.call import CallContext, ServiceError
    from streaming.ports.executors import Executor
    from streaming.ports.memory import Memory
    from streaming.ports.mind import Action, IntentRecognizer, Planner, Safety, Verdict
    from streaming.ports.observation import Observation
    from streaming.ports.once import RunOnce
    from streaming.ports.voice import SpeechToText, TextToSpeech


@dataclass(frozen=True, slots=True)
class Services:
    """The nine services."""

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
    """A risky action that waits for its user; `expires_at` is RFC 3339."""

    confirmation_id: str
    expires_at: str
    action_hash: str = ""  # see `streaming.agent.actions.hash_of`
    by_voice: bool = True  # False: a spoken yes does not count
    sentence: str = ""  # the question in words
    explanation: str = ""  # what would be done, why it is asked, and the question once more


class Confirmations(Protocol):
    """Questions to the user. Any of the user's sockets, on any replica, or a REST call may settle them."""

    async def create(
        self, action: Action, verdict: Verdict, context: CallContext, description: str = ""
    ) -> Confirmation:
        """Ask for approval. `description`: the plan's words for the action."""

    def answerable(self, verdict: Verdict, context: CallContext) -> bool:
        """False if the user has no way to approve that: there is no use in asking."""

    async def decision(self, confirmation_id: str) -> bool | None:
        """Wait for the answer; None if it expired."""

    async def settle(
        self,
        confirmation_id: str,
        context: CallContext,
        *,
        approve: bool,
        action_hash: str | None = None,
        via: Literal["message", "voice"] = "message",
    ) -> bool:
        """Answer a question. False if the user has no such open question, or may not approve it in this way.

        Raises ServiceError ACTION_CHANGED if the approval names another action than the question, FORBIDDEN if the user's roles do not
        allow the action, UNAVAILABLE if another replica may have asked it and cannot be reached now. The question stays open then.
        """


class Permissions(Protocol):
    """Which roles may use which executor."""

    def may_execute(self, executor: str, roles: Sequence[str]) -> bool:
        """True if these roles may use that executor."""


class Quota(Protocol):
    """The limit of a user's operations: one count, whichever way they are asked for.

    `once`: a name that the work keeps when it goes on at another replica, where it is not counted again.
    """

    async def take(self, action: Action, context: CallContext, once: str = "") -> None:
        """Count one run of an executor's action. Raises ServiceError RATE_LIMITED."""

    def refusal(self, action: Action, context: CallContext) -> ServiceError | None:
        """What `take` would raise, if that is known without asking anybody."""

    async def take_turn(self, context: CallContext, once: str) -> None:
        """Count a turn whose words were given as text. Raises ServiceError RATE_LIMITED."""

    async def take_speech(self, context: CallContext, once: str) -> None:
        """Count a text that is spoken, of a `tts` channel. Raises ServiceError RATE_LIMITED."""


class Meter(Protocol):
    """Takes the lanes' measurements."""

    def turn_stage(self, stage: str, seconds: float) -> None:
        """A stage of a turn ended this long after the end of speech."""


class Span(Protocol):
    """One piece of work in a trace. `traceparent` (W3C Trace Context) is passed to the work below it."""

    traceparent: str

    def end(self, error: BaseException | None = None) -> None:
        """End the span, with an error if the work failed."""


class Tracer(Protocol):
    """Starts spans."""

    def span(self, name: str, parent: str = "") -> Span:
        """Start a span below a traceparent, or a new trace."""


@dataclass(frozen=True, slots=True)
class LaneServices:
    """Everything that lanes use."""

    services: Services
    confirmations: Confirmations
    permissions: Permissions
    meter: Meter
    tracer: Tracer
    observation: Observation
    once: RunOnce | None = None  # None: repeated commands are not recognised
    quota: Quota | None = None  # None: nothing is counted
    sheds_progress: Callable[[], bool] = lambda: False  # True if the load is too high to report progress


# The id of a telephone's caller begins so, and no token's may: it would have the caller's memory.
PHONE_USERS = "phone:"


@dataclass(frozen=True, slots=True)
class Identity:
    """A token's user, or a telephone's caller.

    `roles` are sorted. `expires_at`: Unix seconds; None for a development session without a token. `token_id` is what a sign-out
    revokes: the token's `jti`, else a digest of its header and claims. All tokens of one sign-in share `family`.
    """

    user_id: str
    username: str
    roles: tuple[str, ...]
    expires_at: float | None = None
    token_id: str = ""
    family: str = ""

    @property
    def signed_out_by(self) -> tuple[str, ...]:
        """What revokes the token: its own id, and that of its family if it has one. A token has at least the first."""
        return tuple(name for name in (self.token_id, self.family) if name)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a user's rate limit; the oldest counted request leaves the window in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: float


class Desk(Protocol):
    """The gateway, as seen by a session."""

    async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        """Run an operation by name; returns its answer as JSON. Raises ServiceError."""

    def refusal(self, op: str, identity: Identity) -> ServiceError | None:
        """Why `call` would refuse, if that is known without asking anybody."""

    async def identify(self, token: str) -> Identity:
        """The token's identity. Raises ServiceError."""

    def service_states(self) -> dict[str, Literal["up", "down"]]:
        """The state of each service."""

    def service_engines(self) -> dict[str, str]:
        """The engine of each service that reports one: {"tts": "hibari (heart)"}."""
