"""The query of an address as text. What is no text is refused before anything is done, or spent, for the request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.errors import ApiError

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def query_texts(request: HTTPServerRequest) -> dict[str, str]:
    """Each parameter with its last value. Raises ApiError BAD_REQUEST unless all are UTF-8 text without control characters."""
    texts = {}
    for raw_name, values in request.query_arguments.items():
        name = _text(raw_name.encode("latin-1"), "a parameter's name")  # Tornado decodes names so
        texts[name] = [_text(value, f"the parameter '{name[:32]}'") for value in values][-1]
    return texts


def _text(given: bytes, what: str) -> str:
    try:
        text = given.decode()
    except UnicodeDecodeError:
        raise ApiError("BAD_REQUEST", f"{what} is not UTF-8 text") from None
    if _CONTROL.search(text):
        raise ApiError("BAD_REQUEST", f"{what} has a control character")
    return text
