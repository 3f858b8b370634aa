"""What browser, OS and search executor have in common: parameters by pydantic models, errors by gRPC status, time limits."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel, ConfigDict, ValidationError

from protos import executor_pb2
from server.embedded.service import EmbeddedService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

DEFAULT_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 600_000

Context = grpc.aio.ServicerContext[Any, Any]


class Parameters(BaseModel):
    """Of an action: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of ListActions."""

    description: str
    parameters: type[Parameters]


class WrongParametersError(Exception):
    """INVALID_ARGUMENT, with these words."""


class UnavailableError(Exception):
    """Something outside can't be reached; the text says what."""


def struct(values: dict[str, Any]) -> Struct:
    """A protobuf Struct."""
    made = Struct()
    made.update(values)
    return made


def progress(
    message: str, *, percent: float | None = None, stream: str = "", data: str = ""
) -> executor_pb2.ExecuteEvent:
    """One step on the way."""
    told = executor_pb2.Progress(message=message, percent=percent, stream=stream, data=data)
    return executor_pb2.ExecuteEvent(progress=told)


def result(status: str, values: dict[str, Any], message: str = "") -> executor_pb2.ExecuteEvent:
    """The end."""
    return executor_pb2.ExecuteEvent(result=executor_pb2.Result(status=status, result=struct(values), message=message))


class ExecutorService(EmbeddedService):
    """Servicer of Execute and ListActions; subclasses say what can be done and do it."""

    default_timeout_ms = DEFAULT_TIMEOUT_MS

    @abstractmethod
    def actions(self) -> dict[str, Action]:
        """By name."""

    @abstractmethod
    def perform(
        self, name: str, parameters: Parameters, request: executor_pb2.ExecuteRequest
    ) -> AsyncGenerator[executor_pb2.ExecuteEvent, None]:
        """Do it. Raises WrongParametersError before anything happens, UnavailableError."""

    async def Execute(  # noqa: N802 - gRPC's name
        self, request: executor_pb2.ExecuteRequest, context: Context
    ) -> AsyncIterator[executor_pb2.ExecuteEvent]:
        """Run a task; a cancelled call stops it."""
        action = self.actions().get(request.action)
        if action is None:
            known = ", ".join(sorted(self.actions()))
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no action {request.action[:64]}; there are: {known}")
            raise AssertionError("abort raises")
        timeout_s = min(request.timeout_ms or self.default_timeout_ms, MAX_TIMEOUT_MS) / 1000
        try:
            given = action.parameters.model_validate(MessageToDict(request.parameters))
            async with asyncio.timeout(timeout_s):
                async with aclosing(self.perform(request.action, given, request)) as events:
                    async for event in events:
                        yield event
        except ValidationError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _first(wrong))
        except WrongParametersError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        except UnavailableError as away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(away))
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"not done after {timeout_s:g} s")

    async def ListActions(  # noqa: N802 - gRPC's name
        self, _request: executor_pb2.ListActionsRequest, _context: Context
    ) -> executor_pb2.ListActionsResponse:
        """What may be asked for."""
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


def _first(wrong: ValidationError) -> str:
    error = wrong.errors(include_url=False)[0]
    return f"{'.'.join(map(str, error['loc'])) or 'parameters'}: {error['msg']}"
