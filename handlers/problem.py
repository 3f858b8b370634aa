"""Answers that are a problem from the start: no such path, refused by its headers, no request at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tornado.web import stream_request_body

from handlers.answer import account_for, answer_headers, name_from
from handlers.base import BaseHandler
from handlers.problems import problem_json
from server.http1.exchange import head_bytes

if TYPE_CHECKING:
    from server.errors import ApiError
    from server.gateway import Gateway
    from server.http1.request import Head
    from server.routes import Route


class ProblemHandler(BaseHandler):
    """One problem document, whatever the method, once the request is complete."""

    def initialize(self, gateway: Gateway, route: Route, refusal: ApiError | None = None) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway, route)
        self._refusal = refusal

    async def prepare(self) -> None:
        """Answer."""
        assert self._refusal is not None
        await self.fail(self._refusal)


@stream_request_body  # Tornado then calls `prepare` on the headers
class EarlyProblemHandler(ProblemHandler):
    """The same before the body, which is not read: the connection ends with the answer."""

    async def prepare(self) -> None:
        """Answer, and say that this was all."""
        self._headers["Connection"] = "close"
        await super().prepare()


def last_answer(gateway: Gateway, endpoint: str, refusal: ApiError, head: Head) -> bytes:
    """All bytes of the answer to what never became a request, counted and logged; the caller closes the connection."""
    request_id = name_from(head.headers)
    headers = answer_headers(request_id)
    headers["Content-Type"] = "application/problem+json"
    headers["Connection"] = "close"
    body = problem_json(refusal, head.path, request_id)
    headers["Content-Length"] = str(len(body))
    fields = {"request_id": request_id, "code": refusal.code}  # the detail may quote a token
    account_for(gateway.metrics, logging.INFO, head.method, endpoint, refusal.status, head.seconds, fields)
    return head_bytes(refusal.status, headers) + (b"" if head.method == "HEAD" else body)
