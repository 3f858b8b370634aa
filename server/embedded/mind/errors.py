"""Failures of an endpoint."""

from __future__ import annotations


class MindError(Exception):
    """The endpoint or its model failed. `code`: name of a gRPC status; the text is for people."""

    def __init__(self, code: str, message: str, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_ms = retry_after_ms
