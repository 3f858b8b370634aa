"""Why Redis did not do what it was asked. Of our own, so that a gateway without Redis need not load redis-py, which takes 5 MB."""

from __future__ import annotations


class RedisDownError(Exception):
    """Redis does not answer, or not in time."""


class RedisRefusedError(Exception):
    """Redis answered with an error; the text is its own."""


class NoScriptError(RedisRefusedError):
    """It does not know the script: it has restarted since."""


class RedisFullError(RedisRefusedError):
    """It has no memory left."""
