"""What handlers see of a request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tornado import httputil

if TYPE_CHECKING:
    from server.http1.exchange import Exchange

_ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(.*)", re.IGNORECASE)


class Request(httputil.HTTPServerRequest):
    """A request whose body is nobody's form but its handler's. Raises HTTPInputError for one without exactly one host."""

    connection: Exchange
    overruled = False  # another answer than its handler's was given: the handler neither counts nor logs it

    def __init__(
        self, connection: Exchange, start_line: httputil.RequestStartLine, headers: httputil.HTTPHeaders
    ) -> None:
        whole: dict[str, Any] = {"connection": connection, "headers": headers}
        super().__init__(**whole, start_line=start_line)
        if not start_line.path.startswith("/") and (found := _ABSOLUTE.fullmatch(start_line.path)):
            # RFC 9112 section 3.2.2: a server accepts it, and its host counts. Tornado looks at that as at the other.
            authority, path, query = found.groups()
            if not authority:
                raise httputil.HTTPInputError("the address has no host")
            headers["Host"] = authority
            super().__init__(**whole, start_line=start_line._replace(path=f"{path or '/'}{query}"))

    def _parse_body(self) -> None:
        """Tornado would read forms before anybody asked for one, and answer those it can't read with a 400."""


@dataclass(slots=True)
class Head:
    """What is known of something that was to become a request: possibly nothing."""

    method: str = ""
    path: str = ""
    headers: httputil.HTTPHeaders = field(default_factory=httputil.HTTPHeaders)
    seconds: float = 0.0  # since its headers were there
