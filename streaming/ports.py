"""What the lanes need from the services, in the lanes' own words.

Nothing here knows gRPC: `server/upstream` implements these protocols, and a test may hand a lane anything that does.
Audio is 16-bit little-endian mono PCM throughout. Every call raises `ServiceError` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence


class ServiceError(Exception):
    """A service refused, failed or could not be reached.

    `code` is a stable UPPER_SNAKE word: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, DEADLINE_EXCEEDED, UNAVAILABLE,
    CIRCUIT_OPEN, RESOURCE_EXHAUSTED, CANCELLED, INTERNAL, … (gRPC's names, and CIRCUIT_OPEN). `message` is for people.
    """

    def __init__(
        self, code: str, message: str, *, service: str, retryable: bool = False, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(f"{service}: {code}: {message}")
        self.code = code
        self.message = message
        self.service = service
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who asks, and under which trace: travels as gRPC metadata. `timeout_ms` shortens the service's own deadline."""

    user_id: str
    roles: tuple[str, ...] = ()
    session_id: str = ""
    request_id: str = ""
    traceparent: str = ""
    timeout_ms: int | None = None


# --- M2 speech-to-text ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it lies, in milliseconds since the stream (STT) or the utterance (TTS) began."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class RecognitionConfig:
    """How to listen. `sample_rate_hz` is that of the PCM handed to `send_audio`."""

    language: str = "en-US"
    sample_rate_hz: int = 16_000
    interim: bool = True
    endpointing: bool = True
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak `at_ms` of audio after the stream's beginning."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The utterance ended; its `FinalTranscript` follows."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class InterimTranscript:
    """What has been understood so far; the first `stable_chars` characters will not change again."""

    text: str
    stable_chars: int


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """One utterance as text; empty when it held no words."""

    text: str
    confidence: float
    start_ms: int
    end_ms: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """The speaker has probably finished; `text` may be acted on provisionally."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The speaker went on after an `EagerEnd`."""

    at_ms: int


RecognitionEvent = SpeechStarted | SpeechStopped | InterimTranscript | FinalTranscript | EagerEnd | SpeechResumed


class RecognitionStream(Protocol):
    """One open microphone. Audio goes in without waiting; what has not left yet is counted by `on_taken`."""

    def send_audio(self, pcm: bytes) -> None:
        """Queue whole samples. Frames that arrive while a write is under way leave together in the next message."""

    def commit(self) -> None:
        """End the utterance here (push-to-talk)."""

    def end(self) -> None:
        """No more audio; what is left is still recognised."""

    def cancel(self) -> None:
        """Stop now; the iterator ends without an error."""

    def __aiter__(self) -> AsyncIterator[RecognitionEvent]:
        """Events in order until the service has answered all audio; raises ServiceError when it breaks."""


class SpeechToText(Protocol):
    """M2."""

    def recognize(
        self, config: RecognitionConfig, context: CallContext, on_taken: Callable[[int], None]
    ) -> RecognitionStream:
        """Open a stream. `on_taken(bytes)` is called as audio leaves for the service: the microphone's credit."""


# --- M3 text-to-speech ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SynthesisConfig:
    """How to speak. Empty voice and language: the service's default."""

    voice: str = ""
    speed: float = 1.0
    language: str = ""


@dataclass(frozen=True, slots=True)
class SynthesisStarted:
    """First event: the rate of all audio that follows."""

    sample_rate_hz: int
    voice: str


@dataclass(frozen=True, slots=True)
class SynthesisAudio:
    """The next piece of PCM."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class SynthesisWords:
    """Where words lie in the utterance's audio."""

    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class SynthesisDone:
    """Last event."""

    duration_ms: int


SynthesisEvent = SynthesisStarted | SynthesisAudio | SynthesisWords | SynthesisDone


class SynthesisStream(Protocol):
    """One utterance being spoken. Not reading it holds the service back (HTTP/2 flow control)."""

    def send_text(self, text: str) -> None:
        """Queue a piece of text."""

    def end(self) -> None:
        """No more text."""

    def cancel(self) -> None:
        """Stop the synthesis now; the iterator ends without an error."""

    def __aiter__(self) -> AsyncIterator[SynthesisEvent]:
        """Events in order; raises ServiceError when the service breaks."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that can be asked for by `id`."""

    id: str
    name: str
    language: str
    gender: str
    sample_rate_hz: int


class TextToSpeech(Protocol):
    """M3."""

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> SynthesisStream:
        """Open an utterance."""

    async def voices(self, language: str, context: CallContext) -> Sequence[Voice]:
        """Voices of a language, or all."""


# --- M4 intent, M5 planner, M6 safety ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IntentGuess:
    """An intent with its entities; `confidence` 0 to 1."""

    intent: str
    confidence: float
    entities: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent(IntentGuess):
    """What M4 made of an utterance; `unknown` when nothing fits."""

    alternatives: tuple[IntentGuess, ...] = ()


@dataclass(frozen=True, slots=True)
class IntentInfo:
    """An intent that can be recognised."""

    name: str
    description: str
    examples: tuple[str, ...]
    entities: tuple[str, ...]


class IntentRecognizer(Protocol):
    """M4."""

    async def recognize(self, text: str, language: str, context: CallContext) -> Intent:
        """The most likely intent of `text`."""

    async def intents(self, language: str, context: CallContext) -> Sequence[IntentInfo]:
        """All that can be recognised."""


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """One side's words in a conversation. `at` is RFC 3339, empty when not known."""

    role: str
    text: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a plan; parameters may hold `${step_id.path}` references to results of `depends_on`."""

    id: str
    executor: str
    action: str
    parameters: dict[str, Any]
    depends_on: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps towards a goal."""

    plan_id: str
    goal: str
    steps: tuple[Step, ...]
    intent: str
    entities: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: ok, failed, denied, declined, cancelled, timeout or skipped."""

    step_id: str
    status: str
    result: dict[str, Any] = field(default_factory=dict)
    message: str = ""


class Planner(Protocol):
    """M5."""

    async def plan(
        self, text: str, intent: IntentGuess | None, conversation: Sequence[ConversationTurn], context: CallContext
    ) -> Plan:
        """Steps for what is wanted."""

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        """The words to say at the end."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something an executor could do."""

    executor: str
    action: str
    parameters: dict[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`verdict` is allow, confirm or deny; `risk` low, medium or high; reasons are in words."""

    verdict: str
    risk: str
    reasons: tuple[str, ...]
    action_id: str = ""


@dataclass(frozen=True, slots=True)
class SafetyReport(Verdict):
    """The strictest verdict of all, and one per action in order."""

    actions: tuple[Verdict, ...] = ()


class Safety(Protocol):
    """M6."""

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        """May these be done by the context's user?"""


# --- M7 browser, M8 OS, M9 search ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far a task is. `stream` is stdout or stderr when `data` is output, else empty."""

    message: str = ""
    percent: float | None = None
    stream: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Last event. `status` is ok, or failed: it ran and did not succeed, `message` says why."""

    status: str
    result: dict[str, Any]
    message: str = ""


TaskEvent = TaskProgress | TaskResult


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """An action that may be asked for; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Executor(Protocol):
    """M7, M8 or M9."""

    def execute(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> AsyncGenerator[TaskEvent, None]:
        """Run a task; ends after its TaskResult. Closing the generator cancels the task in the executor."""

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:
        """What may be asked for."""


# --- M10 memory ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """A remembered value (any JSON). Times are RFC 3339; an empty `expires_at` means never."""

    key: str
    value: Any
    session_id: str
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class MemoryHit:
    """A search result; `score` 0 to 1."""

    item: MemoryItem
    score: float


@dataclass(frozen=True, slots=True)
class StoreItem:
    """What to remember; an empty key lets the service make one, `ttl_seconds` 0 keeps it for good."""

    value: Any
    key: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    ttl_seconds: int = 0


class Memory(Protocol):
    """M10. Everything belongs to the context's user."""

    async def store(self, item: StoreItem, context: CallContext) -> tuple[str, str]:
        """Remember; returns the key and RFC 3339 creation time."""

    async def retrieve(self, key: str, context: CallContext) -> MemoryItem:
        """One item; NOT_FOUND also when it is another user's."""

    async def delete(self, key: str, context: CallContext) -> None:
        """Forget one item; NOT_FOUND as above."""

    async def search(self, query: str, limit: int, tags: Sequence[str], context: CallContext) -> Sequence[MemoryHit]:
        """Best matches first."""

    async def put_turn(self, turn_id: str, role: str, text: str, context: CallContext) -> None:
        """Add a turn to the context's session, or replace the one of that id."""

    async def conversation(self, session_id: str, limit: int, context: CallContext) -> Sequence[ConversationTurn]:
        """The newest turns, oldest first."""


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

    def executor(self, name: str) -> Executor | None:
        """The executor of that name, or None."""
        return {"browser": self.browser, "os": self.os, "search": self.search}.get(name)


# --- what the gateway itself lends the lanes -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A risky action waiting for its user; `expires_at` is RFC 3339."""

    confirmation_id: str
    expires_at: str


class Confirmations(Protocol):
    """Questions that any socket of the user, on any replica, or a REST call may settle."""

    async def create(self, action: Action, verdict: Verdict, context: CallContext) -> Confirmation:
        """Ask."""

    async def decision(self, confirmation_id: str) -> bool | None:
        """Wait for the answer; None when it expired."""

    async def settle(self, confirmation_id: str, context: CallContext, *, approve: bool) -> bool:
        """Answer; False when the user has no such open question."""


class Permissions(Protocol):
    """Role rules, as the operations declare them."""

    def may_execute(self, executor: str, roles: Sequence[str]) -> bool:
        """May somebody with these roles use that executor?"""


class Meter(Protocol):
    """Where lanes leave their measurements."""

    def turn_stage(self, stage: str, seconds: float) -> None:
        """A stage of a turn was done so long after the end of speech."""


@dataclass(frozen=True, slots=True)
class LaneServices:
    """Everything a lane works with."""

    services: Services
    confirmations: Confirmations
    permissions: Permissions
    meter: Meter
