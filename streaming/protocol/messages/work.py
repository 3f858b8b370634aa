"""What a server sends about the work in a channel: recognition, speech, tasks, turns. Times are milliseconds."""

from typing import ClassVar, Literal

from pydantic import Field

from streaming.protocol.messages.base import (
    Confidence,
    Count,
    Encoding,
    Generation,
    Id,
    JsonObject,
    Part,
    Percent,
    TurnEvent,
)

TaskStatus = Literal["ok", "failed", "denied", "declined", "cancelled", "timeout", "skipped"]


class Word(Part):
    """A word and where it lies."""

    text: str
    """As written."""
    start_ms: Count
    """Since the microphone was opened, or the utterance began."""
    end_ms: Count
    """Likewise."""
    confidence: Confidence | None = None
    """Of the recogniser, 0 to 1."""


# --- recognition ---


class SttSpeechStarted(TurnEvent):
    """Somebody began to speak."""

    type: Literal["stt.speech_started"] = "stt.speech_started"
    at_ms: Count
    """Since the microphone was opened."""


class SttPartial(TurnEvent):
    """An interim transcript: what has been understood so far."""

    type: Literal["stt.partial"] = "stt.partial"
    text: str
    """Of the utterance under way."""
    stable_chars: Count
    """So many characters at its beginning never change again."""


class SttFinal(TurnEvent):
    """A final transcript: one utterance. Empty when it held no words."""

    type: Literal["stt.final"] = "stt.final"
    text: str
    """The whole of it."""
    confidence: Confidence
    """Of the recogniser, 0 to 1."""
    start_ms: Count
    """Since the microphone was opened."""
    end_ms: Count
    """Likewise."""
    words: tuple[Word, ...] = ()
    """Each of it."""


class SttSpeechStopped(TurnEvent):
    """The utterance ended; its `stt.final` follows."""

    type: Literal["stt.speech_stopped"] = "stt.speech_stopped"
    at_ms: Count
    """Since the microphone was opened."""


class TurnEagerEnd(TurnEvent):
    """The speaker has probably finished: work begins that has no effects yet."""

    type: Literal["turn.eager_end"] = "turn.eager_end"
    at_ms: Count
    """Since the microphone was opened."""
    text: str
    """What is acted on provisionally."""


class TurnResumed(TurnEvent):
    """The speaker went on after all: what was begun is withdrawn."""

    type: Literal["turn.resumed"] = "turn.resumed"
    at_ms: Count
    """Since the microphone was opened."""


class TurnEnd(TurnEvent):
    """The speaker has finished, for certain."""

    type: Literal["turn.end"] = "turn.end"
    at_ms: Count
    """Since the microphone was opened."""


# --- speech: in order with the audio that it is about ---


class TtsStarted(TurnEvent):
    """An utterance begins."""

    follows_audio: ClassVar[bool] = True

    type: Literal["tts.started"] = "tts.started"
    encoding: Encoding
    """Of its frames."""
    sample_rate: int
    """Of its frames, in Hz."""
    generation: Generation = 0
    """Of its frames."""


class TtsWords(TurnEvent):
    """Where words lie in the utterance."""

    follows_audio: ClassVar[bool] = True

    type: Literal["tts.words"] = "tts.words"
    words: tuple[Word, ...]
    """As written, in order."""


class TtsDone(TurnEvent):
    """All of the utterance was sent."""

    follows_audio: ClassVar[bool] = True

    type: Literal["tts.done"] = "tts.done"
    duration_ms: Count
    """Of its audio."""


# --- tasks ---


class TaskEvent(TurnEvent):
    """Something about one task."""

    step_id: str | None = None
    """The step of the turn's plan."""


class TaskStarted(TaskEvent):
    """An executor begins."""

    type: Literal["task.started"] = "task.started"
    task_id: str
    """Its name in audit log and traces."""


class TaskProgress(TaskEvent):
    """How far it is. Merged to the latest when the client is slow; output is joined, never lost."""

    type: Literal["task.progress"] = "task.progress"
    percent: Percent | None = None
    """Where the executor knows."""
    message: str = ""
    """For people."""
    stream: Literal["stdout", "stderr"] | None = None
    """Where `data` comes from."""
    data: str | None = None
    """Output of the task."""


class TaskConfirmationRequired(TaskEvent):
    """A risky action waits for `task.confirm`."""

    type: Literal["task.confirmation_required"] = "task.confirmation_required"
    confirmation_id: Id
    """To be answered with."""
    reason: str
    """Why it asks, for people."""
    risk: str
    """low, medium or high."""
    expires_at: str
    """When it counts as declined, RFC 3339."""
    executor: str | None = None
    """Who would do it."""
    action: str | None = None
    """What would be done."""
    parameters: JsonObject | None = None
    """With what. An approval is for exactly this."""
    sentence: str | None = None
    """The question in words, as it is said aloud where the reply is audio."""


class TaskResult(TaskEvent):
    """The task's last event."""

    type: Literal["task.result"] = "task.result"
    status: TaskStatus = "ok"
    """How it ended."""
    result: JsonObject = Field(default_factory=dict)
    """As the executor gave it."""
    message: str | None = None
    """Why it did not succeed, for people."""


# --- turns ---


class IntentGuess(Part):
    """Another way to understand it."""

    intent: str
    """Name of the intent."""
    confidence: Confidence
    """0 to 1."""
    entities: JsonObject = Field(default_factory=dict)
    """What was named."""


class PlanStep(Part):
    """One action of the plan."""

    id: str
    """`step_id` of its task events."""
    executor: str
    """Who does it."""
    action: str
    """What."""
    parameters: JsonObject = Field(default_factory=dict)
    """With what; `${step.path}` refers to results of earlier steps."""
    depends_on: tuple[str, ...] = ()
    """Steps that come first."""
    description: str = ""
    """For people."""


class ActionVerdict(Part):
    """What safety says to one action."""

    action_id: str
    """The step."""
    verdict: Literal["allow", "confirm", "deny"]
    """May it be done?"""
    risk: str
    """low, medium or high."""
    reasons: tuple[str, ...] = ()
    """For people."""


class TurnIntent(TurnEvent):
    """What was understood."""

    type: Literal["turn.intent"] = "turn.intent"
    intent: str
    """Name of the intent; `unknown` when nothing fits."""
    confidence: Confidence
    """0 to 1."""
    entities: JsonObject = Field(default_factory=dict)
    """What was named."""
    alternatives: tuple[IntentGuess, ...] = ()
    """Other ways to understand it."""


class TurnPlan(TurnEvent):
    """What will be done."""

    type: Literal["turn.plan"] = "turn.plan"
    plan_id: str
    """Its name."""
    goal: str
    """For people."""
    steps: tuple[PlanStep, ...] = ()
    """In no order but that of `depends_on`."""


class TurnSafety(TurnEvent):
    """Whether it may be done."""

    type: Literal["turn.safety"] = "turn.safety"
    verdict: Literal["allow", "confirm", "deny"]
    """The strictest of all."""
    risk: str
    """low, medium or high."""
    reasons: tuple[str, ...] = ()
    """For people."""
    actions: tuple[ActionVerdict, ...] = ()
    """Each step's."""


class TurnReply(TurnEvent):
    """The words of the answer; spoken next when audio was asked for."""

    type: Literal["turn.reply"] = "turn.reply"
    text: str
    """All of it, or its next part."""
    more: bool | None = None
    """A language model is still making the reply: further parts follow, unless it is interrupted. Joined, they are the reply."""


class TurnInterrupted(TurnEvent):
    """The user spoke into the reply: audio of generations before `generation` is stale and not to be played."""

    type: Literal["turn.interrupted"] = "turn.interrupted"
    generation: Generation
    """Of the next audio."""
    heard_ms: Count
    """How much of the utterance was played."""
    heard_text: str
    """The words heard: what is remembered."""


class TurnPaused(TurnEvent):
    """A sound during the reply: it pauses until it is clear whether words follow. Audio before `generation` is stale."""

    type: Literal["turn.paused"] = "turn.paused"
    generation: Generation
    """Of the next audio."""
    heard_ms: Count
    """How much of the utterance was played."""


class TurnContinued(TurnEvent):
    """It was a cough: the reply goes on."""

    type: Literal["turn.continued"] = "turn.continued"
    generation: Generation
    """Of the audio that follows."""
    from_ms: Count
    """Behind so much of what was heard."""


class TurnLatency(TurnEvent):
    """When each stage was done."""

    type: Literal["turn.latency"] = "turn.latency"
    stages: dict[str, int | float]
    """Milliseconds since the end of speech, by stage."""


class TurnDone(TurnEvent):
    """Last event of a turn."""

    follows_audio: ClassVar[bool] = True

    type: Literal["turn.done"] = "turn.done"
    status: Literal["ok", "interrupted", "cancelled", "failed"]
    """How it ended."""
