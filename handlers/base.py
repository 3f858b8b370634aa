"""The base of all HTTP handlers: ids, headers, CORS, the error form, one log line and one metric."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote_to_bytes

import structlog
from tornado.httputil import HTTPMessageDelegate
from tornado.iostream import StreamClosedError

from handlers.answer import account, answer_headers, name_from, start_line
from handlers.negotiation import accepts_gzip
from handlers.problem import as_api_error, problem_json
from server.errors import ApiError, without_frames
from server.net.http.headers import by_name
from server.operations.openai_errors import error_json, is_openai, status_of
from server.process.workers import in_codec_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine, ResponseStartLine

    from server.gateway import Gateway
    from server.net.http.interfaces import AnswerConnection
    from server.routes import Route

log = structlog.get_logger("http")

GZIP_FROM_BYTES = 1024
GZIP_THREAD_FROM_BYTES = 32 * 1024  # half a millisecond of deflate; longer bodies are compressed in a thread
GZIP_LEVEL = 5
CORS_MAX_AGE_S = 7200  # the longest that Chromium caches a preflight
CLIENT_LEFT = 499  # nginx's status for a client that did not wait; logged, never sent
BODILESS = frozenset({204, 304})

_ALLOWED_HEADERS = "Accept, Authorization, Content-Type, Idempotency-Key, X-Request-ID, traceparent, tracestate"
_EXPOSED_HEADERS = (
    "X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, "
    "Retry-After, Idempotency-Replayed"
)


class BaseHandler(HTTPMessageDelegate):
    """Handles one request. A subclass defines `serve`; this class checks, answers, counts and logs.

    It is a Tornado message delegate rather than a RequestHandler, whose forms, cookies, templates and ETags, unused here, would
    cost 40 µs per request.
    """

    exposed_headers = _EXPOSED_HEADERS  # which pages of other origins may read
    logged = True  # False for probes, documents and files, which are too frequent to log
    error_code = ""  # of the problem document that was sent
    client_left = False
    status = 200
    answer_begun = False  # the status line has been sent
    _running: asyncio.Task[Any] | None = None  # cancelled when the client leaves
    _begun = _ended = _counted = _refused_elsewhere = False

    def __init__(self, gateway: Gateway, route: Route, request: HTTPServerRequest, path: tuple[str, ...]) -> None:
        self.gateway = gateway
        self.route = route
        self.request = request
        self.asked_with = by_name(request.headers)  # names are spelled as by `server.net.http.headers.spelled`
        self.request_id = name_from(self.asked_with)
        self._connection = cast("AnswerConnection", request.connection)
        self._path = path
        self._chunks: list[bytes] = []
        self._set_default_headers()

    def _set_default_headers(self) -> None:
        self._headers = answer_headers(self.request_id)
        if self.gateway.settings.cors_origins:
            self._allow_origin()

    # --- reading: tornado.httputil.HTTPMessageDelegate ---

    def headers_received(
        self,
        start_line: RequestStartLine | ResponseStartLine,  # noqa: ARG002 - the request has them
        headers: HTTPHeaders,  # noqa: ARG002
    ) -> Awaitable[None] | None:
        """Let the body come."""
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
        """The client left, while sending its body or waiting for the answer."""
        self.client_left = True
        if self._running is not None:
            self._running.cancel()
        if not self._begun:
            self._begun = True
            self.status = CLIENT_LEFT
            self.on_finish()

    def on_request_refused(self) -> None:
        """The body is refused and answered by somebody else; this handler neither answers nor counts."""
        self._refused_elsewhere = True
        self.on_connection_close()

    # --- serving ---

    def start(self) -> None:
        """Serve the request in a task of its own."""
        self._begun = True
        self._connection.set_close_callback(self.on_connection_close)
        task = asyncio.get_running_loop().create_task(self._guarded(), name=self.route.path)
        self.gateway.requests.add(task)
        task.add_done_callback(self.gateway.requests.discard)

    async def _guarded(self) -> None:
        """Respond. An exception becomes a problem document, or cuts an answer that has begun."""
        try:
            await self.respond()
        except StreamClosedError as left:
            self.client_left = True  # nobody to tell
            without_frames(left)  # the future that it came from is ours
        except asyncio.CancelledError:
            self._abandon()
        except Exception as error:  # noqa: BLE001 - the last place that can still answer
            self.fail(error)
            without_frames(error)
        finally:
            if not self._ended:
                self.cut()
            self.on_finish()

    async def respond(self) -> None:
        """Answer OPTIONS here and all other methods by `serve`."""
        if self.request.method == "OPTIONS":
            self._tell_options()
            return
        self._check_method()
        await self.serve(*(_decoded(name) for name in self._path))

    def leaving_cancels(self) -> None:
        """From now on, the request is cancelled if the client leaves; at once if it has already left."""
        self._running = asyncio.current_task()
        if self.client_left:
            raise asyncio.CancelledError

    def _abandon(self) -> None:
        """Handle cancellation. Raises CancelledError again unless the client left."""
        if self._running is None or not self.client_left:
            raise asyncio.CancelledError
        self._running.uncancel()
        self.status = CLIENT_LEFT

    async def serve(self, *path: str) -> None:
        """Answer the request. `path` holds the values of the route's `{names}`, in order."""
        raise ApiError("NOT_FOUND", f"there is nothing at {'/'.join(path) or self.request.path}")

    def _check_method(self) -> None:
        method = "GET" if self.request.method == "HEAD" else self.request.method
        if method not in self.route.methods:
            raise ApiError("METHOD_NOT_ALLOWED", headers={"Allow": self.route.allow})

    def _tell_options(self) -> None:
        """Answer a preflight, or a client asking for the methods."""
        self._headers["Allow"] = self.route.allow
        if "Access-Control-Allow-Origin" in self._headers:
            self._headers["Access-Control-Allow-Methods"] = self.route.allow
            self._headers["Access-Control-Allow-Headers"] = self.allowed_headers
            self._headers["Access-Control-Max-Age"] = str(CORS_MAX_AGE_S)
        self.finish_empty(204)

    def _allow_origin(self) -> None:
        """CORS for the configured origins, with credentials."""
        self._headers["Vary"] = "Origin"
        origin = self.request.headers.get("Origin")
        if origin in self.gateway.settings.cors_origins:
            self._headers["Access-Control-Allow-Origin"] = str(origin)
            self._headers["Access-Control-Allow-Credentials"] = "true"
            self._headers["Access-Control-Expose-Headers"] = self.exposed_headers

    @property
    def allowed_headers(self) -> str:
        """Headers that pages of other origins may send."""
        return _ALLOWED_HEADERS

    # --- answering ---

    async def reply(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Answer with the whole body, compressed if that pays."""
        self.status = status
        self._headers.flat["Content-Type"] = content_type
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
        """Declare that the answer depends on this request header."""
        others = self._headers.get("Vary")
        self._headers["Vary"] = f"{others}, {name}" if others else name

    def finish_whole(self, body: bytes) -> None:
        """Write the whole answer. Raises ValueError for a header with a line break."""
        if self._refused_elsewhere:
            return
        headers, head_only = self._headers, self.request.method == "HEAD"
        if self.gateway.draining:
            headers["Connection"] = "close"  # the next request on a kept connection would meet the end of the process
        if self.status not in BODILESS:
            headers.flat["Content-Length"] = str(len(body))
        self._connection.write_headers(start_line(self.status), headers, None if head_only else body)
        self.answer_begun = True
        self.end()

    def finish_empty(self, status: int) -> None:
        """Answer with headers only."""
        self.status = status
        self._headers.pop("Content-Type", None)
        self.finish_whole(b"")

    def redirect(self, to: str, status: int) -> None:
        """Redirect the client."""
        self._headers["Location"] = to
        self.finish_empty(status)

    async def send(self, chunk: bytes) -> None:
        """Write the next piece of a long answer once the client has taken the previous ones. Does nothing if it has left."""
        if self.client_left:
            return
        try:
            if self.answer_begun:
                await self._connection.write(chunk)
                return
            if self.gateway.draining:
                self._headers["Connection"] = "close"
            written = self._connection.write_headers(start_line(self.status), self._headers, chunk)
            self.answer_begun = True
            await written
        except StreamClosedError:
            self.client_left = True

    def end(self) -> None:
        """Finish the answer."""
        self._ended = True
        self._connection.finish()
        self.on_finish()

    def fail(self, error: BaseException) -> None:
        """Answer with a problem document. If an answer has begun, cut it off, so that it is not taken for complete."""
        refusal = as_api_error(error)
        if refusal.status == 500:
            log.error("request failed", request_id=self.request_id, endpoint=self.route.path, exc_info=error)
        if self.answer_begun:
            self.error_code = refusal.code
            self.cut()
            return
        if refusal.status == 500:
            self._set_default_headers()  # one of the headers may be the cause
        self.refuse(refusal)

    def refuse(self, refusal: ApiError) -> None:
        """Answer with this error; in OpenAI's form for its API."""
        self.error_code, self.status = refusal.code, refusal.status
        self._headers.update(refusal.headers)
        if is_openai(self.request.path):
            self.status = status_of(refusal)
            self._headers["Content-Type"] = "application/json"
            self.finish_whole(error_json(refusal))
            return
        self._headers["Content-Type"] = "application/problem+json"
        self.finish_whole(problem_json(refusal, self.request.path, self.request_id))

    def cut(self) -> None:
        """Close the connection in the middle of the answer, unless somebody else answers."""
        self.client_left = self._ended = True
        if not self._refused_elsewhere:
            self._connection.close()

    # --- counting ---

    def on_finish(self) -> None:
        """Count and log once. Called after the answer, and after the task, which may not have answered."""
        if self._counted or not self._begun:
            return
        self._counted = True
        if self._refused_elsewhere:
            return
        level = logging.INFO if self.logged or self.status >= 500 else logging.DEBUG
        request, seconds = self.request, self.request.request_time()
        method, endpoint = request.method or "", self.route.path
        account(self.gateway.metrics, level, method, endpoint, self.status, seconds, self.log_fields)

    def log_fields(self) -> dict[str, str]:
        """Further fields of the log line; no secrets, no user's words."""
        fields = {"request_id": self.request_id}
        if self.error_code:
            fields["code"] = self.error_code
        return fields


def _decoded(name: str) -> str:
    """Percent-decode a part of the path. Raises ApiError BAD_REQUEST."""
    try:
        return unquote_to_bytes(name).decode()
    except UnicodeDecodeError:
        raise ApiError("BAD_REQUEST", "the path is not UTF-8") from None
