"""Commands to the session itself: calls, confirmations and new tokens."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from streaming.ports import CallContext, ServiceError
from streaming.protocol import messages as wire
from streaming.rfc3339 import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streaming.ports import Desk, Identity, LaneServices, Span
    from streaming.protocol import events

log = logging.getLogger(__name__)


class CommandHost(Protocol):
    """What commands use of their live session."""

    session_id: str
    identity: Identity

    @property
    def traceparent(self) -> str:
        """The client's trace, to which the work belongs; may be empty."""

    def send(self, message: wire.Message) -> None:
        """Queue a message and wake the writer."""

    async def recorded(self) -> bool:
        """Wait until effects may begin. False: another replica has the session."""

    def become(self, identity: Identity) -> None:
        """Take a new token of the same user."""


class Commands:
    """Runs each command as a task of its own and answers it once."""

    def __init__(self, host: CommandHost, desk: Desk, provided: LaneServices, group: asyncio.TaskGroup) -> None:
        self._host = host
        self._desk = desk
        self._confirmations = provided.confirmations
        self._tracer = provided.tracer
        self._group = group
        self._running: set[asyncio.Task[None]] = set()

    def _context(self, request_id: str, span: Span) -> CallContext:
        identity = self._host.identity
        return CallContext(identity.user_id, identity.roles, self._host.session_id, request_id, span.traceparent)

    @property
    def busy(self) -> bool:
        """True while a command is being answered."""
        return bool(self._running)

    async def finished(self, within_s: float) -> None:
        """Wait until all commands so far are answered, at most for this time."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def on_call(self, event: events.CallReceived) -> None:
        """Run an operation. What is refused anyway costs no task."""
        refused = self._desk.refusal(event.op, self._host.identity)
        if refused is not None:
            self._host.send(_refusal(refused, event.id))
            return
        self._run(self._answer(event), name=f"call {event.op}")

    async def _answer(self, event: events.CallReceived) -> None:
        if not await self._host.recorded():
            return  # another replica answers it
        span = self._tracer.span("call", self._host.traceparent)
        context = self._context(event.id, span)
        await self._reply(event.id, lambda: self._desk.call(event.op, event.params, self._host.identity, context))
        span.end()

    async def _reply(self, command_id: str | None, work: Callable[[], Any]) -> None:
        """Answer a command with the result of `work`, or its error."""
        answer: wire.Message
        try:
            data = await work()
        except ServiceError as refused:
            answer = _refusal(refused, command_id)
        except Exception:
            log.exception("a command failed")
            answer = wire.Error(id=command_id, code="INTERNAL", message="something went wrong in the gateway")
        else:
            answer = wire.Result(id=command_id or "", data=data) if not isinstance(data, wire.Message) else data
        self._host.send(answer)

    def on_confirmation(self, event: events.ConfirmationReceived) -> None:
        """Settle a question."""
        self._run(self._confirm(event), name="task.confirm")

    async def _confirm(self, event: events.ConfirmationReceived) -> None:
        span = self._tracer.span("task.confirm", self._host.traceparent)
        context = self._context(event.confirmation_id, span)
        refused = None
        try:
            settled = await self._confirmations.settle(
                event.confirmation_id, context, approve=event.approve, action_hash=event.action_hash
            )
        except ServiceError as error:
            refused, settled = error, False
        span.end()
        if not settled:
            refused = refused or ServiceError("NOT_FOUND", "there is no open question of that id")
            self._host.send(_refusal(refused, event.id).model_copy(update={"channel": event.channel}))
        elif event.id is not None:
            self._host.send(wire.Result(id=event.id, data={"approved": event.approve}))

    def on_auth_refresh(self, event: events.AuthRefreshReceived) -> None:
        """Take a new token."""
        self._run(self._refresh(event), name="auth.refresh")

    async def _refresh(self, event: events.AuthRefreshReceived) -> None:
        async def identify() -> wire.AuthOk:
            identity = await self._desk.identify(event.token)
            if identity.user_id != self._host.identity.user_id:
                raise ServiceError("PERMISSION_DENIED", "the token is another user's")
            self._host.become(identity)
            return wire.AuthOk(id=event.id, expires_at=rfc3339(identity.expires_at))

        await self._reply(event.id, identify)


def _refusal(refused: ServiceError, command_id: str | None) -> wire.Error:
    return wire.Error(
        id=command_id,
        code=refused.code,
        message=refused.message,
        retryable=refused.retryable,
        retry_after_ms=refused.retry_after_ms,
        details=refused.details or None,
    )
