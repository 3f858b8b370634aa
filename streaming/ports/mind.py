"""M4 intent, M5 planner, M6 safety."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from streaming.ports.call import CallContext


@dataclass(frozen=True, slots=True)
class IntentGuess:
    """An intent with its entities; `confidence` 0 to 1."""

    intent: str
    confidence: float
    entities: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent(IntentGuess):
    """M4's result for an utterance; `unknown` if no intent fits."""

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
        """All intents of the language."""


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """The words of one speaker in a conversation. `at`: RFC 3339; it and the id are empty if unknown."""

    role: str
    text: str
    at: str = ""
    turn_id: str = ""


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
    """Steps towards a goal. `open_ended`: no steps or words yet; a language model supplies both, by `converse`."""

    plan_id: str
    goal: str
    steps: tuple[Step, ...]
    intent: str
    entities: dict[str, Any] = field(default_factory=dict)
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: ok, failed, denied, declined, cancelled, timeout or skipped."""

    step_id: str
    status: str
    result: dict[str, Any] = field(default_factory=dict)
    message: str = ""


CLIENT = "client"
"""The executor of functions that the session's client runs. A turn stops when it needs one of them."""


@dataclass(frozen=True, slots=True)
class Tool:
    """An action that a language model may request; `parameters` is a JSON Schema."""

    executor: str
    action: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """A language model's words and requested steps in one round, with the steps' outcomes."""

    words: str
    steps: tuple[Step, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a language model is told in one round. `turns` may end with `text`; `rounds` are those of this turn.

    `tool_choice`: auto, none or required. `max_tokens` 0: no limit.
    """

    text: str
    turns: tuple[ConversationTurn, ...]
    language: str
    time_zone: str
    tools: tuple[Tool, ...]
    rounds: tuple[Round, ...] = ()
    instructions: str = ""
    tool_choice: str = "auto"
    max_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReplyWords:
    """Whole sentences, including the white space between them. `last`: the reply is complete. `cut`: at the model's limit."""

    text: str
    last: bool = False
    cut: bool = False


class Planner(Protocol):
    """M5."""

    async def plan(
        self,
        text: str,
        intent: IntentGuess | None,
        conversation: Sequence[ConversationTurn],
        context: CallContext,
        *,
        prefer_model: bool = False,
    ) -> Plan:
        """The steps that reach the goal."""

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        """The text of the reply, from the steps' outcomes."""

    def converse(self, prompt: Prompt, context: CallContext) -> AsyncGenerator[ReplyWords | Step, None]:
        """Run one round: yields words as they are made, then the requested steps. Closing the generator cancels the round.

        Raises ServiceError; with the service `mind` if the language model failed.
        """


@dataclass(frozen=True, slots=True)
class Action:
    """An action of an executor."""

    executor: str
    action: str
    parameters: dict[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`verdict`: allow, confirm or deny; `risk`: low, medium or high; reasons are text for people."""

    verdict: str
    risk: str
    reasons: tuple[str, ...]
    action_id: str = ""


@dataclass(frozen=True, slots=True)
class SafetyReport(Verdict):
    """The strictest verdict, and one per action in order."""

    actions: tuple[Verdict, ...] = ()


class Safety(Protocol):
    """M6."""

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        """Check whether the context's user may run these actions."""
