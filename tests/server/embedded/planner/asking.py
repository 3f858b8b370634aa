"""A planner over real gRPC, and the requests to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from protos import planner_pb2, planner_pb2_grpc
from tests.server.embedded.serving import channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from protos.planner_pb2_grpc import PlannerAsyncStub


Told = tuple[str, dict[str, Any], str]  # status, result, message
Turns = list[tuple[str, str]]
NOON = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


@asynccontextmanager
async def planner(directory: Path, **options: str) -> AsyncIterator[PlannerAsyncStub]:
    async with channel("planner", directory, **options) as opened:
        stub: PlannerAsyncStub = planner_pb2_grpc.PlannerStub(opened)
        yield stub


def wanted(text: str = "", intent: str = "", turns: Turns | None = None, **entities: Any) -> planner_pb2.PlanRequest:
    context = [planner_pb2.Turn(role=role, text=said) for role, said in turns or []]
    request = planner_pb2.PlanRequest(text=text, intent=intent, context=context)
    request.entities.update(entities)
    return request


def ended(plan: planner_pb2.PlanResponse, told: list[Told], zone: str = "") -> planner_pb2.ComposeRequest:
    request = planner_pb2.ComposeRequest(plan=plan, time_zone=zone)
    for index, (status, result, message) in enumerate(told, 1):
        outcome = request.outcomes.add(step_id=f"s{index}", status=status, message=message)
        outcome.result.update(result)
    return request


async def said(stub: PlannerAsyncStub, text: str, told: list[Told], turns: Turns | None = None) -> str:
    plan = await stub.Plan(wanted(text, turns=turns))
    return str((await stub.Compose(ended(plan, told))).text)
