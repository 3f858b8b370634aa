"""Several requests in one plan, and the reply to all of them."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from protos import planner_pb2
from server.embedded.intent.recognition import SEVERAL
from server.embedded.planner.recipes import WrongEntityError
from server.embedded.planner.replies import StepOutcome, reply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_REFERENCE = re.compile(r"\$\{s(\d+)(?=[.}])")  # to the result of a step: `${s1.results.0.url}`


def joined(requests: Sequence[str], plans: Sequence[planner_pb2.PlanResponse]) -> planner_pb2.PlanResponse:
    """One plan. Its entities have the parts: the intent and entities of each, and its number of steps."""
    goal = " · ".join(plan.goal for plan in plans)
    whole = planner_pb2.PlanResponse(plan_id=uuid.uuid4().hex, goal=goal, intent=SEVERAL)
    parts: list[Any] = [
        {"intent": plan.intent, "entities": MessageToDict(plan.entities), "steps": len(plan.steps)} for plan in plans
    ]
    whole.entities.update({"requests": list(requests), "parts": parts})
    for plan in plans:
        before = len(whole.steps)
        for step in plan.steps:
            own = [f"s{int(needed[1:]) + before}" for needed in step.depends_on]
            made = whole.steps.add(
                id=f"s{int(step.id[1:]) + before}",
                executor=step.executor,
                action=step.action,
                depends_on=own or ([f"s{before}"] if before else []),
                description=step.description,
            )
            made.parameters.update(_moved(MessageToDict(step.parameters), before))
    return whole


def _moved(value: Any, by: int) -> Any:
    """The parameters, with their references to steps counted from another beginning."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: f"${{s{int(found[1]) + by}", value)
    if isinstance(value, dict):
        return {name: _moved(one, by) for name, one in value.items()}
    return [_moved(one, by) for one in value] if isinstance(value, list) else value


def replies(entities: dict[str, Any], outcomes: list[StepOutcome], now: datetime) -> str:
    """What is said to each part, in turn. Raises WrongEntityError for parts of another shape.

    With `among`, a reply names what it is about. Otherwise nobody could tell later which of the requests was done.
    """
    said, at = [], 0
    try:
        for part in entities["parts"]:
            until = at + int(part["steps"])
            entities_of = dict(part["entities"]) | {"among": "others"}
            said.append(reply(str(part["intent"]), entities_of, outcomes[at:until], now))
            at = until
    except (LookupError, TypeError, ValueError):
        raise WrongEntityError("plan.entities.parts is not that of a plan for several requests") from None
    return " ".join(words for words in said if words)
