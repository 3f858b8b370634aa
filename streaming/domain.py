"""What lanes tell a client, independent of the wire format. A dialect turns each `LaneEvent` into messages of its own.

Recognition events and what an observer sees come from the ports and are passed on unchanged; the others are defined here.
Times are in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streaming.ports import Missed, RecognitionEvent, SeenAudio, SeenMessage

if TYPE_CHECKING:
    from streaming.ports import Intent, Plan, Round, SafetyReport, ServiceError, Step, Word


@dataclass(frozen=True, slots=True)
class SpeechBegins:
    """An utterance starts, with the encoding and rate of its frames. `aside`: it is no part of the turn's reply, but a question or the like."""

    encoding: str
    sample_rate_hz: int
    turn_id: str | None = None
    aside: bool = False


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """Positions of words in the utterance's audio."""

    words: tuple[Word, ...]
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechEnds:
    """All of the utterance's audio has been sent."""

    duration_ms: int
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """An executor starts a task."""

    task_id: str
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskProgressed:
    """Progress of a task, or a piece of its output: then `stream` is stdout or stderr and `data` the text."""

    message: str = ""
    percent: float | None = None
    stream: str | None = None
    data: str | None = None
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskNeedsConfirmation:
    """A risky action waits for approval: the action, and the question as a sentence. `expires_at`: RFC 3339."""

    confirmation_id: str
    reason: str
    risk: str
    expires_at: str
    executor: str
    action: str
    parameters: dict[str, object]
    action_hash: str
    sentence: str
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task ended: ok, failed, denied, declined, cancelled, timeout or skipped; `result` is the executor's."""

    status: str
    result: dict[str, object] = field(default_factory=dict)
    message: str | None = None
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TurnIntent:
    """The intent that M4 recognised."""

    turn_id: str
    intent: Intent


@dataclass(frozen=True, slots=True)
class TurnPlanned:
    """The plan that M5 made."""

    turn_id: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class TurnChecked:
    """M6's verdict on the plan."""

    turn_id: str
    report: SafetyReport


@dataclass(frozen=True, slots=True)
class TurnReply:
    """The reply as text, or its next part if `more` follows. Speech follows if the client asked for audio."""

    turn_id: str
    text: str
    more: bool = False
    cut: bool = False  # the language model reached its limit


@dataclass(frozen=True, slots=True)
class TurnCalls:
    """The turn ends here, for functions that the client runs, or work left to it (without rounds).

    `rounds` are all of the turn's; the newest holds the calls.
    Only a turn whose client wanted it so tells this: see agent.brief.
    """

    turn_id: str
    calls: tuple[Step, ...]
    rounds: tuple[Round, ...]


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The user has finished speaking."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnPaused:
    """A sound interrupted the reply, so all audio sent so far is stale. It is not yet known whether words follow."""

    turn_id: str
    heard_ms: int


@dataclass(frozen=True, slots=True)
class TurnInterrupted:
    """Words followed the sound, so the reply ends here. `heard_*`: how much of it the user heard."""

    turn_id: str
    heard_ms: int
    heard_text: str


@dataclass(frozen=True, slots=True)
class TurnContinued:
    """No words followed the sound, so the reply continues at `from_ms` of the interrupted utterance."""

    turn_id: str
    from_ms: int


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """When each stage was done, in milliseconds since the end of speech or since the text arrived."""

    turn_id: str
    stages: dict[str, int]


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The last event of a turn. `status`: ok, interrupted, cancelled or failed."""

    turn_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something failed, but the lane continues."""

    code: str
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    turn_id: str | None = None

    @classmethod
    def of(cls, broken: ServiceError, turn_id: str | None = None, *, then: str = "") -> Trouble:
        """The error as told to the client; `then`: what happens next."""
        return cls(broken.code, broken.said + then, broken.retryable, broken.retry_after_ms, turn_id)


DomainEvent = (
    SpeechBegins
    | SpokenWords
    | SpeechEnds
    | TaskStarted
    | TaskProgressed
    | TaskNeedsConfirmation
    | TaskEnded
    | TurnIntent
    | TurnPlanned
    | TurnChecked
    | TurnReply
    | TurnCalls
    | TurnEnd
    | TurnPaused
    | TurnInterrupted
    | TurnContinued
    | TurnLatency
    | TurnDone
    | Trouble
)
LaneEvent = DomainEvent | RecognitionEvent | SeenMessage | SeenAudio | Missed
"""Everything that a lane tells its outlet. Audio is not an event: see `Outlet.play`."""
