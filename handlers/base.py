"""What every HTTP answer has, whatever it is about: ids, headers, CORS, one error envelope, one log line, one metric."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import TYPE_CHECKING

import structlog
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from handlers.answer import account, answer_headers, name_request
from handlers.negotiation import accepts_gzip
from handlers.problems import as_api_error, problem_json
from server.audio.threads import in_codec_thread
from server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tornado.httputil import HTTPMessageDelegate

    from server.gateway import Gateway
    from server.http1.request import Request
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


class BaseHandler(RequestHandler):
    """The shell of every HTTP handler. A subclass defines `serve`; this one names, guards, answers, counts and logs."""

    gateway: Gateway
    route: Route
    request: Request
    logged = True  # False: probes, documents and files, which come by the hundred and tell nothing
    error_code = ""  # of the problem that was answered
    client_left = False
    overruled = False  # another answer than this handler's is the one that counts
    _running: asyncio.Task[Any] | None = None  # cancelled when the client leaves
    _counted = False

    def initialize(self, gateway: Gateway, route: Route) -> None:
        """Called by Tornado for every request."""
        self.gateway = gateway
        self.route = route
        self._allow_origin()
        gateway.requests_running += 1

    def clear(self) -> None:
        """Headers of every answer. Tornado calls this before `initialize`, and again for its own errors."""
        self.request_id = self.__dict__.get("request_id") or name_request(self.request)
        self._headers = answer_headers(self.request_id)
        self._write_buffer = []
        self._status_code = 200
        self._reason = "OK"

    @classmethod
    def at_once(cls, gateway: Gateway, route: Route, request: Request) -> HTTPMessageDelegate | None:  # noqa: ARG003 - for those who can
        """What answers this request without a handler, where so little is asked that making one would be most of the work."""
        return None

    # --- serving ---

    async def _guarded(self, *path: str) -> None:
        """Run `serve`; whatever it raises becomes a problem document, or the end of an answer that has begun."""
        try:
            self._check_method()
            await self.serve(*path)
        except StreamClosedError:
            pass  # the client is gone: nobody to tell
        except asyncio.CancelledError:
            self._abandon()
        except Exception as error:  # noqa: BLE001 - the last place that can still answer
            await self.fail(error)

    def leaving_cancels(self) -> None:
        """From here on a client that leaves cancels what this request does."""
        self._running = asyncio.current_task()

    def on_connection_close(self) -> None:
        """The client has gone while we were at work."""
        super().on_connection_close()
        self.client_left = True
        if self._running is not None:
            self._running.cancel()

    def _abandon(self) -> None:
        """Raises CancelledError again when it was not the client that left."""
        if self._running is None or not self.client_left:
            raise asyncio.CancelledError
        self._running.uncancel()
        self._status_code = 499
        self.cut()

    async def serve(self, *path: str) -> None:
        """Answer the request; `path` holds the route's names in order."""
        raise ApiError("NOT_FOUND", f"there is nothing at {'/'.join(path) or self.request.path}")

    get = post = put = patch = delete = head = _guarded

    def _check_method(self) -> None:
        method = "GET" if self.request.method == "HEAD" else self.request.method
        if method not in self.route.methods:
            raise ApiError("METHOD_NOT_ALLOWED", headers={"Allow": self.route.allow})

    async def options(self, *_path: str) -> None:
        """A browser's preflight, or the question what may be done here."""
        self._headers["Allow"] = self.route.allow
        if "Access-Control-Allow-Origin" in self._headers:
            self._headers["Access-Control-Allow-Methods"] = self.route.allow
            self._headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
            self._headers["Access-Control-Max-Age"] = str(CORS_MAX_AGE_S)
        self.set_status(204)
        self.finish()

    def _allow_origin(self) -> None:
        """CORS: configured origins only, with credentials."""
        allowed = self.gateway.settings.cors_origins
        if not allowed:
            return
        self._headers["Vary"] = "Origin"
        origin = self.request.headers.get("Origin")
        if origin in allowed:
            self._headers["Access-Control-Allow-Origin"] = str(origin)
            self._headers["Access-Control-Allow-Credentials"] = "true"
            self._headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS

    # --- answering ---

    async def reply(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """One complete answer, compressed when it is worth it."""
        self._status_code = status
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
        """All of the answer at once: Tornado's `finish` without what it does for answers in pieces, cookies and templates."""
        if self._finished:
            raise RuntimeError("an answer ends once")
        self._headers_written = self._finished = True
        self.request.connection.answer(self._status_code, self._headers, body)
        self.on_finish()
        self._break_cycles()

    async def send(self, chunk: bytes) -> None:
        """The next piece of a long answer, when the client has taken the ones before. Nothing, when it is gone."""
        if self.client_left:
            return
        self.write(chunk)
        try:
            await asyncio.shield(self.flush())  # others wait for the same
        except StreamClosedError:
            self.client_left = True

    def end(self) -> None:
        """Of a long answer."""
        if not self._finished and not self.client_left:
            self.finish()

    async def fail(self, error: BaseException) -> None:
        """Answer with a problem document; when an answer has begun, cut it so that nobody takes it for whole."""
        refusal = as_api_error(error)
        self.error_code = refusal.code
        if refusal.status == 500:
            log.error("request failed", request_id=self.request_id, endpoint=self.route.path, exc_info=error)
        if self._headers_written:
            self.cut()
            return
        self._write_buffer = []
        self.set_headers(refusal.headers)
        await self.reply(
            refusal.status, problem_json(refusal, self.request.path, self.request_id), "application/problem+json"
        )

    def cut(self) -> None:
        """End the connection in the middle of an answer."""
        self.client_left = True
        self.request.connection.abort()
        self.on_finish()

    def set_headers(self, headers: Mapping[str, str]) -> None:
        """Several at once."""
        for name, value in headers.items():
            self._headers[name] = value

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """What Tornado refuses by itself: an unknown method, a path that is not UTF-8."""
        refusal = as_api_error(HTTPError(status_code))
        if status_code == 405:
            refusal.headers["Allow"] = self.route.allow
        self.error_code = refusal.code
        self.set_headers(refusal.headers)
        self._headers["Content-Type"] = "application/problem+json"
        self._status_code = refusal.status
        self.finish(problem_json(refusal, self.request.path, self.request_id))

    def log_exception(self, *_exc_info: object) -> None:
        """`fail` has said what there is to say."""

    def compute_etag(self) -> None:
        """Answers of the moment: hashing each would cost more than it saves."""
        return

    # --- counting ---

    def on_finish(self) -> None:
        """One metric, one line, once: an answer that was cut gets no `finish`."""
        if self._counted:
            return
        self._counted = True
        self.gateway.requests_running -= 1
        if self.overruled:
            return
        level = logging.INFO if self.logged or self._status_code >= 500 else logging.DEBUG
        fields = {"request_id": self.request_id, **self.log_fields()}
        account(self.gateway.metrics, level, self.request, self.route.path, self._status_code, fields)

    def log_fields(self) -> dict[str, str]:
        """More of the one line; nothing secret, nothing said."""
        return {"code": self.error_code} if self.error_code else {}
