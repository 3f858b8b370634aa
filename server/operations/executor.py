"""M7 browser, M8 OS, M9 search: check roles, safety and confirmation, then run the task."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from server.errors import ApiError, from_service
from server.operations.fields import AS_WHOLE, Name, Parameters, SessionId, Text, TimeoutMs
from server.operations.operation import KIB, Access, NoParameters, Operation, RequestModel, ResponseModel, Streaming
from streaming.agent.actions import carry_out, refusal
from streaming.ports import Action, ServiceError

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations.operation import Caller
    from server.shared.confirmations import Question
    from streaming.ports import ActionInfo, Executor, SafetyReport, TaskResult

MAX_ARGUMENTS = 64
MAX_ARGUMENT_CHARS = 1_024
COMMAND_BODY_BYTES = 512 * KIB  # all arguments at full length, with every character escaped
MAX_RESULTS = 50

ExecutionStatus = Literal["ok", "failed"]
ActionHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Argument = Annotated[str, StringConstraints(max_length=MAX_ARGUMENT_CHARS)]


# --- how a task is run ----------------------------------------------------------------------------------------------


async def perform(gateway: Gateway, caller: Caller, action: Action, timeout_ms: int | None) -> tuple[str, TaskResult]:
    """Check safety and run the action; returns the task's id and result.

    Raises ApiError SAFETY_DENIED (403), CONFIRMATION_REQUIRED (409), and ServiceError.
    """
    report = await gateway.services.safety.check([action], caller.context)
    refused = await refusal(report, partial(_ask_first, gateway, caller, action, report, timeout_ms))
    if refused is not None:
        raise from_service(refused)
    return await run_task(gateway, caller, action, timeout_ms)


async def _ask_first(
    gateway: Gateway, caller: Caller, action: Action, report: SafetyReport, timeout_ms: int | None
) -> bool:
    """Leave a question for a later approval, because this request does not wait for it. Always raises ApiError."""
    question = await gateway.confirmations.defer(action, report, caller.context, timeout_ms)
    raise ApiError(
        "CONFIRMATION_REQUIRED",
        "; ".join(report.reasons) or "this action has to be approved first",
        extra={
            "confirmation_id": question.confirmation_id,
            "expires_at": question.expires_at,
            "risk": report.risk,
            "action_hash": question.action_hash,
        },
    )


async def run_task(gateway: Gateway, caller: Caller, action: Action, timeout_ms: int | None) -> tuple[str, TaskResult]:
    """Run an approved action; returns the task's id and result. Raises ServiceError."""
    task_id = uuid.uuid4().hex
    context = replace(caller.context, timeout_ms=timeout_ms)
    return task_id, await carry_out(gateway.services, task_id, action, context, caller.progress)


# --- browser --------------------------------------------------------------------------------------------------------


class BrowserRequest(RequestModel):
    """One action in the session's own page of the caller's browser."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"action": "navigate", "parameters": {"url": "https://example.com"}}]}
    )

    action: Name
    parameters: Parameters = Field(default_factory=dict)
    session_id: SessionId | None = None
    timeout_ms: TimeoutMs | None = None


class TaskAnswer(ResponseModel):
    """How a task ended. `failed`: it ran without success, and `message` says why."""

    task_id: str
    status: ExecutionStatus
    result: dict[str, Any]
    message: str | None = None


async def browse(gateway: Gateway, caller: Caller, request: BrowserRequest) -> TaskAnswer:
    """Run a browser action."""
    action = Action("browser", request.action, request.parameters)
    task_id, done = await perform(gateway, caller, action, request.timeout_ms)
    return TaskAnswer(task_id=task_id, status=done.status, result=done.result, message=done.message or None)


# --- OS -------------------------------------------------------------------------------------------------------------


class CommandRequest(RequestModel):
    """A whitelisted command and its arguments, run without a shell."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"command": "ls", "args": ["-l"]}]})

    command: Name
    args: list[Argument] = Field(default_factory=list, max_length=MAX_ARGUMENTS)
    timeout_ms: TimeoutMs | None = None


class CommandAnswer(ResponseModel):
    """The command's output. `failed`: any exit code but 0, unless it was ended because its output was too long: `truncated`, and `message` says so."""

    task_id: str
    status: ExecutionStatus
    exit_code: int | None
    stdout: str
    stderr: str
    duration_ms: int | None
    truncated: Annotated[bool, Field(description="the output was cut, so there is more than is told here")] = False
    message: str | None = None


async def run_command(gateway: Gateway, caller: Caller, request: CommandRequest) -> CommandAnswer:
    """Run a command."""
    action = Action("os", request.command, {"args": request.args})
    task_id, done = await perform(gateway, caller, action, request.timeout_ms)
    return CommandAnswer(
        task_id=task_id,
        status=done.status,
        exit_code=_whole(done.result.get("exit_code")),
        stdout=str(done.result.get("stdout", "")),
        stderr=str(done.result.get("stderr", "")),
        duration_ms=_whole(done.result.get("duration_ms")),
        truncated=done.result.get("truncated") is True,
        message=done.message or None,
    )


def _whole(number: float | None) -> int | None:
    """An integer from a protobuf Struct, which has doubles only."""
    return None if number is None else int(number)


# --- search ---------------------------------------------------------------------------------------------------------


class SearchRequest(RequestModel):
    """A web search."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "python tutorials", "max_results": 5}]})

    query: Text
    max_results: Annotated[int, Field(ge=1, le=MAX_RESULTS), AS_WHOLE] = 10


class SearchResultAnswer(ResponseModel):
    """One search result."""

    title: str
    url: str
    snippet: str
    score: float | None = None


class SearchAnswer(ResponseModel):
    """Results, best first."""

    query: str
    provider: str
    results: list[SearchResultAnswer]
    left_out: Annotated[
        int, Field(description="documents that are not searched: named as secrets are, or longer than 1 MiB")
    ] = 0


async def search(gateway: Gateway, caller: Caller, request: SearchRequest) -> SearchAnswer:
    """Search the web."""
    action = Action("search", "search", {"query": request.query, "max_results": request.max_results})
    _task_id, done = await perform(gateway, caller, action, None)
    if done.status != "ok":
        raise ServiceError("UNAVAILABLE", done.message or "the search failed", service="search")
    return SearchAnswer(
        query=request.query,
        provider=str(done.result.get("provider", "")),
        results=[SearchResultAnswer.model_validate(found) for found in done.result.get("results", [])],
        left_out=done.result.get("left_out", 0),
    )


# --- lists ----------------------------------------------------------------------------------------------------------


class ActionInfoAnswer(ResponseModel):
    """An action that can be run; `parameters` is a JSON Schema (2020-12)."""

    name: str
    description: str
    parameters: dict[str, Any]


class ActionsAnswer(ResponseModel):
    """All browser actions."""

    actions: list[ActionInfoAnswer]


class CommandsAnswer(ResponseModel):
    """All whitelisted commands."""

    commands: list[ActionInfoAnswer]


async def _listed(executor: Executor, caller: Caller) -> list[ActionInfoAnswer]:
    infos: list[ActionInfo] = list(await executor.actions(caller.context))
    return [
        ActionInfoAnswer(name=info.name, description=info.description, parameters=info.parameters) for info in infos
    ]


async def list_browser_actions(gateway: Gateway, caller: Caller, _request: NoParameters) -> ActionsAnswer:
    """List M7's actions."""
    return ActionsAnswer(actions=await _listed(gateway.services.browser, caller))


async def list_os_commands(gateway: Gateway, caller: Caller, _request: NoParameters) -> CommandsAnswer:
    """List M8's commands."""
    return CommandsAnswer(commands=await _listed(gateway.services.os, caller))


# --- confirmations --------------------------------------------------------------------------------------------------


class ConfirmRequest(RequestModel):
    """The user's decision on a risky action."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"approve": True}]})

    confirmation_id: Name
    approve: bool
    action_hash: ActionHash | None = None


class ConfirmAnswer(ResponseModel):
    """The outcome of a decision.

    `declined`: the action was refused and is gone. `ok`, `failed`: it was approved and has run; `result` is the executor's.
    `approved`: the session that asked continues and reports there.
    """

    confirmation_id: str
    approved: bool
    status: Literal["ok", "failed", "approved", "declined"]
    task_id: str | None = None
    result: dict[str, Any] | None = None
    message: str | None = None


async def confirm(gateway: Gateway, caller: Caller, request: ConfirmRequest) -> ConfirmAnswer:
    """Settle a question once. Another user's, a settled or an expired question is answered with 404.

    An approval needs the role that the action needs: without it, 403, and the question stays open.
    """
    question = await gateway.confirmations.take(
        request.confirmation_id, caller.context, approve=request.approve, action_hash=request.action_hash
    )
    if question is None:
        raise ApiError("NOT_FOUND", "there is no such open confirmation")
    if not request.approve:
        return ConfirmAnswer(confirmation_id=request.confirmation_id, approved=False, status="declined")
    if not question.deferred:
        return ConfirmAnswer(confirmation_id=request.confirmation_id, approved=True, status="approved")
    return await _run_approved(gateway, caller, request.confirmation_id, question)


async def _run_approved(gateway: Gateway, caller: Caller, confirmation_id: str, question: Question) -> ConfirmAnswer:
    asked_ms_ago = gateway.confirmations.asked_ms_ago(question)
    context = replace(caller.context, session_id=question.session_id, asked_ms_ago=asked_ms_ago)
    caller = replace(caller, context=context)
    task_id, done = await run_task(gateway, caller, question.action, question.timeout_ms)
    return ConfirmAnswer(
        confirmation_id=confirmation_id,
        approved=True,
        status=done.status,
        task_id=task_id,
        result=done.result,
        message=done.message or None,
    )


_REFUSALS = (
    "SAFETY_DENIED",
    "NOT_FOUND",
    "CONFIRMATION_REQUIRED",
)

# Whatever runs an action
_task = partial(Operation, method="POST", refusals=_REFUSALS, streaming=Streaming.PROGRESS, idempotency_key=True)
_list = partial(Operation, method="GET", access=Access.OPERATOR)

OPERATIONS = (
    _task(
        name="executor.browser.action",
        path="/api/v1/executor/browser/action",
        summary="Act in a browser page",
        access=Access.OPERATOR,
        request=BrowserRequest,
        response=TaskAnswer,
        run=browse,
        service="browser",
    ),
    _list(
        name="executor.browser.actions",
        path="/api/v1/executor/browser/actions",
        summary="List the browser's actions",
        response=ActionsAnswer,
        run=list_browser_actions,
        service="browser",
    ),
    _task(
        name="executor.os.command",
        path="/api/v1/executor/os/command",
        summary="Run a whitelisted command",
        access=Access.OPERATOR,
        request=CommandRequest,
        response=CommandAnswer,
        body_limit_bytes=COMMAND_BODY_BYTES,
        run=run_command,
        service="os",
    ),
    _list(
        name="executor.os.commands",
        path="/api/v1/executor/os/commands",
        summary="List the whitelisted commands",
        response=CommandsAnswer,
        run=list_os_commands,
        service="os",
    ),
    _task(
        name="executor.search",
        path="/api/v1/executor/search",
        summary="Search",
        access=Access.USER,
        request=SearchRequest,
        response=SearchAnswer,
        run=search,
        service="search",
    ),
    Operation(
        name="executor.confirm",
        method="POST",
        path="/api/v1/executor/confirmations/{confirmation_id}",
        summary="Approve or refuse a risky action",
        access=Access.USER,
        request=ConfirmRequest,
        response=ConfirmAnswer,
        run=confirm,
        service="browser, os or search",
        refusals=("NOT_FOUND", "ACTION_CHANGED"),
        streaming=Streaming.PROGRESS,
        idempotency_key=True,
    ),
)
