"""One round of a turn: the model's words sentence by sentence, then the steps that it requests."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from protos import planner_pb2
from server.embedded.mind.chat import ChatAnswer
from server.embedded.mind.errors import MindError
from server.embedded.mind.messages import CLIENT, Toolbox, ToolCall, answered, asked, conversation
from server.embedded.mind.schemas import mistake
from server.embedded.mind.sentences import SentenceCutter, is_whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from server.embedded.mind.chat import Chat

MAX_ROUNDS = 6  # rounds with tools in one turn; after that it must answer
MAX_WRONG_ANSWERS = 2  # invalid calls per round that are returned to the model
MAX_CALLS = 8  # per round
LIFE_S = 5.0  # interval of signs of life while no sentence is complete: a model may think for longer than a caller waits in silence
CUT = "My answer was cut off there."
FILTERED = "I can't answer that: a filter of my language model stopped me."


class WrongCallError(Exception):
    """A call that cannot become a step; the model is told the text."""


async def converse(
    chat: Chat, request: planner_pb2.ConverseRequest, now: datetime
) -> AsyncGenerator[planner_pb2.ConverseEvent, None]:
    """The events of one round. Raises MindError."""
    box = Toolbox(request.tools)
    messages = conversation(request, now)
    may_call = len(request.rounds) < MAX_ROUNDS and request.tool_choice != "none"
    choice = (request.tool_choice or "auto") if may_call else "none"
    now_s = asyncio.get_running_loop().time
    told_at_s = now_s()
    for _ in range(MAX_WRONG_ANSWERS + 1):
        answer, cutter, said = ChatAnswer(), SentenceCutter(), ""
        said_by_chat = chat.stream(messages, box.functions(), answer, tool_choice=choice, max_tokens=request.max_tokens)
        async with aclosing(said_by_chat) as pieces:
            async for piece in pieces:
                if whole := cutter.feed(piece):
                    said += whole
                    told_at_s = now_s()
                    yield _words(whole)
                elif now_s() - told_at_s > LIFE_S:
                    told_at_s = now_s()
                    yield planner_pb2.ConverseEvent()
        rest = cutter.rest()
        if not answer.calls:
            rest = _ending(said, rest, answer)
            if not (said + rest).strip():
                raise MindError("INTERNAL", "the language model said nothing")
            yield _words(rest, last=True, cut=answer.cut)
            return
        if not may_call:
            raise MindError("ABORTED", "the language model repeated itself without an answer")
        if rest:
            said += rest + " "
            yield _words(rest + " ")
        steps, wrong = _steps(answer, box, len(request.rounds) + 1)
        if not wrong:
            for step in steps:
                yield planner_pb2.ConverseEvent(step=step)
            return
        messages = [*messages, asked(said, _echoed(answer.calls)), *_told_wrong(answer.calls, wrong)]
    raise MindError("INTERNAL", "the language model asked for what can't be done")


def _words(text: str, *, last: bool = False, cut: bool = False) -> planner_pb2.ConverseEvent:
    return planner_pb2.ConverseEvent(words=planner_pb2.Words(text=text, last=last, cut=cut))


def _ending(said: str, rest: str, answer: ChatAnswer) -> str:
    """What to say of the words after the last whole sentence. Where an answer is cut, they are none, or the user is told so."""
    if not answer.broken or is_whole(rest):
        return rest
    if said.strip():
        return ""
    if rest.strip():
        return f"{rest.rstrip()}… {CUT}"
    return FILTERED if answer.filtered else ""


def _steps(answer: ChatAnswer, box: Toolbox, number: int) -> tuple[list[planner_pb2.Step], dict[int, str]]:
    """The steps, or the mistake of each wrong call. Ids are unique in the turn. The last call of a cut answer may lack arguments."""
    calls = answer.calls
    steps: list[planner_pb2.Step] = []
    wrong: dict[int, str] = {}
    for at, call in enumerate(calls):
        if at >= MAX_CALLS:
            wrong[at] = f"at most {MAX_CALLS} calls at once"
            continue
        if answer.broken and call is calls[-1]:
            wrong[at] = "the answer was cut in this call"
            continue
        try:
            steps.append(_step(call, box, f"r{number}s{at + 1}"))
        except WrongCallError as why:
            wrong[at] = str(why)
    return steps, wrong


def _step(call: ToolCall, box: Toolbox, step_id: str) -> planner_pb2.Step:
    """The step of a call. Raises WrongCallError."""
    tool = box.find(call.name)
    if tool is None:
        raise WrongCallError("there is no such tool")
    parameters = _arguments(call)
    if tool.executor != CLIENT and (wrong := mistake(MessageToDict(parameters), MessageToDict(tool.parameters))):
        raise WrongCallError(wrong)
    return planner_pb2.Step(id=step_id, executor=tool.executor, action=tool.action, parameters=parameters)


def _arguments(call: ToolCall) -> Struct:
    """The call's arguments. Raises WrongCallError if they are not a JSON object."""
    try:
        values: Any = json.loads(call.arguments or "{}", parse_constant=_refused)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise WrongCallError("the arguments are not a JSON object")
    struct = Struct()
    try:
        struct.update(values)
        struct.SerializeToString()
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise WrongCallError("the arguments hold something that can't be sent on") from None
    return struct


def _refused(constant: str) -> None:
    """Refuse NaN and infinity, which are not JSON. Raises ValueError."""
    raise ValueError(constant)


def _echoed(calls: list[ToolCall]) -> list[ToolCall]:
    """The calls to send back. Some endpoints parse the arguments and refuse invalid JSON."""
    return [ToolCall(call.id, call.name, call.arguments if _is_object(call.arguments) else "{}") for call in calls]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _told_wrong(calls: list[ToolCall], wrong: dict[int, str]) -> list[dict[str, Any]]:
    told = [f"not run: {wrong[at]}" if at in wrong else "not run: another call was wrong" for at in range(len(calls))]
    return [
        answered(call.id, json.dumps({"status": "failed", "message": why}))
        for call, why in zip(calls, told, strict=True)
    ]
