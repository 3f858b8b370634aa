"""What the browser, OS and search executors share: parameters as pydantic models, errors as gRPC statuses, time limits.

A task is one coroutine that reports progress and returns its outcome. Cancelling the call, or its time limit, cancels the task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel, ConfigDict, ValidationError

from protos import executor_pb2
from server.embedded.callers import cancelled_without_caller
from server.embedded.service import EmbeddedService

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 600_000
MAX_PARAMETER_BYTES = 128 * 1024  # all arguments of a command have half of it; reading a million empty ones took 2.3 s
MAX_ERRORS = 1_000  # pydantic spends a microsecond on each that it is asked for
MAX_NAMED_ERRORS = 3  # wrong parameters listed in one message
MAX_ECHOED_CHARS = 64  # of a client's name in a message

Context = grpc.aio.ServicerContext[Any, Any]


class Parameters(BaseModel):
    """An action's parameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of ListActions. `timeout_ms`: time limit if the caller names none."""

    description: str
    parameters: type[Parameters]
    timeout_ms: int = DEFAULT_TIMEOUT_MS


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How a task ended; `message`: why it failed, or what is missing in its values."""

    values: dict[str, Any] = field(default_factory=dict)
    ok: bool = True
    message: str = ""


class TaskError(Exception):
    """Ends the call with this status and message."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL


class UnknownActionError(TaskError):
    """There is no such action."""

    code = grpc.StatusCode.NOT_FOUND


class WrongParametersError(TaskError):
    """The parameters are not those of the action."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class UnavailableError(TaskError):
    """Something outside is unreachable; the text says what."""

    code = grpc.StatusCode.UNAVAILABLE


class FullError(TaskError):
    """The user's share is used up, or everybody's together: load, and no fault of the service."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class OverTimeError(TaskError):
    """The task exceeded its time limit."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Task:
    """A running task: its call's data, and where to report progress."""

    def __init__(self, request: executor_pb2.ExecuteRequest, context: Context) -> None:
        self.user_id = request.user_id
        self.session_id = request.session_id
        # On `time.monotonic`; None: nobody was asked
        self.asked_at = time.monotonic() - request.asked_ms_ago / 1000 if request.asked_ms_ago else None
        self._context = context
        self._writing = asyncio.Lock()  # gRPC takes one message at a time, but a command has two output streams

    async def tell(self, message: str = "", *, percent: float | None = None, stream: str = "", data: str = "") -> None:
        """Report progress. Waits while the caller does not read."""
        told = executor_pb2.Progress(message=message, percent=percent, stream=stream, data=data)
        async with self._writing:
            await self._context.write(executor_pb2.ExecuteEvent(progress=told))

    async def end(self, outcome: TaskOutcome) -> None:
        """Send the last event."""
        status = "ok" if outcome.ok else "failed"
        ended = executor_pb2.Result(status=status, result=struct(outcome.values), message=outcome.message)
        async with self._writing:
            await self._context.write(executor_pb2.ExecuteEvent(result=ended))


def struct(values: Mapping[str, Any]) -> Struct:
    """A protobuf Struct."""
    made = Struct()
    made.update(values)
    return made


def echoed(name: str) -> str:
    """A client's name, shortened and without unprintable characters, for a message."""
    return "".join(char for char in name[:MAX_ECHOED_CHARS] if char.isprintable())


class ExecutorService(EmbeddedService):
    """Serves Execute and ListActions; subclasses define the actions and run them."""

    @abstractmethod
    def actions(self) -> Mapping[str, Action]:
        """The actions by name."""

    @abstractmethod
    async def perform(self, name: str, parameters: Parameters, task: Task) -> TaskOutcome:
        """Run an action; `parameters` is of the action's own model. Raises TaskError."""

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer. The three services differ only in name."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Execute": grpc.unary_stream_rpc_method_handler(
                self._execute, executor_pb2.ExecuteRequest.FromString, executor_pb2.ExecuteEvent.SerializeToString
            ),
            "ListActions": grpc.unary_unary_rpc_method_handler(
                self._list_actions,
                executor_pb2.ListActionsRequest.FromString,
                executor_pb2.ListActionsResponse.SerializeToString,
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self.full_name, methods),))

    async def _execute(self, request: executor_pb2.ExecuteRequest, context: Context) -> None:
        """Run a task. Events are written rather than yielded, so that cancelling the call ends the task at once."""
        try:
            with cancelled_without_caller():
                await self._run(request, context)
        except TaskError as error:
            code, words = error.code, str(error)
        except Exception:
            log.exception("task failed: %s %s", self.name, echoed(request.action))
            code, words = grpc.StatusCode.INTERNAL, f"{echoed(request.action)} failed unexpectedly"
        else:
            return
        await context.abort(code, words)

    async def _run(self, request: executor_pb2.ExecuteRequest, context: Context) -> None:
        action = self.actions().get(request.action)
        if action is None:
            known = ", ".join(sorted(self.actions()))
            raise UnknownActionError(f"there is no action {echoed(request.action)}; known: {known}")
        given = validated(action.parameters, request.parameters)
        timeout_s = min(request.timeout_ms or action.timeout_ms, MAX_TIMEOUT_MS) / 1000
        task = Task(request, context)
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                outcome = await self.perform(request.action, given, task)
        except TimeoutError:
            if not limit.expired():
                raise
            raise OverTimeError(f"{request.action} was not done after {timeout_s:g} s") from None
        await task.end(outcome)

    async def _list_actions(
        self, _request: executor_pb2.ListActionsRequest, _context: Context
    ) -> executor_pb2.ListActionsResponse:
        return executor_pb2.ListActionsResponse(
            actions=[
                executor_pb2.ActionInfo(
                    name=name,
                    description=action.description,
                    parameters=struct(action.parameters.model_json_schema()),
                )
                for name, action in self.actions().items()
            ]
        )


def validated(model: type[Parameters], given: Struct) -> Parameters:
    """The parameters as their model. Raises WrongParametersError with field and reason."""
    if given.ByteSize() > MAX_PARAMETER_BYTES:
        raise WrongParametersError(f"parameters: they have at most {MAX_PARAMETER_BYTES // 1024} KiB")
    try:
        return model.model_validate(MessageToDict(given))
    except ValidationError as wrong:
        if wrong.error_count() > MAX_ERRORS:
            raise WrongParametersError(f"parameters: more than {MAX_ERRORS} of them are wrong") from None
        errors = wrong.errors(include_url=False, include_input=False)
        words = [f"{_field(error['loc'])}: {_reason(error['msg'])}" for error in errors[:MAX_NAMED_ERRORS]]
        raise WrongParametersError("; ".join(words)) from None
    except ValueError:  # NaN and infinity, which JSON does not have
        raise WrongParametersError("parameters: numbers have to be finite") from None


def _field(location: tuple[int | str, ...]) -> str:
    return echoed(".".join(map(str, location))) or "parameters"


def _reason(message: str) -> str:
    """A pydantic message in lower case, without its prefix for ValueError."""
    words = message.removeprefix("Value error, ")
    return words[:1].lower() + words[1:]
