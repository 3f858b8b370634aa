"""Answers that are a problem from the start: no such path, a request that is refused by its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.web import stream_request_body

from handlers.base import BaseHandler

if TYPE_CHECKING:
    from server.errors import ApiError
    from server.gateway import Gateway
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
