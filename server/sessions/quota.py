"""What live sessions run counts like the operations that REST has for it: executors' actions, turns of text, and texts to be spoken.

A spoken turn is not counted, nor is what it says: it takes the time of its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import ApiError, to_service_error
from server.operations import BY_NAME
from server.operations.quota import count, known_refusal, refusal_of, require_room

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations.operation import Operation
    from streaming.ports import Action, CallContext, ServiceError

_OF_EXECUTORS = {"browser": "executor.browser.action", "os": "executor.os.command", "search": "executor.search"}
_TURN = BY_NAME["agent.plan"]  # which is what a turn makes of its words
_SPEECH = BY_NAME["voice.tts"]


class SessionQuota:
    """`streaming.ports.Quota` over the gateway's one limiter."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def take(self, action: Action, context: CallContext, once: str = "") -> None:
        """Count one run of an executor's action. Raises ServiceError RATE_LIMITED."""
        operation = _operation_of(action)
        if operation is not None:
            await self._count(operation, context, once)

    def refusal(self, action: Action, context: CallContext) -> ServiceError | None:
        """What `take` would raise, if that is known without asking Redis."""
        operation = _operation_of(action)
        if operation is None:
            return None
        decision = known_refusal(self._gateway, operation, context.user_id, context.roles, "")
        return to_service_error(refusal_of(decision)) if decision is not None else None

    async def take_turn(self, context: CallContext, once: str) -> None:
        """Count a turn whose words were given as text. Raises ServiceError RATE_LIMITED."""
        await self._count(_TURN, context, once)

    async def take_speech(self, context: CallContext, once: str) -> None:
        """Count an utterance of a `tts` channel. Raises ServiceError RATE_LIMITED."""
        await self._count(_SPEECH, context, once)

    async def _count(self, operation: Operation, context: CallContext, once: str = "") -> None:
        try:
            require_room(await count(self._gateway, operation, context.user_id, context.roles, "", once))
        except ApiError as refused:
            raise to_service_error(refused) from None


def _operation_of(action: Action) -> Operation | None:
    """The operation that it counts as; None: the executor itself refuses what it does not know."""
    return BY_NAME.get(_OF_EXECUTORS.get(action.executor, f"{action.executor}.{action.action}"))
