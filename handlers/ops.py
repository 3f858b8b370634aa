"""Health, metrics and documents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic_core import to_json

from handlers.assets import Asset, AssetHandler, make_asset
from handlers.base import BaseHandler
from handlers.negotiation import prefers
from handlers.operation import OperationHandler
from server.operations import ops
from server.operations import sessions as realtime
from server.operations.ops import LiveAnswer, ReadyAnswer
from server.process.workers import in_codec_thread
from server.routes import operation_routes
from server.telemetry.metrics import OPENMETRICS

if TYPE_CHECKING:
    from typing import Any

    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel

_ALIVE = to_json(LiveAnswer(status="ok"))


class RootHandler(OperationHandler):
    """`GET /`: links to everything; a browser is sent to the console."""

    async def serve(self, *path: str) -> None:
        """JSON, or a redirect to the console."""
        self.vary("Accept")
        if prefers(self.request.headers.get("Accept"), "text/html", "application/json"):
            self.redirect("/console/", status=302)
            return
        await super().serve(*path)


class LiveHandler(BaseHandler):
    """`GET /live`: checks nothing."""

    logged = False

    def finish(self) -> None:
        """Answer a GET at once: a task would double the cost of a probe."""
        if self.request.method == "GET":
            self._begun = True
            self.finish_whole(_ALIVE)
        else:
            super().finish()

    async def serve(self, *_path: str) -> None:
        await self.reply(200, _ALIVE)


class ReadyHandler(OperationHandler):
    """`GET /ready`: 503 keeps traffic away; the body says why."""

    logged = False

    async def answer(self, status: int, answer: Any) -> None:
        """200 if ready or degraded, else 503."""
        assert isinstance(answer, ReadyAnswer)
        away = answer.status in {"draining", "unavailable"}
        if away:
            self._headers["Retry-After"] = "1"
        await super().answer(503 if away else status, answer)


class MetricsHandler(OperationHandler):
    """`GET /metrics`: for Prometheus, in the requested format."""

    logged = False

    def check_acceptable(self, operation: Operation) -> None:
        """Accept anything: the exposition format is chosen later."""

    async def run(self, _operation: Operation, _caller: Caller, _request: RequestModel) -> None:
        """Send all samples."""
        openmetrics = prefers(self.request.headers.get("Accept"), OPENMETRICS, "text/plain")
        content_type, body = await self.gateway.scrapes.page(openmetrics=openmetrics)
        await self.reply(200, body, content_type)


class DocumentHandler(AssetHandler):
    """`/openapi.json` and `/asyncapi.json`, built at the first request."""

    async def serve(self, *_path: str) -> None:
        self.send_asset(await _document(self.route.path))


def _openapi() -> Any:
    from server.documents.openapi import openapi_document  # noqa: PLC0415 - few gateways are asked for it

    return openapi_document()


def _asyncapi() -> Any:
    from server.documents.asyncapi import asyncapi_document  # noqa: PLC0415 - as above

    return asyncapi_document()


_MAKERS = {"/openapi.json": _openapi, "/asyncapi.json": _asyncapi}
_made: dict[str, Asset] = {}
_being_made: dict[str, asyncio.Event] = {}  # set when it was made, or failed


async def _document(path: str) -> Asset:
    """The document. Requests that come while it is being made wait for it: each making takes a tenth of a second."""
    while path not in _made:
        if path in _being_made:
            await _being_made[path].wait()
        else:
            await _make(path)
    return _made[path]


async def _make(path: str) -> None:
    done = _being_made[path] = asyncio.Event()
    try:
        document = await in_codec_thread(_MAKERS[path])
        _made[path] = await make_asset(to_json(document), "application/json")
    finally:
        del _being_made[path]
        done.set()


_HANDLERS: dict[str, type[BaseHandler]] = {
    "ops.root": RootHandler,
    "ops.live": LiveHandler,
    "ops.ready": ReadyHandler,
    "ops.metrics": MetricsHandler,
    "ops.openapi": DocumentHandler,
    "ops.asyncapi": DocumentHandler,
}

routes = [
    route
    for operation in (*ops.OPERATIONS, *realtime.OPERATIONS)
    for route in operation_routes([operation], _HANDLERS.get(operation.name, OperationHandler))
]
