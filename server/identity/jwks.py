"""The keys of an outside identity provider: a JWKS file or URL (RFC 7517).

The set is read off the loop, cached, and read again every hour or when a token names an unknown key. Reads for unknown keys
are at least 30 s apart, so that tokens with made-up key ids cannot make us flood the provider.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import structlog
from tornado.httpclient import AsyncHTTPClient, HTTPError

from server.errors import ApiError
from server.net.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

FLOOR_S = 30.0  # minimum time between two reads caused by unknown keys
FAILURE_FLOOR_S = 2.0  # minimum time after a failed read
MAX_AGE_S = 3600.0  # a key that the provider has withdrawn is accepted for at most this long
FETCH_TIMEOUT_S = 3.0
MAX_JWKS_BYTES = 1024 * 1024


class KeySet:
    """The provider's keys by `kid`. `clock`: monotonic seconds."""

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._good_until = float("-inf")
        self._not_before = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str | None) -> Any | None:
        """The public key with that id, or the only key if no id is given; None if there is none.

        Never raises: while the provider is unreachable, cached keys stay valid.
        """
        if self._wanted(key_id):
            async with self._lock:
                if self._wanted(key_id):
                    await self._read()
        return self._keys.get(key_id)

    def _wanted(self, key_id: str | None) -> bool:
        now = self._clock()
        return now >= self._not_before and (key_id not in self._keys or now >= self._good_until)

    async def _read(self) -> None:
        try:
            document = loads(await self._load())
            found = jwt.PyJWKSet.from_dict(document).keys
        except (OSError, ValueError, AttributeError, TypeError, HTTPError, ApiError, jwt.PyJWTError) as error:
            log.warning("the identity provider's keys cannot be read", source=self._source, error=str(error))
            self._not_before = self._clock() + FAILURE_FLOOR_S
            return
        signing = [key for key in found if key.public_key_use in {None, "sig"} and key.key_type != "oct"]
        self._keys = {key.key_id: key.key for key in signing}
        if len(signing) == 1:
            self._keys[None] = signing[0].key
        now = self._clock()
        self._not_before, self._good_until = now + FLOOR_S, now + MAX_AGE_S

    async def _load(self) -> bytes:
        if not self._source.startswith(("http://", "https://")):
            return await asyncio.to_thread(Path(self._source).read_bytes)
        client = AsyncHTTPClient(force_instance=True, max_body_size=MAX_JWKS_BYTES)
        try:
            response = await client.fetch(
                self._source, request_timeout=FETCH_TIMEOUT_S, connect_timeout=FETCH_TIMEOUT_S
            )
            return bytes(response.body)
        finally:
            client.close()
