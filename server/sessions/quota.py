"""Executors' actions of live sessions count like the operations that REST has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import ApiError, to_service_error
from server.operations import BY_NAME
from server.operations.quota import count, require_room

if TYPE_CHECKING:
    from server.gateway import Gateway
    from streaming.ports import Action, CallContext

_OPERATIONS = {"browser": "executor.browser.action", "os": "executor.os.command", "search": "executor.search"}


class ExecutorQuota:
    """`streaming.ports.Quota` over the gateway's one limiter."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def take(self, action: Action, context: CallContext) -> None:
        """Count one run of an executor's action. Raises ServiceError RATE_LIMITED."""
        operation = BY_NAME.get(_OPERATIONS.get(action.executor, f"{action.executor}.{action.action}"))
        if operation is None:
            return  # the executor itself refuses what it does not know
        try:
            require_room(await count(self._gateway, operation, context.user_id, context.roles, ""))
        except ApiError as refused:
            raise to_service_error(refused) from None
