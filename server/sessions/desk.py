"""The gateway as a live session sees it: operations by name, tokens, and the services' states."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from server.errors import ApiError, timed_out, to_service_error
from server.operations import BY_NAME, invoke
from server.operations.quota import known_refusal, refusal_of
from server.shared.once import call_once

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations import Operation
    from streaming.ports import CallContext, Identity, ServiceError


class GatewayDesk:
    """`streaming.ports.Desk` over the gateway's own parts."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        """Run an operation by name. An operation that runs a task runs at most once per request id."""
        run = partial(self._call, op, params, identity, context)
        operation = BY_NAME.get(op)
        if operation is None or not operation.idempotency_key:
            return await run()
        return await call_once(self._gateway.once, context, op, params, run, self._refusal(operation, identity))

    def refusal(self, op: str, identity: Identity) -> ServiceError | None:
        """That of the rate limit. A task may have run, so what it came to is looked for first."""
        operation = BY_NAME.get(op)
        if operation is None or operation.idempotency_key:
            return None
        return self._refusal(operation, identity)

    def _refusal(self, operation: Operation, identity: Identity) -> ServiceError | None:
        decision = known_refusal(self._gateway, operation, identity.user_id, identity.roles, "")
        return to_service_error(refusal_of(decision)) if decision is not None else None

    async def _call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        try:
            return await invoke(self._gateway, identity, context, op, params)
        except ApiError as error:
            raise to_service_error(error) from None
        except TimeoutError:
            raise timed_out() from None

    async def identify(self, token: str) -> Identity:
        """Verify an access token."""
        try:
            return await self._gateway.authenticator.admit(token)
        except ApiError as error:
            raise to_service_error(error) from None

    def service_states(self) -> dict[str, Literal["up", "down"]]:
        """Service states by health check."""
        return {name: "up" if health.up else "down" for name, health in self._gateway.upstream.health.services.items()}

    def service_engines(self) -> dict[str, str]:
        """The engine of each service that reports one."""
        return {name: health.engine for name, health in self._gateway.upstream.health.services.items() if health.engine}
