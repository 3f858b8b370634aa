"""What a server sends about the work in a channel: recognition, speech, tasks, turns. Times are in milliseconds."""

from typing import ClassVar, Literal

from pydantic import Field

from streaming.protocol.messages.base import (
    ActionHash,
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
    """A word and its position in time."""

    text: str
    """The word as written."""
    start_ms: Count
    """Start, since the microphone was opened or the utterance began."""
    end_ms: Count
    """End, likewise."""
    confidence: Confidence | None = None
    """The recogniser's confidence, 0 to 1."""


# --- recognition ---


class SttSpeechStarted(TurnEvent):
    """Speech has begun."""

    type: Literal["stt.speech_started"] = "stt.speech_started"
    at_ms: Count
    """Time since the microphone was opened."""


class SttPartial(TurnEvent):
    """An interim transcript: what was recognised so far."""

    type: Literal["stt.partial"] = "stt.partial"
    text: str
    """Transcript of the current utterance."""
    stable_chars: Count
    """The number of characters at its beginning that will not change again."""


class SttFinal(TurnEvent):
    """A final transcript of one utterance. Empty if it had no words."""

    type: Literal["stt.final"] = "stt.final"
    text: str
    """The whole utterance."""
    confidence: Confidence
    """The recogniser's confidence, 0 to 1."""
    start_ms: Count
    """Start, since the microphone was opened."""
    end_ms: Count
    """End, likewise."""
    words: tuple[Word, ...] = ()
    """The utterance's words."""


class SttSpeechStopped(TurnEvent):
    """The utterance ended; its `stt.final` follows."""

    type: Literal["stt.speech_stopped"] = "stt.speech_stopped"
    at_ms: Count
    """Time since the microphone was opened."""


class TurnEagerEnd(TurnEvent):
    """The speaker has probably finished. Work without effects begins."""

    type: Literal["turn.eager_end"] = "turn.eager_end"
    at_ms: Count
    """Time since the microphone was opened."""
    text: str
    """The text that is acted on provisionally."""


class TurnResumed(TurnEvent):
    """The speaker continued after all. The provisional work is discarded."""

    type: Literal["turn.resumed"] = "turn.resumed"
    at_ms: Count
    """Time since the microphone was opened."""


class TurnEnd(TurnEvent):
    """The speaker has definitely finished."""

    type: Literal["turn.end"] = "turn.end"
    at_ms: Count
    """Time since the microphone was opened."""


# --- speech: in order with the audio it is about ---


class TtsStarted(TurnEvent):
    """An utterance begins."""

    follows_audio: ClassVar[bool] = True

    type: Literal["tts.started"] = "tts.started"
    encoding: Encoding
    """Encoding of its frames."""
    sample_rate: int
    """Sample rate of its frames, in Hz."""
    generation: Generation = 0
    """Generation of its frames."""


class TtsWords(TurnEvent):
    """The positions of words in the utterance."""

    follows_audio: ClassVar[bool] = True

    type: Literal["tts.words"] = "tts.words"
    words: tuple[Word, ...]
    """The words as written, in order."""


class TtsDone(TurnEvent):
    """The whole utterance was sent."""

    follows_audio: ClassVar[bool] = True

    type: Literal["tts.done"] = "tts.done"
    duration_ms: Count
    """Duration of its audio."""


# --- tasks ---


class TaskEvent(TurnEvent):
    """An event about one task."""

    step_id: str | None = None
    """The step of the turn's plan."""


class TaskStarted(TaskEvent):
    """An executor starts a task."""

    type: Literal["task.started"] = "task.started"
    task_id: str
    """The task's id, as in audit log and traces."""


class TaskProgress(TaskEvent):
    """Progress of a task. For a slow client, only the latest is sent; output is joined, never lost."""

    type: Literal["task.progress"] = "task.progress"
    percent: Percent | None = None
    """Share done, if the executor knows it."""
    message: str = ""
    """Text for people."""
    stream: Literal["stdout", "stderr"] | None = None
    """The stream that `data` comes from."""
    data: str | None = None
    """Output of the task."""


class TaskConfirmationRequired(TaskEvent):
    """A risky action waits for `task.confirm`."""

    type: Literal["task.confirmation_required"] = "task.confirmation_required"
    confirmation_id: Id
    """The id to answer with."""
    reason: str
    """Why approval is needed, for people."""
    risk: str
    """low, medium or high."""
    expires_at: str
    """When it counts as declined, RFC 3339."""
    executor: str | None = None
    """The executor that would run the action."""
    action: str | None = None
    """The action."""
    parameters: JsonObject | None = None
    """The action's parameters. An approval is valid for exactly these."""
    action_hash: ActionHash | None = None
    """Hash of executor, action and parameters, for `task.confirm`."""
    sentence: str | None = None
    """The question as a sentence; it is spoken if the reply is audio."""


class TaskResult(TaskEvent):
    """The last event of a task."""

    type: Literal["task.result"] = "task.result"
    status: TaskStatus = "ok"
    """How the task ended."""
    result: JsonObject = Field(default_factory=dict)
    """The executor's result."""
    message: str | None = None
    """Why the task did not succeed, for people."""


# --- turns ---


class IntentGuess(Part):
    """An alternative intent."""

    intent: str
    """Name of the intent."""
    confidence: Confidence
    """0 to 1."""
    entities: JsonObject = Field(default_factory=dict)
    """Entities named in the text."""


class PlanStep(Part):
    """One action of the plan."""

    id: str
    """The `step_id` of its task events."""
    executor: str
    """The executor that runs it."""
    action: str
    """The executor's name of the action."""
    parameters: JsonObject = Field(default_factory=dict)
    """The action's parameters; `${step.path}` refers to results of earlier steps."""
    depends_on: tuple[str, ...] = ()
    """Ids of steps that must finish first."""
    description: str = ""
    """Text for people."""


class ActionVerdict(Part):
    """The safety verdict on one action."""

    action_id: str
    """Id of the step."""
    verdict: Literal["allow", "confirm", "deny"]
    """Whether it may run."""
    risk: str
    """low, medium or high."""
    reasons: tuple[str, ...] = ()
    """Text for people."""


class TurnIntent(TurnEvent):
    """The recognised intent."""

    type: Literal["turn.intent"] = "turn.intent"
    intent: str
    """Name of the intent; `unknown` if none fits."""
    confidence: Confidence
    """0 to 1."""
    entities: JsonObject = Field(default_factory=dict)
    """Entities named in the text."""
    alternatives: tuple[IntentGuess, ...] = ()
    """Other possible intents."""


class TurnPlan(TurnEvent):
    """The plan of what will be done."""

    type: Literal["turn.plan"] = "turn.plan"
    plan_id: str
    """The plan's id."""
    goal: str
    """Text for people."""
    steps: tuple[PlanStep, ...] = ()
    """The steps, ordered only by `depends_on`."""


class TurnSafety(TurnEvent):
    """The safety verdict on the plan."""

    type: Literal["turn.safety"] = "turn.safety"
    verdict: Literal["allow", "confirm", "deny"]
    """The strictest verdict of all steps."""
    risk: str
    """low, medium or high."""
    reasons: tuple[str, ...] = ()
    """Text for people."""
    actions: tuple[ActionVerdict, ...] = ()
    """The verdict on each step."""


class TurnReply(TurnEvent):
    """Text of the answer. It is then spoken if audio was requested."""

    type: Literal["turn.reply"] = "turn.reply"
    text: str
    """The whole answer, or its next part."""
    more: bool | None = None
    """True while a language model is still writing: further parts follow, unless interrupted. Joined, the parts are the reply."""


class TurnInterrupted(TurnEvent):
    """The user interrupted the reply. Audio of generations before `generation` is stale and must not be played."""

    type: Literal["turn.interrupted"] = "turn.interrupted"
    generation: Generation
    """Generation of the next audio."""
    heard_ms: Count
    """How much of the utterance was played."""
    heard_text: str
    """The words that were heard, which is what is remembered."""


class TurnPaused(TurnEvent):
    """There was a sound during the reply, which pauses until it is clear whether words follow. Audio before `generation` is stale."""

    type: Literal["turn.paused"] = "turn.paused"
    generation: Generation
    """Generation of the next audio."""
    heard_ms: Count
    """How much of the utterance was played."""


class TurnContinued(TurnEvent):
    """The sound was no speech: the reply continues."""

    type: Literal["turn.continued"] = "turn.continued"
    generation: Generation
    """Generation of the audio that follows."""
    from_ms: Count
    """Position at which the reply continues."""


class TurnLatency(TurnEvent):
    """When each stage of the turn was done."""

    type: Literal["turn.latency"] = "turn.latency"
    stages: dict[str, int | float]
    """Milliseconds since the end of speech, by stage."""


class TurnDone(TurnEvent):
    """The last event of a turn."""

    follows_audio: ClassVar[bool] = True

    type: Literal["turn.done"] = "turn.done"
    status: Literal["ok", "interrupted", "cancelled", "failed"]
    """How the turn ended."""
