"""Answers that are a problem from the start: no such path, refused by its headers, no request at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from handlers.answer import account, answer_headers, name_from
from handlers.base import BaseHandler
from handlers.problems import problem_json
from server.net.http.exchange import head_bytes

if TYPE_CHECKING:
    from server.errors import ApiError
    from server.gateway import Gateway
    from server.net.http.request import Head, Request
    from server.routes import Route


class ProblemHandler(BaseHandler):
    """One problem document, whatever the method, once the request is complete."""

    def __init__(self, gateway: Gateway, route: Route, request: Request, refusal: ApiError) -> None:
        super().__init__(gateway, route, request, ())
        self._refusal = refusal

    async def respond(self) -> None:
        """Answer."""
        raise self._refusal


class EarlyProblemHandler(ProblemHandler):
    """The same before the body, which is not read: the connection ends with the answer."""

    def headers_received(self) -> None:
        """Answer, and say that this was all."""
        self._headers["Connection"] = "close"
        self.start()

    def data_received(self, chunk: bytes) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing: it is being answered."""


def last_answer(gateway: Gateway, endpoint: str, refusal: ApiError, head: Head) -> bytes:
    """All bytes of the answer to what never became a request, counted and logged; the caller closes the connection."""
    request_id = name_from(head.headers)
    headers = answer_headers(request_id)
    headers["Content-Type"] = "application/problem+json"
    headers["Connection"] = "close"
    body = problem_json(refusal, head.path, request_id)
    headers["Content-Length"] = str(len(body))
    fields = {"request_id": request_id, "code": refusal.code}  # the detail may quote a token
    account(gateway.metrics, logging.INFO, head.method, endpoint, refusal.status, head.seconds, fields)
    return head_bytes(refusal.status, headers) + (b"" if head.method == "HEAD" else body)
