"""Operations over HTTP: authenticate, count against the limit, validate, run, answer."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from handlers.base import BaseHandler
from handlers.negotiation import accepts, prefers
from server.errors import ApiError
from server.identity.auth import TokenError
from server.net.client_address import client_address
from server.net.strict_json import loads
from server.operations import Access, Caller, caller_of, require_access
from server.operations.operation import Streaming
from server.operations.quota import count, known_refusal, require_room
from server.operations.validation import from_text, invalid, validated
from server.telemetry.traceparent import trace_id
from streaming.ports import CallContext, Identity

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from server.operations import Operation
    from server.operations.operation import RequestModel
    from server.shared.rate_limits import Decision
    from server.telemetry.tracing import Span

ANONYMOUS = Identity(user_id="", username="", roles=())
_WITH_EVENTS = (Streaming.PROGRESS, Streaming.AUDIO_IN)
JSON_TYPES = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")


class OperationHandler(BaseHandler):
    """JSON in, JSON out, as most operations need."""

    client_ip = ""
    user_id = ""
    traceparent = ""
    _span: Span | None = None

    async def serve(self, *path: str) -> None:
        """Admit the caller, read the request, run the operation, answer."""
        operation = self.operation
        self.check_acceptable(operation)
        identity = await self.admit(operation)
        caller, request = self.asked(operation, identity, path)
        await self.run(operation, caller, request)

    async def run(self, operation: Operation, caller: Caller, request: RequestModel) -> None:
        """Run the operation and answer."""
        assert operation.run is not None, "an operation without `run` has a handler of its own"
        answer = await operation.run(self.gateway, caller, request)
        await self.answer(operation.status, answer)

    @property
    def operation(self) -> Operation:
        """The operation of this method and path."""
        method = "GET" if self.request.method == "HEAD" else self.request.method
        return self.route.operations[method]

    # --- who, and how often ---

    async def admit(self, operation: Operation) -> Identity:
        """Check token, rate limit and role, in this order, so that guessing tokens uses up the guesser's own limit. Raises ApiError.

        A revocation at another replica is checked in the same round trip as the limit. A refusal that is known needs none.
        """
        self.client_ip = self._address()
        identity, refused = await self._identify(operation)
        asker = (self.gateway, operation, identity.user_id, identity.roles, self.client_ip)
        decision, revocation = known_refusal(*asker), None
        if decision is None:
            revocation = None if identity is ANONYMOUS else self.gateway.authenticator.revocation(identity)
            decision = await count(*asker)
        if decision is not None:
            self._tell_limit(decision, self.gateway.settings.rate_limit_window)
        require_room(decision)
        if refused is not None:
            raise refused
        if revocation is not None:
            await self._check_revocation(revocation)
        require_access(operation, identity)
        return identity

    async def _check_revocation(self, revocation: Awaitable[None]) -> None:
        try:
            await revocation
        except TokenError as revoked:
            self._count_refusal(revoked)
            raise

    def _count_refusal(self, refused: ApiError) -> None:
        reason = refused.reason if isinstance(refused, TokenError) else refused.code.lower()
        self.gateway.metrics.auth_failure(reason)

    def _address(self) -> str:
        peer, trusted = self.request.remote_ip or "", self.gateway.settings.trusted_proxies
        if not trusted:
            return peer
        return client_address(peer, self.request.headers.get("X-Forwarded-For", ""), trusted)

    async def _identify(self, operation: Operation) -> tuple[Identity, ApiError | None]:
        if operation.access is Access.PUBLIC:
            return ANONYMOUS, None
        scheme, _, token = self.asked_with.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            self.gateway.metrics.auth_failure("unauthenticated")
            return ANONYMOUS, ApiError("UNAUTHENTICATED", headers={"WWW-Authenticate": "Bearer"})
        try:
            identity = await self.gateway.authenticator.verify(token.strip())
        except ApiError as refused:
            self._count_refusal(refused)
            return ANONYMOUS, refused
        self.user_id = identity.user_id
        return identity, None

    def _tell_limit(self, decision: Decision, window_s: int) -> None:
        """Set the `X-RateLimit-*` headers and those of draft-ietf-httpapi-ratelimit-headers."""
        headers = self._headers.flat  # the names are spelled as there
        limit, remaining = decision.limit, decision.remaining
        headers["X-RateLimit-Limit"] = str(limit)
        headers["X-RateLimit-Remaining"] = str(remaining)
        headers["X-RateLimit-Reset"] = str(math.ceil(decision.reset_at))
        left_s = max(0, math.ceil(decision.reset_at - time.time()))
        headers["RateLimit"] = f'"default";r={remaining};t={left_s}'
        headers["RateLimit-Policy"] = f'"default";q={limit};w={window_s}'

    # --- what ---

    def check_acceptable(self, operation: Operation) -> None:
        """Raises ApiError NOT_ACCEPTABLE if Accept allows no form of the answer."""
        accept = self.asked_with.get("Accept")
        if accept is None or accept == "*/*" or accepts(accept, operation.content_type):
            return
        if operation.streaming in _WITH_EVENTS and accepts(accept, "text/event-stream"):
            return
        raise ApiError("NOT_ACCEPTABLE", f"the answer can only be {operation.content_type}")

    def asked(self, operation: Operation, identity: Identity, path: tuple[str, ...]) -> tuple[Caller, RequestModel]:
        """The caller and the validated request. Raises ApiError."""
        values: dict[str, Any] = {}
        if path or self.request.query:
            values = from_text(operation, self._parameters(operation, path))
        if operation.takes_body:
            values |= self.body(values)
        request = validated(operation, values)
        return self.caller(identity, request), request

    def caller(self, identity: Identity, request: RequestModel) -> Caller:
        """The caller, with the ids passed on to the services."""
        self._span = self.gateway.tracer.span(self.operation.name, self.asked_with.get("Traceparent", ""))
        self.traceparent = self._span.traceparent
        context = CallContext(
            user_id=identity.user_id,
            roles=identity.roles,
            request_id=self.request_id,
            traceparent=self.traceparent,
        )
        return caller_of(identity, context, request, self.client_ip)

    def _parameters(self, operation: Operation, path: tuple[str, ...]) -> dict[str, str]:
        """Path and query parameters. A query beside a body is refused."""
        values = dict(zip(operation.path_parameters, path, strict=True))
        for name, given in self.request.query_arguments.items():
            if name in values or len(given) > 1:
                raise invalid((("query", name), "it may come once only"))
            if operation.takes_body:
                raise invalid((("query", name), "parameters belong in the body"))
            values[name] = _utf8(name, given[0])
        return values

    def check_encoding(self) -> None:
        """Raises ApiError for a compressed body."""
        if self.asked_with.get("Content-Encoding", "identity").lower() != "identity":
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "compressed bodies are not read")

    def check_upload(self) -> None:
        """Raises ApiError for a form that is compressed, or comes with a query."""
        self._parameters(self.operation, ())
        self.check_encoding()

    def body(self, taken: dict[str, Any]) -> dict[str, Any]:
        """The body's JSON object. Raises ApiError, also for a field that is already in the path."""
        content_type = self.asked_with.get("Content-Type", "")
        if content_type not in JSON_TYPES and content_type.partition(";")[0].strip().lower() != "application/json":
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "send application/json")
        self.check_encoding()
        values = loads(self.request.body)
        if not isinstance(values, dict):
            raise ApiError("MALFORMED_JSON", "the body has to be a JSON object")
        twice = values.keys() & taken.keys()
        if twice:
            raise invalid(*((("body", name), "it is in the path already") for name in sorted(twice)))
        return values

    def on_finish(self) -> None:
        """Count and log, then end the request's span."""
        super().on_finish()
        if self._span is not None:
            self._span.end()

    def log_fields(self) -> dict[str, str]:
        """Add the user and the trace."""
        fields = super().log_fields()
        if self.user_id:
            fields["user"] = self.user_id
        if self.traceparent:
            fields["trace_id"] = trace_id(self.traceparent)
        return fields

    # --- answering ---

    def wants_events(self) -> bool:
        """True if the client asks for progress as Server-Sent Events."""
        return prefers(self.request.headers.get("Accept"), "text/event-stream", "application/json")

    async def send_events(self, chunk: bytes) -> None:
        """Send events; the first call sends the headers."""
        if not self.answer_begun:
            self._headers["Content-Type"] = "text/event-stream"
            self._headers["X-Accel-Buffering"] = "no"  # or nginx would buffer events
        await self.send(chunk)

    async def answer(self, status: int, answer: Any) -> None:
        """Answer with a response model as JSON; None: 204 without body."""
        if answer is None:
            self.finish_empty(204)
            return
        await self.reply(status, to_json(answer, inf_nan_mode="null"))


def _utf8(name: str, given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError:
        raise invalid((("query", name), "it is not UTF-8 text")) from None
