"""M5, planner: turns an intent into steps, and the steps' outcomes into a reply. It keeps no state between calls.

With a language model (LLM_BASE_URL), what the templates do not understand or only guess is left to it: the plan is open-ended, and Converse
continues.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict

from protos import planner_pb2, planner_pb2_grpc
from server.embedded.fairness import FairThreads
from server.embedded.intent.beyond import COMPARING, INSTEAD
from server.embedded.intent.normalise import UNASKED
from server.embedded.intent.recognition import GUESSED, NEARLY, OPEN, SEVERAL, UNKNOWN, prepare, recognise, suggestion
from server.embedded.intent.refusals import refuses
from server.embedded.mind.chat import Chat
from server.embedded.mind.config import MindConfig, mind_config
from server.embedded.mind.errors import MindError
from server.embedded.mind.rounds import converse
from server.embedded.planner.acts import outcome_of, to_undo
from server.embedded.planner.follow_ups import NOT_UNDERSTOOD, TOLD, acts, last_reply, turns_before, whole_request
from server.embedded.planner.recipes import ANSWER, RECIPES, Entities, WrongEntityError, missing, read_entities
from server.embedded.planner.references import asks_for_count, compares, counted_before
from server.embedded.planner.replies import StepOutcome, reply
from server.embedded.planner.several import joined, replies
from server.embedded.search.provider import LOCAL, provider_name
from server.embedded.service import EmbeddedConfig, EmbeddedService
from server.embedded.telling import mentioned

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from google.protobuf.struct_pb2 import Struct

    from server.embedded.planner.acts import Act

log = logging.getLogger(__name__)

MAX_TEXT_CHARS = 2_000
MAX_INTENT_CHARS = 128
MAX_HEARD_CHARS = 100  # repeated to the user
# Also with LLM_FIRST: these are about the conversation itself.
ALWAYS_TEMPLATES = frozenset({"yes", "no", "stop", "repeat"})
ANSWERS = frozenset({"yes", "no"})  # to a question of the model itself, if it has just asked one
# Said to what was told, and not only to a question.
_ACKNOWLEDGED = re.compile(
    r"(?:(?:(?:oh|ah|well),? )?(?:ok|okay|right|fine|alright|all right|sure|correct|exactly|sounds good|it's fine|that's fine|that's right"
    r"|cool|nice|great|perfect|good|awesome|wonderful|excellent|interesting|got it|i see|understood|makes sense|good to know|no problem|thanks|thank you|cheers)"
    r"[.!, ]*)+",
    re.IGNORECASE,
)
_WHY = re.compile(r"\b(?:why|how come|what for|how (?:do|can|would) you know)\b", re.IGNORECASE)
_WHAT = re.compile(
    r"\b(?:mean|understand|get it|follow|explain|talking about|is (?:that|this)|exactly)\b", re.IGNORECASE
)
# An idiom. Only straight after something was told does it mean that.
_NEVER_MIND = re.compile(r"(?:(?:oh|no|ah|well|please|just|ok|okay),? )*forget (?:about )?it[.!]*", re.IGNORECASE)
ABOUT_ACTS = frozenset({"open_result", "forget", "undo", "explain"})  # may mean what was done before
MERE_NO_WORDS = 2  # "no thanks"; "I don't agree with that" answers what a language model has said
KNOWN = round(NEARLY * OPEN, 2)  # the least confidence of a template with a word mended; below it are guesses
MOMENT_TURNS = 6  # the newest turns, in which what was said needs no repetition
CONTEXT_TURNS = 20  # the newest turns considered, to understand "open the first one"

Context = grpc.aio.ServicerContext[Any, Any]


def with_context(intent: str, entities: Entities, turns: Sequence[planner_pb2.Turn], text: str = "") -> Entities:
    """Resolve what "open the first one", "say that again", "forget that" and "why?" refer to."""
    recent = [turn for turn in turns[-CONTEXT_TURNS:] if len(turn.text) <= MAX_TEXT_CHARS]
    if intent == "repeat":
        role = str(entities.get("who", "assistant"))
        said = (turn.text for turn in reversed(recent) if turn.role == role and turn.text.strip() and turn.text != text)
        return entities | {"text": next(said, "")}
    if intent not in ABOUT_ACTS or (entities.keys() & {"query", "attribute", "topic"}):
        return entities
    done = acts(turns_before(recent, text))[::-1]
    if intent == "open_result":
        query = next((str(act.guess.entities["query"]) for act in done if act.guess.entities.get("query")), "")
        return entities | ({"query": query} if query else {})
    if intent == "forget":
        if _NEVER_MIND.fullmatch(text.strip()):
            done = [act for act in done[:1] if act.name in TOLD]
        return entities | _last_remembered(done)
    if intent == "undo":
        last = to_undo(done[::-1])
        return entities | ({"asked": last.said} if last else {})
    if not _WHY.search(text):
        told = next((turn.text for turn in reversed(recent) if turn.role == "assistant" and turn.text.strip()), "")
        return entities | ({"said": told} if told and _WHAT.search(text) else {})
    return entities | _reasons(recent, done)


def _last_remembered(before: Sequence[Act]) -> Entities:
    """Resolve "forget that": the newest thing that the user gave to memory or asked it for."""
    for act in before:
        if (
            act.guess.intent in {"remember", "recall", "remember_fact", "recall_notes"}
            and UNASKED not in act.guess.entities
        ):
            kept = recognise(act.told)[0].entities  # what was found, rather than the question
            topic = kept.get("fact") or kept.get("topic")
            return {"attribute": kept["attribute"]} if "attribute" in kept else {"topic": topic} if topic else {}
    return {}


def _reasons(recent: Sequence[planner_pb2.Turn], before: Sequence[Act]) -> Entities:
    """What "why?" is about: the last reply, or the act that it was given to."""
    told = last_reply(recent)
    outcome, facts = outcome_of(told)
    if outcome or NOT_UNDERSTOOD in told:
        return {"about": outcome or UNKNOWN, **facts}
    return {"about": before[0].name, "asked": before[0].said} if before and told else {}


def moment(time_zone: str) -> datetime:
    """The current time in the user's time zone. Raises WrongEntityError for an unknown zone."""
    if not time_zone:
        return datetime.now().astimezone()
    try:
        return datetime.now(ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WrongEntityError(f"there is no time zone {time_zone[:64]}") from None


def _values(struct: Struct, name: str) -> dict[str, Any]:
    """A Struct as a dict. Raises WrongEntityError for numbers that JSON does not have."""
    try:
        values: dict[str, Any] = MessageToDict(struct)
    except ValueError:  # SerializeToJsonError: NaN or infinity
        raise WrongEntityError(f"{name} holds something that is not a number") from None
    return values


def _wanted(request: planner_pb2.PlanRequest) -> tuple[str, Entities]:
    """Intent and entities, recognised from the text if not given. Raises WrongEntityError."""
    if len(request.text) > MAX_TEXT_CHARS or len(request.intent) > MAX_INTENT_CHARS:
        raise WrongEntityError(f"text has at most {MAX_TEXT_CHARS} characters, intent {MAX_INTENT_CHARS}")
    if not request.intent and not request.text.strip():
        raise WrongEntityError("either intent or text has to be given")
    intent, entities = request.intent, read_entities(_values(request.entities, "entities"))
    if asks_for_count(request.text) and recognise(request.text)[0].confidence <= GUESSED:
        return "count", counted_before(request.text, request.context)
    completed = whole_request(request.text, intent, request.context)
    if completed is not None:
        entities = with_context(completed.intent, dict(completed.entities), request.context, request.text)
        return completed.intent, entities | _already_told(entities, request.context)
    if request.text.strip() and (not intent or missing(intent, entities)):
        heard = next((guess for guess in recognise(request.text) if intent in ("", guess.intent)), None)
        if heard is not None:
            intent, entities = heard.intent, {**heard.entities, **entities}
    if intent in {"yes", UNKNOWN} and _ACKNOWLEDGED.fullmatch(request.text.strip()):
        return "yes", entities | {"mood": "fine"}
    if intent == UNKNOWN and "cannot" in entities:
        return intent, entities | _already_told(entities, request.context)
    if compares(request.text) and _files_were_listed(request):
        cannot = {"cannot": COMPARING}
        return UNKNOWN, cannot | _already_told(cannot, request.context)
    if intent == UNKNOWN:
        suggested = suggestion(request.text)
        return intent, entities | (
            {"suggested": suggested} if suggested else _not_understood(request.text, request.context)
        )
    if intent == "yes" and _WHY.search(request.text):
        intent = "explain"  # "why not?", where no question waits
    if intent == "web_search" and (told := _told_here(request, str(entities.get("query", "")))):
        return told
    known = with_context(intent, entities, request.context, request.text)
    if intent == "forget" and not known and _NEVER_MIND.fullmatch(request.text.strip()):
        return "stop", known
    return intent, known


def _acts_before(request: planner_pb2.PlanRequest) -> list[Act]:
    return acts(turns_before(request.context[-CONTEXT_TURNS:], request.text))


def _files_were_listed(request: planner_pb2.PlanRequest) -> bool:
    before = _acts_before(request)
    return bool(before) and before[-1].name in {"list_files", "find"}


def _not_understood(text: str, turns: Sequence[planner_pb2.Turn]) -> Entities:
    """What was heard, and whether the previous utterance was not understood either."""
    heard = text.strip().rstrip(".!?,")[:MAX_HEARD_CHARS]
    return {"heard": heard, "again": NOT_UNDERSTOOD in last_reply(turns)} if heard else {}


def _told_here(request: planner_pb2.PlanRequest, query: str) -> tuple[str, Entities] | None:
    """What is to be recalled in place of a search, as the user told it here: notes of the wifi password, or whose name Anna is.

    An explicit search stays one.
    """
    if not query or recognise(request.text)[0].confidence > GUESSED:
        return None
    before = [(act.name, act.guess.entities) for act in _acts_before(request)]
    if any((fact := str(told.get("fact", ""))) and mentioned(fact, query) == 1.0 for _, told in before):
        return "recall_notes", {"topic": query}
    values = ((told["attribute"], told.get("value", "")) for name, told in before if name == "remember")
    attribute = next((str(attribute) for attribute, value in values if str(value).lower() == query.lower()), "")
    return ("recall", {"attribute": attribute}) if attribute else None


def _already_told(entities: Entities, turns: Sequence[planner_pb2.Turn]) -> Entities:
    """`again`, if what can be done in place of what cannot was said a moment ago."""
    instead = INSTEAD.get(str(entities.get("cannot", "")), "")
    told = any(turn.role == "assistant" and instead in turn.text for turn in turns[-MOMENT_TURNS:])
    return {"again": True} if instead and told else {}


def _asked(turns: Sequence[planner_pb2.Turn]) -> bool:
    """True if the agent's last words, as far as they were heard, were a question."""
    return last_reply(turns).rstrip(" \n\"'”’)*").endswith(("?", "？"))


def _answers(text: str, intent: str) -> bool:
    """True if the words begin with a yes or no: what follows it was said to a question, too."""
    return intent in ANSWERS or any(
        "also" in guess.entities or "instead" in guess.entities for guess in recognise(text)
    )


def _is_guess(request: planner_pb2.PlanRequest, made: planner_pb2.PlanResponse) -> bool:
    """True if the templates only guess, as for `who was Ada Lovelace`, and neither the conversation nor another recogniser knows more."""
    best = recognise(request.text)[0]
    if best.intent != made.intent or best.confidence >= KNOWN or len(request.text) > MAX_TEXT_CHARS:
        return False
    given = _values(request.entities, "entities")
    return (
        given in ({}, _in_json(best.entities)) and whole_request(request.text, request.intent, request.context) is None
    )


def _in_json(entities: Entities) -> Entities:
    struct = planner_pb2.PlanRequest().entities
    struct.update(entities)
    return _values(struct, "entities")


def plan(request: planner_pb2.PlanRequest, *, web: bool = False) -> planner_pb2.PlanResponse:
    """The steps for a request; none if something is missing, which the reply then asks for. Raises WrongEntityError.

    `web`: searches go to the web, which may tell the weather and the like.
    """
    intent, entities = _wanted(request)
    if intent == SEVERAL:
        return _plan_several(entities, request.context, web=web)
    if web and intent == UNKNOWN and entities.get("look_up"):
        intent, entities = "web_search", {"query": entities["look_up"]}
    recipe = RECIPES.get(intent, ANSWER)
    response = planner_pb2.PlanResponse(plan_id=uuid.uuid4().hex, goal=recipe.goal, intent=intent)
    response.entities.update(entities)
    steps = [] if missing(intent, entities) else recipe.steps(entities)
    for number, step in enumerate(steps, 1):
        made = response.steps.add(
            id=f"s{number}",
            executor=step.executor,
            action=step.action,
            depends_on=step.depends_on,
            description=step.description,
        )
        made.parameters.update(step.parameters)
    return response


def _plan_several(entities: Entities, context: Sequence[planner_pb2.Turn], *, web: bool) -> planner_pb2.PlanResponse:
    """One plan for all requests: the steps of each follow those of the one before. Raises WrongEntityError."""
    requests = entities.get("requests") or []
    if not requests:
        raise WrongEntityError("entities.requests has to hold texts")
    turns, plans = list(context), []
    for text in requests:
        if recognise(text)[0].intent == SEVERAL:
            raise WrongEntityError("entities.requests has to hold one request in each text")
        plans.append(plan(planner_pb2.PlanRequest(text=text, context=turns), web=web))
        turns.append(planner_pb2.Turn(role="user", text=text))
    return joined(requests, plans)


def _outcomes(plan: planner_pb2.PlanResponse, given: Iterable[planner_pb2.Outcome]) -> list[StepOutcome]:
    """One outcome per step, in the plan's order; a step without one counts as unknown, never as done."""
    known = {
        outcome.step_id: StepOutcome(outcome.status, _values(outcome.result, "result"), outcome.message)
        for outcome in given
    }
    ids = [step.id for step in plan.steps] or list(known)
    return [known.get(step_id, StepOutcome("unknown", {}, "")) for step_id in ids]


def compose(request: planner_pb2.ComposeRequest) -> str:
    """The text of the reply. Raises WrongEntityError."""
    now = moment(request.time_zone)
    entities = _values(request.plan.entities, "entities")
    outcomes = _outcomes(request.plan, request.outcomes)
    if request.plan.intent == SEVERAL:
        return replies(entities, outcomes, now)
    return reply(request.plan.intent, entities, outcomes, now)


class PlannerService(EmbeddedService, planner_pb2_grpc.PlannerServicer):
    """Serves Plan, Compose and Converse: by templates, and by a language model where one is configured."""

    name: ClassVar[str] = "planner"

    _mind: MindConfig | None = None
    _chat: Chat | None = None

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._threads = FairThreads(1, "planner")  # more would only wait for each other

    async def start(self) -> None:
        """Compile the templates, because text may be planned without a recognised intent."""
        self._mind = mind_config(self.config)
        if self._mind is not None:
            self._chat = Chat(self._mind)
            await self._chat.start()
            self.engine = f"templates, {self._mind.model}"
        await asyncio.to_thread(prepare)

    async def stop(self) -> None:
        """End the thread, and close the connection to the language model."""
        self._threads.close()
        if self._chat is not None:
            await self._chat.close()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""
        planner_pb2_grpc.add_PlannerServicer_to_server(self, server)

    async def Plan(  # noqa: N802 - gRPC's name
        self, request: planner_pb2.PlanRequest, context: Context
    ) -> planner_pb2.PlanResponse:
        """The steps that reach the goal."""
        try:
            made = await self._threads.run(partial(plan, request, web=self._searches_the_web()))
        except WrongEntityError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        if self._mind is not None and request.text.strip() and self._is_for_the_mind(made, request):
            made.open_ended = True
            del made.steps[:]
        return made

    def _searches_the_web(self) -> bool:
        """True if it does, and no language model answers what the templates cannot."""
        return self._mind is None and provider_name(self.config.option) != LOCAL

    def _is_for_the_mind(self, made: planner_pb2.PlanResponse, request: planner_pb2.PlanRequest) -> bool:
        assert self._mind is not None, "the caller looked"
        intent = made.intent
        if (
            intent == UNKNOWN
            or (intent == "no" and refuses(request.text) and len(request.text.split()) > MERE_NO_WORDS)
            or _is_guess(request, made)
            or (intent in ABOUT_ACTS and not made.steps)
            or (intent == "count" and "count" not in made.entities)
            or UNASKED in made.entities
            or (_answers(request.text, intent) and _asked(request.context))
        ):
            return True
        return (self._mind.first or request.prefer_model) and intent not in ALWAYS_TEMPLATES

    async def Compose(  # noqa: N802 - gRPC's name
        self, request: planner_pb2.ComposeRequest, context: Context
    ) -> planner_pb2.ComposeResponse:
        """The text of the reply."""
        try:
            return planner_pb2.ComposeResponse(text=await self._threads.run(partial(compose, request)))
        except WrongEntityError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        raise AssertionError("abort raises")

    async def Converse(  # noqa: N802 - gRPC's name
        self, request: planner_pb2.ConverseRequest, context: Context
    ) -> AsyncGenerator[planner_pb2.ConverseEvent, None]:
        """One round with the language model."""
        if self._chat is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "there is no language model: LLM_BASE_URL is not set")
            raise AssertionError("abort raises")
        if not request.text.strip() or len(request.text) > MAX_TEXT_CHARS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"text has 1 to {MAX_TEXT_CHARS} characters")
        try:
            now = moment(request.time_zone)
        except WrongEntityError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        try:
            async with aclosing(converse(self._chat, request, now)) as events:
                async for event in events:
                    yield event
        except MindError as failed:
            log.warning("the language model failed: %s: %s", failed.code, failed)
            yield _failure(failed)


def _failure(failed: MindError) -> planner_pb2.ConverseEvent:
    told = planner_pb2.Failure(code=failed.code, message=str(failed), retry_after_ms=failed.retry_after_ms)
    return planner_pb2.ConverseEvent(failed=told)
