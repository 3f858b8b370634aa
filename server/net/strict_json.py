"""Parses JSON bodies as strictly as the socket's messages; mistakes become problem documents."""

from __future__ import annotations

import codecs
import json
from typing import Any

from server.errors import ApiError
from streaming.strict_json import FlawError, TooManyValuesError, strict_value

BYTE_ORDER_MARK = "\ufeff"  # RFC 8259, section 8.1: a parser may ignore it
MAX_DEPTH = 32  # parameters of real operations have five levels


def loads(body: bytes | str, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of a body. Raises ApiError MALFORMED_JSON, which says what is wrong and, if known, where."""
    if isinstance(body, bytes) and body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ApiError("MALFORMED_JSON", "the body is UTF-16: send UTF-8")
    try:
        text = body if isinstance(body, str) else body.decode()
        return strict_value(text.removeprefix(BYTE_ORDER_MARK), max_depth)
    except (FlawError, TooManyValuesError) as flaw:
        detail = str(flaw)
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at line {error.lineno} column {error.colno}"
    raise ApiError("MALFORMED_JSON", detail)
