"""What the lanes tell a client, in no wire format: a dialect turns each into its own messages.

Recognition and task events are those of the ports, passed on as they are; the rest stands here. Times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Intent, Plan, SafetyReport, Word


@dataclass(frozen=True, slots=True)
class SpeechBegins:
    """An utterance starts: the encoding and rate of its frames."""

    encoding: str
    sample_rate_hz: int
    generation: int
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """Where words lie in the utterance."""

    words: tuple[Word, ...]
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechEnds:
    """All of the utterance has been sent."""

    duration_ms: int
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """An executor begins."""

    task_id: str
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskProgressed:
    """How far a task is."""

    message: str = ""
    percent: float | None = None
    stream: str | None = None
    data: str | None = None
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskNeedsConfirmation:
    """A risky action waits for its user."""

    confirmation_id: str
    reason: str
    risk: str
    expires_at: str
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """How a task ended: ok, failed, denied, declined, cancelled, timeout or skipped; `result` as the executor gave it."""

    status: str
    result: dict[str, object] = field(default_factory=dict)
    message: str | None = None
    step_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class TurnIntent:
    """What M4 made of it."""

    turn_id: str
    intent: Intent


@dataclass(frozen=True, slots=True)
class TurnPlanned:
    """What M5 wants to do."""

    turn_id: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class TurnChecked:
    """What M6 says to it."""

    turn_id: str
    report: SafetyReport


@dataclass(frozen=True, slots=True)
class TurnReply:
    """The words of the answer; they are spoken next when audio was asked for."""

    turn_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The user has finished speaking, for certain."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnPaused:
    """A sound during playout: audio of generations before `generation` is stale; it waits whether words follow."""

    turn_id: str
    generation: int
    heard_ms: int


@dataclass(frozen=True, slots=True)
class TurnInterrupted:
    """Words followed the sound: the reply ends here. What the user had heard of it."""

    turn_id: str
    generation: int
    heard_ms: int
    heard_text: str


@dataclass(frozen=True, slots=True)
class TurnContinued:
    """The sound held no words: the reply goes on behind `from_ms` of what was heard."""

    turn_id: str
    generation: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """When each stage was done, in milliseconds since the end of speech (or since the text arrived)."""

    turn_id: str
    stages: dict[str, int]


@dataclass(frozen=True, slots=True)
class TurnDone:
    """Last event of a turn: ok, interrupted, cancelled or failed."""

    turn_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something failed and the lane goes on."""

    code: str
    message: str
    retryable: bool = False
    retry_after_ms: int | None = None
    turn_id: str | None = None
