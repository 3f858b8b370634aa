"""What an endpoint can do wrong."""

from __future__ import annotations


class MindError(Exception):
    """The endpoint or its model did not do its part. `code` is a name of gRPC's statuses; the text is for people."""

    def __init__(self, code: str, message: str, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_ms = retry_after_ms
