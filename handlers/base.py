"""What every HTTP answer has, whatever it is about: ids, headers, CORS, one error envelope, one log line, one metric."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import structlog
from tornado.iostream import StreamClosedError

from handlers.answer import account, answer_headers, name_from
from handlers.negotiation import accepts_gzip
from handlers.problems import as_api_error, problem_json
from server.errors import ApiError
from server.workers import in_codec_thread

if TYPE_CHECKING:
    from typing import Any

    from server.gateway import Gateway
    from server.net.http.request import Request
    from server.routes import Route

log = structlog.get_logger("http")

GZIP_FROM_BYTES = 1024
GZIP_THREAD_FROM_BYTES = 32 * 1024  # half a millisecond of deflate: what is longer is done in a thread
GZIP_LEVEL = 5
CORS_MAX_AGE_S = 7200  # as long as Chromium remembers a preflight

_ALLOWED_HEADERS = "Accept, Authorization, Content-Type, Idempotency-Key, X-Request-ID, traceparent, tracestate"
_EXPOSED_HEADERS = (
    "X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, "
    "Retry-After, Idempotency-Replayed"
)


class BaseHandler:
    """The shell of every HTTP handler. A subclass defines `serve`; this one names, guards, answers, counts and logs.

    One for each request: the `Receiver` that `server.net.http` feeds. Tornado's RequestHandler would cost 40 µs more, for
    forms, cookies, templates and ETags that nobody here has.
    """

    logged = True  # False: probes, documents and files, which come by the hundred and tell nothing
    error_code = ""  # of the problem that was answered
    client_left = False
    overruled = False  # another answer than this handler's is the one that counts
    status = 200
    _running: asyncio.Task[Any] | None = None  # cancelled when the client leaves
    _begun = _counted = False

    def __init__(self, gateway: Gateway, route: Route, request: Request, path: tuple[str, ...]) -> None:
        self.gateway = gateway
        self.route = route
        self.request = request
        self.request_id = name_from(request.headers)
        self._path = path
        self._chunks: list[bytes] = []
        self._set_default_headers()

    def _set_default_headers(self) -> None:
        self._headers = answer_headers(self.request_id)
        if self.gateway.settings.cors_origins:
            self._allow_origin()

    # --- reading: server.net.http.exchange.Receiver ---

    def headers_received(self) -> asyncio.Future[None] | None:
        """Nothing is asked of them before the body has come."""
        return None

    def data_received(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(chunk)

    def finish(self) -> None:
        """The request is complete."""
        self.request.body = b"".join(self._chunks)
        self._chunks.clear()
        self.start()

    def on_connection_close(self) -> None:
        """The client has gone, in the middle of its body or while we were at work."""
        self.client_left = True
        if self._running is not None:
            self._running.cancel()

    def overrule(self) -> None:
        """The body is refused elsewhere: this handler's answer is not the one that counts."""
        self.overruled = True
        self.on_connection_close()

    # --- serving ---

    def start(self) -> None:
        """Serve, in a task of its own."""
        self._begun = True
        task = asyncio.get_running_loop().create_task(self._guarded(), name=self.route.path)
        self.gateway.requests.add(task)
        task.add_done_callback(self.gateway.requests.discard)

    async def _guarded(self) -> None:
        """Respond; whatever is raised becomes a problem document, or the end of an answer that has begun."""
        try:
            await self.respond()
        except StreamClosedError:
            self.client_left = True  # nobody to tell
        except asyncio.CancelledError:
            self._abandon()
        except Exception as error:  # noqa: BLE001 - the last place that can still answer
            await self.fail(error)
        finally:
            self.on_finish()

    async def respond(self) -> None:
        """By the method: `serve`, or what OPTIONS asks."""
        if self.request.method == "OPTIONS":
            self._tell_options()
            return
        self._check_method()
        await self.serve(*(_decoded(name) for name in self._path))

    def leaving_cancels(self) -> None:
        """From here on a client that leaves cancels what this request does."""
        self._running = asyncio.current_task()

    def _abandon(self) -> None:
        """Raises CancelledError again when it was not the client that left."""
        if self._running is None or not self.client_left:
            raise asyncio.CancelledError
        self._running.uncancel()
        self.status = 499
        self.cut()

    async def serve(self, *path: str) -> None:
        """Answer the request; `path` holds the route's names in order."""
        raise ApiError("NOT_FOUND", f"there is nothing at {'/'.join(path) or self.request.path}")

    def _check_method(self) -> None:
        method = "GET" if self.request.method == "HEAD" else self.request.method
        if method not in self.route.methods:
            raise ApiError("METHOD_NOT_ALLOWED", headers={"Allow": self.route.allow})

    def _tell_options(self) -> None:
        """A browser's preflight, or the question what may be done here."""
        self._headers["Allow"] = self.route.allow
        if "Access-Control-Allow-Origin" in self._headers:
            self._headers["Access-Control-Allow-Methods"] = self.route.allow
            self._headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
            self._headers["Access-Control-Max-Age"] = str(CORS_MAX_AGE_S)
        self.finish_empty(204)

    def _allow_origin(self) -> None:
        """CORS: configured origins only, with credentials."""
        self._headers["Vary"] = "Origin"
        origin = self.request.headers.get("Origin")
        if origin in self.gateway.settings.cors_origins:
            self._headers["Access-Control-Allow-Origin"] = str(origin)
            self._headers["Access-Control-Allow-Credentials"] = "true"
            self._headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS

    # --- answering ---

    async def reply(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """One complete answer, compressed when it is worth it."""
        self.status = status
        self._headers["Content-Type"] = content_type
        if len(body) >= GZIP_FROM_BYTES:
            body = await self._compressed(body)
        self.finish_whole(body)

    async def _compressed(self, body: bytes) -> bytes:
        self.vary("Accept-Encoding")
        if not accepts_gzip(self.request.headers.get("Accept-Encoding")):
            return body
        self._headers["Content-Encoding"] = "gzip"
        if len(body) < GZIP_THREAD_FROM_BYTES:
            return gzip.compress(body, GZIP_LEVEL, mtime=0)
        return await in_codec_thread(gzip.compress, body, GZIP_LEVEL, mtime=0)

    def vary(self, name: str) -> None:
        """The answer depends on this header of the request."""
        others = self._headers.get("Vary")
        self._headers["Vary"] = f"{others}, {name}" if others else name

    def finish_whole(self, body: bytes) -> None:
        """All of the answer at once. Raises ValueError for a header that would end its line."""
        self._ask_to_leave()
        self.request.connection.answer(self.status, self._headers, body)
        self.on_finish()

    def finish_empty(self, status: int) -> None:
        """An answer of headers alone."""
        self.status = status
        self._headers.pop("Content-Type", None)
        self.finish_whole(b"")

    def redirect(self, to: str, status: int) -> None:
        """The client shall go there."""
        self._headers["Location"] = to
        self.finish_empty(status)

    def _ask_to_leave(self) -> None:
        """While the gateway drains: whoever kept the connection would send its next request into the end of the process."""
        if self.gateway.draining:
            self._headers["Connection"] = "close"

    @property
    def answer_begun(self) -> bool:
        """Is the status on its way?"""
        return self.request.connection.head_written

    async def send(self, chunk: bytes) -> None:
        """The next piece of a long answer, when the client has taken the ones before. Nothing, when it is gone."""
        if self.client_left:
            return
        connection = self.request.connection
        if not connection.head_written:
            self._ask_to_leave()
            connection.begin_answer(self.status, self._headers)
        try:
            await asyncio.shield(connection.write(chunk))  # others wait for the same
        except StreamClosedError:
            self.client_left = True

    def end(self) -> None:
        """Of a long answer."""
        if not self.client_left:
            self.request.connection.finish()
            self.on_finish()

    async def fail(self, error: BaseException) -> None:
        """Answer with a problem document; when an answer has begun, cut it so that nobody takes it for whole."""
        refusal = as_api_error(error)
        self.error_code = refusal.code
        if refusal.status == 500:
            log.error("request failed", request_id=self.request_id, endpoint=self.route.path, exc_info=error)
        if self.answer_begun:
            self.cut()
            return
        if refusal.status == 500:
            self._set_default_headers()  # one of the others may be why
        self._headers.update(refusal.headers)
        await self.reply(
            refusal.status, problem_json(refusal, self.request.path, self.request_id), "application/problem+json"
        )

    def cut(self) -> None:
        """End the connection in the middle of an answer."""
        self.client_left = True
        self.request.connection.abort()

    # --- counting ---

    def on_finish(self) -> None:
        """One metric, one line, once: called with the end of the answer, and of the task, which may have had none."""
        if self._counted or not self._begun:
            return
        self._counted = True
        if self.overruled:
            return
        level = logging.INFO if self.logged or self.status >= 500 else logging.DEBUG
        fields = {"request_id": self.request_id, **self.log_fields()}
        request = self.request
        account(self.gateway.metrics, level, request.method, self.route.path, self.status, request.seconds, fields)

    def log_fields(self) -> dict[str, str]:
        """More of the one line; nothing secret, nothing said."""
        return {"code": self.error_code} if self.error_code else {}


def _decoded(name: str) -> str:
    """A part of the path, percent-decoded. Raises ApiError BAD_REQUEST."""
    try:
        return unquote_to_bytes(name).decode()
    except UnicodeDecodeError:
        raise ApiError("BAD_REQUEST", "the path is not UTF-8") from None
