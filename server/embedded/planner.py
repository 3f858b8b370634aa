"""M5, planner: an intent becomes steps, and what became of the steps becomes words. It keeps nothing between calls."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict

from protos import planner_pb2, planner_pb2_grpc
from server.embedded.intent import recognise
from server.embedded.replies import reply
from server.embedded.service import EmbeddedService

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_TEXT_CHARS = 2_000
SEARCH_RESULTS = 5
PAGE_CHARS = 20_000

Context = grpc.aio.ServicerContext[Any, Any]
Entities = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ids are s1, s2 … in order."""

    executor: str
    action: str
    parameters: dict[str, Any]
    description: str
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an intent is for, and how it is done."""

    goal: str
    steps: Callable[[Entities], list[Step]] = field(default=lambda _entities: [])


def key_of(attribute: str) -> str:
    """`favourite colour` → user.favorite-color: the same however it is spelt."""
    folded = attribute.lower().replace("favourite", "favorite").replace("colour", "color")
    return "user." + re.sub(r"[^a-z0-9]+", "-", folded).strip("-")


def _remember(entities: Entities) -> list[Step]:
    attribute, value = entities.get("attribute", ""), entities.get("value", "")
    given = {"key": key_of(attribute), "value": value, "tags": ["about-user"], "metadata": {"attribute": attribute}}
    return [Step("memory", "store", given, f"Remember your {attribute}")]


def _remember_fact(entities: Entities) -> list[Step]:
    return [Step("memory", "store", {"value": entities.get("fact", ""), "tags": ["note"]}, "Remember a note")]


def _recall(entities: Entities) -> list[Step]:
    attribute = entities.get("attribute", "")
    return [Step("memory", "retrieve", {"key": key_of(attribute)}, f"Look up your {attribute}")]


def _forget(entities: Entities) -> list[Step]:
    attribute = entities.get("attribute", "")
    return [Step("memory", "delete", {"key": key_of(attribute)}, f"Forget your {attribute}")]


def _search(entities: Entities) -> list[Step]:
    query = entities.get("query", "")
    return [Step("search", "search", {"query": query, "max_results": SEARCH_RESULTS}, f"Search for {query}")]


def _open_result(entities: Entities) -> list[Step]:
    """The query comes from the conversation: `with_context` has put it in."""
    if not entities.get("query"):
        return []
    url = f"${{s1.results.{int(entities.get('ordinal', 0))}.url}}"
    return [*_search(entities), Step("browser", "navigate", {"url": url}, "Open the result", ("s1",))]


def _open_page(entities: Entities) -> list[Step]:
    return [Step("browser", "navigate", {"url": entities.get("url", "")}, f"Open {entities.get('url', '')}")]


def _list_files(entities: Entities) -> list[Step]:
    folder = entities.get("folder", "current")
    return [Step("os", "ls", {"args": [] if folder == "current" else [folder]}, "List files")]


def _run(entities: Entities) -> list[Step]:
    command = entities.get("command", "")
    return [Step("os", command, {"args": list(entities.get("args", []))}, f"Run {command}")] if command else []


RECIPES: dict[str, Recipe] = {
    "get_time": Recipe("Tell the time"),
    "get_date": Recipe("Tell the date"),
    "web_search": Recipe("Search the web", _search),
    "open_result": Recipe("Open a search result", _open_result),
    "open_page": Recipe("Open a page", _open_page),
    "read_page": Recipe("Read the page", lambda _e: [Step("browser", "extract_text", {}, "Read the page")]),
    "screenshot": Recipe("Take a screenshot", lambda _e: [Step("browser", "screenshot", {}, "Take a screenshot")]),
    "go_back": Recipe("Go back", lambda _e: [Step("browser", "back", {}, "Go back")]),
    "list_files": Recipe("List files", _list_files),
    "run_command": Recipe("Run a command", _run),
    "remember": Recipe("Remember something about you", _remember),
    "remember_fact": Recipe("Remember a note", _remember_fact),
    "recall": Recipe("Recall something about you", _recall),
    "forget": Recipe("Forget something about you", _forget),
}


def with_context(intent: str, entities: Entities, turns: Sequence[planner_pb2.Turn]) -> Entities:
    """What "open the first one" is about: the last search that the user asked for."""
    if intent != "open_result" or entities.get("query"):
        return entities
    for turn in reversed(turns):
        if turn.role == "user":
            guess = recognise(turn.text)[0]
            if guess.intent == "web_search":
                return {**entities, "query": guess.entities.get("query", "")}
    return entities


def moment(time_zone: str) -> datetime:
    """Now, where the user is. Raises ValueError for a zone that nobody knows."""
    if not time_zone:
        return datetime.now().astimezone()
    try:
        return datetime.now(ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {time_zone[:64]}") from None


class PlannerService(EmbeddedService, planner_pb2_grpc.PlannerServicer):
    """See the module."""

    name: ClassVar[str] = "planner"
    full_name: ClassVar[str] = "jarvis.planner.v1.Planner"

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        planner_pb2_grpc.add_PlannerServicer_to_server(self, server)

    async def Plan(  # noqa: N802 - gRPC's name
        self, request: planner_pb2.PlanRequest, context: Context
    ) -> planner_pb2.PlanResponse:
        """Steps for what is wanted."""
        intent, entities = request.intent, MessageToDict(request.entities)
        if not intent:
            if not request.text.strip() or len(request.text) > MAX_TEXT_CHARS:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "either intent or text has to be given")
            guess = recognise(request.text)[0]
            intent, entities = guess.intent, guess.entities
        entities = with_context(intent, entities, request.context)
        recipe = RECIPES.get(intent, Recipe("Answer"))
        response = planner_pb2.PlanResponse(plan_id=uuid.uuid4().hex, goal=recipe.goal, intent=intent)
        response.entities.update(entities)
        for number, step in enumerate(recipe.steps(entities), 1):
            made = response.steps.add(
                id=f"s{number}",
                executor=step.executor,
                action=step.action,
                depends_on=step.depends_on,
                description=step.description,
            )
            made.parameters.update(step.parameters)
        return response

    async def Compose(  # noqa: N802 - gRPC's name
        self, request: planner_pb2.ComposeRequest, context: Context
    ) -> planner_pb2.ComposeResponse:
        """The words at the end."""
        try:
            now = moment(request.time_zone)
        except ValueError as unknown:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(unknown))
        outcomes = [(outcome.status, MessageToDict(outcome.result), outcome.message) for outcome in request.outcomes]
        entities = MessageToDict(request.plan.entities)
        return planner_pb2.ComposeResponse(text=reply(request.plan.intent, entities, outcomes, now))
