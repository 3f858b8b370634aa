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
    """Steps towards a goal. `open_ended`: none yet, and no words either; a language model says both, by `converse`."""

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
"""The executor of functions that the session's own client runs: a turn stops where it needs one."""


@dataclass(frozen=True, slots=True)
class Tool:
    """An action that a language model may ask for; `parameters` is a JSON Schema."""

    executor: str
    action: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """What a language model said and wanted done, and what came of it."""

    words: str
    steps: tuple[Step, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
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
    """Whole sentences, with the white space between them. `last`: the reply is complete; `cut`: by `max_tokens`."""

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
        """Steps for what is wanted. `prefer_model`: leave it to the language model where there is one."""

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        """The words to say at the end."""

    def converse(self, so_far: Conversation, context: CallContext) -> AsyncGenerator[ReplyWords | Step, None]:
        """One round: words as they are made, then the steps wanted. Ends after the last word or step; closing it cancels.

        Raises ServiceError; one of the service `mind` is the language model's.
        """


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
