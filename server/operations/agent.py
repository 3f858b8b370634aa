"""M4 intent, M5 planner, M6 safety."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from server.operations.fields import Language, Name, Parameters, SessionId, Text  # noqa: TC001 - pydantic reads them
from server.operations.operation import KIB, Access, Operation, RequestModel, ResponseModel
from streaming.ports import Action, ConversationTurn, IntentGuess, ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from pydantic.config import JsonDict

    from server.gateway import Gateway
    from server.operations.operation import Caller
    from streaming.ports import Intent, Plan, SafetyReport

CONTEXT_TURNS = 10  # turns of the conversation given to the planner, as in a spoken turn
MAX_PLAN_STEPS = 64  # far more than a real plan has; limits one safety request
PLAN_BODY_BYTES = 256 * KIB  # a plan with all its parameters

Confidence = Annotated[float, Field(ge=0, le=1)]


# --- intent --------------------------------------------------------------------------------------------------------


class IntentRequest(RequestModel):
    """Words to recognise an intent in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "what time is it"}]})

    text: Text
    language: Language = "en-US"
    session_id: SessionId | None = None


class IntentGuessAnswer(ResponseModel):
    """One possible intent of the words."""

    intent: str
    confidence: Confidence
    entities: dict[str, Any]


class IntentAnswer(IntentGuessAnswer):
    """The most likely intent, or `unknown` if none fits; alternatives follow, best first."""

    alternatives: list[IntentGuessAnswer]


def _guess(guess: IntentGuess) -> IntentGuessAnswer:
    return IntentGuessAnswer(intent=guess.intent, confidence=guess.confidence, entities=guess.entities)


async def recognize_intent(gateway: Gateway, caller: Caller, request: IntentRequest) -> IntentAnswer:
    """Recognise the intent by M4."""
    intent: Intent = await gateway.services.intent.recognize(request.text, request.language, caller.context)
    return IntentAnswer(
        intent=intent.intent,
        confidence=intent.confidence,
        entities=intent.entities,
        alternatives=[_guess(guess) for guess in intent.alternatives],
    )


class IntentsRequest(RequestModel):
    """The language whose intents are listed."""

    language: Language = "en-US"


class IntentInfoAnswer(ResponseModel):
    """An intent that can be recognised."""

    name: str
    description: str
    examples: list[str]
    entities: list[str]


class IntentsAnswer(ResponseModel):
    """All intents of the language."""

    intents: list[IntentInfoAnswer]


async def list_intents(gateway: Gateway, caller: Caller, request: IntentsRequest) -> IntentsAnswer:
    """List M4's intents."""
    known = await gateway.services.intent.intents(request.language, caller.context)
    return IntentsAnswer(
        intents=[
            IntentInfoAnswer(
                name=info.name,
                description=info.description,
                examples=list(info.examples),
                entities=list(info.entities),
            )
            for info in known
        ]
    )


# --- plan ----------------------------------------------------------------------------------------------------------


# For fields that may be null. They have no `type`, which would contradict the field's own.
GIVEN: JsonDict = {"not": {"const": None}}
NOT_GIVEN: JsonDict = {"const": None}


class PlanRequest(RequestModel):
    """The goal: in words, or as a recognised intent."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["text"], "properties": {"text": GIVEN, "entities": NOT_GIVEN}},
                {"required": ["intent"], "properties": {"intent": GIVEN}},
            ],
            "examples": [{"text": "search for python tutorials"}],
        }
    )

    text: Text | None = None
    intent: Name | None = None
    entities: dict[str, Any] | None = None
    session_id: SessionId | None = None

    @model_validator(mode="after")
    def _something_is_wanted(self) -> Self:
        if self.text is None and self.intent is None:
            raise ValueError("either text or intent is needed")
        if self.entities is not None and self.intent is None:
            raise ValueError("entities belong to an intent")
        return self


class StepAnswer(ResponseModel):
    """One action; its parameters may hold `${step.path}` references to results of the steps in `depends_on`."""

    id: str
    executor: str
    action: str
    parameters: dict[str, Any]
    depends_on: list[str]
    description: str


class PlanAnswer(ResponseModel):
    """The steps that reach the goal."""

    plan_id: str
    goal: str
    steps: list[StepAnswer]
    intent: str
    entities: dict[str, Any]


async def _conversation(gateway: Gateway, caller: Caller, session_id: str | None) -> Sequence[ConversationTurn]:
    if session_id is None:
        return ()
    try:
        return await gateway.services.memory.conversation(session_id, CONTEXT_TURNS, caller.context)
    except ServiceError:
        return ()  # plan without the conversation rather than not at all, as in a spoken turn


async def make_plan(gateway: Gateway, caller: Caller, request: PlanRequest) -> PlanAnswer:
    """Plan by M5, with the conversation so far."""
    guess = None if request.intent is None else IntentGuess(request.intent, 1.0, request.entities or {})
    conversation = await _conversation(gateway, caller, request.session_id)
    plan = await gateway.services.planner.plan(request.text or "", guess, conversation, caller.context)
    return _plan_answer(plan)


def _plan_answer(plan: Plan) -> PlanAnswer:
    steps = [
        StepAnswer(
            id=step.id,
            executor=step.executor,
            action=step.action,
            parameters=step.parameters,
            depends_on=list(step.depends_on),
            description=step.description,
        )
        for step in plan.steps
    ]
    return PlanAnswer(plan_id=plan.plan_id, goal=plan.goal, steps=steps, intent=plan.intent, entities=plan.entities)


# --- safety --------------------------------------------------------------------------------------------------------


class PlannedAction(RequestModel):
    """A step of a plan, as returned by `agent.plan`."""

    id: Name
    executor: Name
    action: Name
    parameters: Parameters = Field(default_factory=dict)
    depends_on: list[Name] = Field(default_factory=list, max_length=MAX_PLAN_STEPS)
    description: str = Field(default="", max_length=1000)


class PlannedActions(RequestModel):
    """A plan, as returned by `agent.plan`."""

    plan_id: str = Field(default="", max_length=128)
    goal: str = Field(default="", max_length=4_000)
    intent: str = Field(default="", max_length=128)
    entities: dict[str, Any] = Field(default_factory=dict)
    steps: list[PlannedAction] = Field(min_length=1, max_length=MAX_PLAN_STEPS)


class SafetyRequest(RequestModel):
    """One action (`executor, action, parameters`), or a whole plan."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["executor", "action"],
                    "properties": {
                        "executor": GIVEN,
                        "action": GIVEN,
                        "plan": NOT_GIVEN,
                    },
                },
                {
                    "required": ["plan"],
                    "properties": {
                        "plan": GIVEN,
                        "executor": NOT_GIVEN,
                        "action": NOT_GIVEN,
                        "parameters": NOT_GIVEN,
                    },
                },
            ],
            "examples": [
                {"executor": "browser", "action": "navigate", "parameters": {"url": "https://example.com"}},
            ],
        }
    )

    executor: Name | None = None
    action: Name | None = None
    parameters: Parameters | None = None
    plan: PlannedActions | None = None
    session_id: SessionId | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        single = self.executor is not None and self.action is not None
        stray = self.executor is not None or self.action is not None or self.parameters is not None
        if (self.plan is None) != single or (self.plan is not None and stray):
            raise ValueError("either executor and action, or plan")
        return self

    def actions(self) -> list[Action]:
        """The actions to check."""
        if self.plan is not None:
            return [Action(step.executor, step.action, step.parameters, step.id) for step in self.plan.steps]
        assert self.executor is not None
        assert self.action is not None
        return [Action(self.executor, self.action, self.parameters or {})]


class VerdictAnswer(ResponseModel):
    """Whether an action may run."""

    verdict: Literal["allow", "confirm", "deny"]
    risk: Literal["low", "medium", "high"]
    reasons: list[str]


class ActionVerdictAnswer(VerdictAnswer):
    """The verdict on one action of several."""

    action_id: str


class SafetyAnswer(VerdictAnswer):
    """The strictest verdict, and one per action in order."""

    actions: list[ActionVerdictAnswer]


async def check_safety(gateway: Gateway, caller: Caller, request: SafetyRequest) -> SafetyAnswer:
    """Check actions by M6, for this user."""
    report: SafetyReport = await gateway.services.safety.check(request.actions(), caller.context)
    return SafetyAnswer.model_validate(report, from_attributes=True)


OPERATIONS = (
    Operation(
        name="agent.intent",
        method="POST",
        path="/api/v1/agent/intent",
        summary="Recognise the intent of a text",
        access=Access.USER,
        request=IntentRequest,
        response=IntentAnswer,
        run=recognize_intent,
        service="intent",
    ),
    Operation(
        name="agent.intents",
        method="GET",
        path="/api/v1/agent/intents",
        summary="List the intents that can be recognised",
        access=Access.USER,
        request=IntentsRequest,
        response=IntentsAnswer,
        run=list_intents,
        service="intent",
    ),
    Operation(
        name="agent.plan",
        method="POST",
        path="/api/v1/agent/plan",
        summary="Plan the steps towards what is wanted",
        access=Access.USER,
        request=PlanRequest,
        response=PlanAnswer,
        run=make_plan,
        service="planner",
    ),
    Operation(
        name="agent.safety.check",
        method="POST",
        path="/api/v1/agent/safety/check",
        summary="Ask whether an action or a plan may be carried out",
        access=Access.USER,
        request=SafetyRequest,
        body_limit_bytes=PLAN_BODY_BYTES,
        response=SafetyAnswer,
        run=check_safety,
        service="safety",
    ),
)
