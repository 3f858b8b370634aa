"""Requests that no handler serves: unknown paths, refused headers, and bytes that are not a readable request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from handlers.answer import account, answer_headers, name_from, start_line
from handlers.base import BaseHandler
from handlers.problem import problem_json
from server.errors import ApiError
from server.operations.openai_errors import is_openai

if TYPE_CHECKING:
    from tornado.httputil import HTTPConnection, HTTPServerRequest

    from server.gateway import Gateway
    from server.net.http.interfaces import UnreadableHead
    from server.routes import Route


MAX_URL_CHARS = 128  # of the echoed address


class UnservedHandler(BaseHandler):
    """Answers any method with one problem document."""

    def __init__(self, gateway: Gateway, route: Route, request: HTTPServerRequest, refusal: ApiError) -> None:
        super().__init__(gateway, route, request, ())
        self._refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        """Drop the body."""

    def finish(self) -> None:
        """The request is complete."""
        self.answer(last=False)

    def answer(self, *, last: bool) -> None:
        """Answer now. `last`: close the connection afterwards, because the rest of the request is not read."""
        self._begun = True
        if last:
            self._headers["Connection"] = "close"
        refusal = self._refusal
        if refusal.code == "NOT_FOUND" and is_openai(self.request.path):
            url = f"Invalid URL ({self.request.method} {self.request.path[:MAX_URL_CHARS]})"
            refusal = ApiError("NOT_FOUND", url, extra={"code": "unknown_url"})
        self.refuse(refusal)


def refuse_unreadable(
    gateway: Gateway, endpoint: str, request_conn: HTTPConnection, refusal: ApiError, head: UnreadableHead
) -> None:
    """Answer, count and log bytes that are not a readable request. The connection closes after the answer."""
    request_id = name_from(head.headers)
    headers = answer_headers(request_id)
    headers["Content-Type"] = "application/problem+json"
    headers["Connection"] = "close"
    body = problem_json(refusal, head.path, request_id)
    headers["Content-Length"] = str(len(body))
    request_conn.write_headers(start_line(refusal.status), headers, None if head.method == "HEAD" else body)
    request_conn.finish()
    fields = {"request_id": request_id, "code": refusal.code}  # not the detail, which may quote a token
    account(gateway.metrics, logging.INFO, head.method, endpoint, refusal.status, head.seconds, lambda: fields)
