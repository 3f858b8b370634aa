"""From words to the reply, for what needs no executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict

from server.embedded.planner.replies import reply
from server.embedded.planner.service import plan
from tests.server.embedded.planner.asking import NOON, Turns, wanted

if TYPE_CHECKING:
    from protos import planner_pb2


def planned(text: str, turns: Turns | None = None) -> planner_pb2.PlanResponse:
    return plan(wanted(text, turns=turns))


def told(text: str, turns: Turns | None = None) -> str:
    made = planned(text, turns)
    assert not made.steps, made.steps
    return reply(made.intent, MessageToDict(made.entities), [], NOON)
