"""M5, the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protos import planner_pb2
from server.upstream.convert import asking, from_struct, reading, to_struct
from streaming.ports import Plan, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos.planner_pb2_grpc import PlannerAsyncStub
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, ConversationTurn, IntentGuess, Outcome


class PlannerClient:
    """Implements `streaming.ports.Planner`."""

    def __init__(self, line: ServiceLine[PlannerAsyncStub]) -> None:
        self._line = line

    async def plan(
        self, text: str, intent: IntentGuess | None, conversation: Sequence[ConversationTurn], context: CallContext
    ) -> Plan:
        """Steps for what is wanted."""
        with asking("planner"):
            request = planner_pb2.PlanRequest(
                text=text,
                intent=intent.intent if intent else "",
                entities=to_struct(intent.entities) if intent else None,
                session_id=context.session_id,
                context=[planner_pb2.Turn(role=turn.role, text=turn.text) for turn in conversation],
            )
        answer = await self._line.unary("Plan", lambda stub: stub.Plan, request, context, idempotent=True)
        with reading("planner"):
            return _plan(answer)

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        """The words to say at the end."""
        with asking("planner"):
            request = planner_pb2.ComposeRequest(
                plan=_plan_message(plan), outcomes=[_outcome_message(one) for one in outcomes], time_zone=time_zone
            )
        answer = await self._line.unary("Compose", lambda stub: stub.Compose, request, context, idempotent=True)
        return answer.text


def _plan(answer: planner_pb2.PlanResponse) -> Plan:
    steps = tuple(
        Step(
            step.id,
            step.executor,
            step.action,
            from_struct(step.parameters),
            tuple(step.depends_on),
            step.description,
        )
        for step in answer.steps
    )
    return Plan(answer.plan_id, answer.goal, steps, answer.intent, from_struct(answer.entities))


def _plan_message(plan: Plan) -> planner_pb2.PlanResponse:
    return planner_pb2.PlanResponse(
        plan_id=plan.plan_id,
        goal=plan.goal,
        steps=[_step_message(step) for step in plan.steps],
        intent=plan.intent,
        entities=to_struct(plan.entities),
    )


def _step_message(step: Step) -> planner_pb2.Step:
    return planner_pb2.Step(
        id=step.id,
        executor=step.executor,
        action=step.action,
        parameters=to_struct(step.parameters),
        depends_on=step.depends_on,
        description=step.description,
    )


def _outcome_message(outcome: Outcome) -> planner_pb2.Outcome:
    return planner_pb2.Outcome(
        step_id=outcome.step_id, status=outcome.status, result=to_struct(outcome.result), message=outcome.message
    )
