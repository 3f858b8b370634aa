"""Calling an operation by name, from a socket's `call`, with the same limits, roles and models as over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from server.errors import ApiError
from server.operations.operation import Caller, Streaming
from server.operations.quota import count, known_refusal, require_room
from server.operations.roles import allows
from server.operations.table import BY_NAME
from server.operations.validation import validated

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations.operation import Operation
    from streaming.ports import CallContext, Identity

_CHANNELS = {Streaming.AUDIO_IN: "stt", Streaming.AUDIO_OUT: "tts"}


def require_access(operation: Operation, identity: Identity) -> None:
    """Raises ApiError FORBIDDEN if the roles are not enough."""
    if not allows(operation.access, identity.roles):
        raise ApiError("FORBIDDEN", f"{operation.name} needs the role {operation.access.role}")


def caller_of(identity: Identity, context: CallContext, request: Any, client_ip: str = "") -> Caller:
    """The caller, in the conversation named by the request, if any."""
    session_id = getattr(request, "session_id", None)
    return Caller(identity, replace(context, session_id=session_id) if session_id else context, client_ip=client_ip)


async def invoke(gateway: Gateway, identity: Identity, context: CallContext, name: str, params: dict[str, Any]) -> Any:
    """Run an operation; returns its answer as JSON, or None if it has no body. Raises ApiError and ServiceError."""
    operation = BY_NAME.get(name)
    if operation is None:
        raise ApiError("UNKNOWN_OPERATION")
    if operation.run is None or not operation.callable:
        channel = _CHANNELS.get(operation.streaming)
        instead = f"open a channel of kind {channel} instead" if channel else "it is for HTTP only"
        raise ApiError("UNKNOWN_OPERATION", f"{name} cannot be called here: {instead}")
    asker = (gateway, operation, identity.user_id, identity.roles, "")
    require_room(known_refusal(*asker))  # before anything is asked of Redis
    revocation = gateway.authenticator.revocation(identity)  # in the limit's round trip: news of a sign-out may be late
    require_room(await count(*asker))
    await revocation
    require_access(operation, identity)
    request = validated(operation, params)
    answer = await operation.run(gateway, caller_of(identity, context, request), request)
    return None if answer is None else to_jsonable_python(answer, inf_nan_mode="null")
