"""M5, the planner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from protos import planner_pb2
from server.upstream.convert import asking, from_struct, reading, to_struct
from server.upstream.metadata import call_metadata
from server.upstream.status import cancelled_from_outside, clean_text, failure
from streaming.ports import Plan, ReplyWords, ServiceError, Step

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    import grpc.aio

    from protos.planner_pb2_grpc import PlannerAsyncStub
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, ConversationTurn, IntentGuess, Outcome, Prompt

MIND = "mind"  # the service named in errors of the language model, which are not the planner's
CONVERSE_SILENCE_S = 30.0  # longer than LLM_STALL_SECONDS: the planner itself should report a model that stalls
CONVERSE_LIMIT_S = 2_000.0  # three answers of LLM_REPLY_SECONDS at most


class PlannerClient:
    """Implements `streaming.ports.Planner`."""

    def __init__(self, line: ServiceLine[PlannerAsyncStub]) -> None:
        self._line = line

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
        with asking("planner"):
            request = planner_pb2.PlanRequest(
                text=text,
                intent=intent.intent if intent else "",
                entities=to_struct(intent.entities) if intent else None,
                session_id=context.session_id,
                context=[planner_pb2.Turn(role=turn.role, text=turn.text) for turn in conversation],
                prefer_model=prefer_model,
            )
        answer = await self._line.unary("Plan", lambda stub: stub.Plan, request, context, idempotent=True)
        with reading("planner"):
            return _plan(answer)

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        """The text of the reply, from the steps' outcomes."""
        with asking("planner"):
            request = planner_pb2.ComposeRequest(
                plan=_plan_message(plan), outcomes=[_outcome_message(one) for one in outcomes], time_zone=time_zone
            )
        answer = await self._line.unary("Compose", lambda stub: stub.Compose, request, context, idempotent=True)
        return answer.text

    async def converse(self, prompt: Prompt, context: CallContext) -> AsyncGenerator[ReplyWords | Step, None]:
        """One round with the language model. Raises ServiceError."""
        with asking("planner"):
            request = _prompt_message(prompt)
        attempt = self._line.begin("Converse", context.user_id)
        call: grpc.aio.UnaryStreamCall[planner_pb2.ConverseRequest, planner_pb2.ConverseEvent] | None = None
        try:
            call = self._line.pool.pick().Converse(request, timeout=CONVERSE_LIMIT_S, metadata=call_metadata(context))
            attempt.call = call
            events = aiter(call)
            while True:
                async with asyncio.timeout(CONVERSE_SILENCE_S):
                    event = await anext(events, None)
                if event is None:
                    break
                attempt.answered()
                if event.WhichOneof("event") == "failed":
                    attempt.succeeded()
                    raise _mind_failure(event.failed)  # noqa: TRY301 - the call itself succeeded
                told = _told(event)
                if told is not None:
                    yield told
            attempt.succeeded()
        except asyncio.CancelledError as cancelled:
            if cancelled_from_outside():
                raise
            raise attempt.failed(cancelled) from None
        except ServiceError:
            raise
        except TimeoutError:
            raise attempt.failed(failure("planner", "DEADLINE_EXCEEDED")) from None
        except Exception as error:  # noqa: BLE001 - as the port promises: ServiceError and nothing else
            raise attempt.failed(error) from None
        finally:
            if call is not None:
                call.cancel()
            attempt.abandoned()


def _told(event: planner_pb2.ConverseEvent) -> ReplyWords | Step | None:
    """The event in our types; None for an unknown event of a newer service."""
    match event.WhichOneof("event"):
        case "words":
            return ReplyWords(event.words.text, event.words.last, event.words.cut)
        case "step":
            return _step(event.step)
    return None


def _mind_failure(failed: planner_pb2.Failure) -> ServiceError:
    return failure(MIND, failed.code, clean_text(failed.message), failed.retry_after_ms or None)


def _prompt_message(prompt: Prompt) -> planner_pb2.ConverseRequest:
    return planner_pb2.ConverseRequest(
        text=prompt.text,
        context=[planner_pb2.Turn(role=turn.role, text=turn.text) for turn in prompt.turns],
        language=prompt.language,
        time_zone=prompt.time_zone,
        tools=[
            planner_pb2.Tool(
                executor=tool.executor,
                action=tool.action,
                description=tool.description,
                parameters=to_struct(tool.parameters),
            )
            for tool in prompt.tools
        ],
        rounds=[
            planner_pb2.Round(
                words=done.words,
                steps=[_step_message(step) for step in done.steps],
                outcomes=[_outcome_message(outcome) for outcome in done.outcomes],
            )
            for done in prompt.rounds
        ],
        instructions=prompt.instructions,
        tool_choice=prompt.tool_choice,
        max_tokens=prompt.max_tokens,
    )


def _step(step: planner_pb2.Step) -> Step:
    parameters = from_struct(step.parameters)
    return Step(step.id, step.executor, step.action, parameters, tuple(step.depends_on), step.description)


def _plan(answer: planner_pb2.PlanResponse) -> Plan:
    steps = tuple(_step(step) for step in answer.steps)
    entities = from_struct(answer.entities)
    return Plan(answer.plan_id, answer.goal, steps, answer.intent, entities, answer.open_ended)


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
