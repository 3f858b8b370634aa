"""The keys of an outside identity provider: a JWKS file or URL (RFC 7517), read again when a token names an unknown key."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
from tornado.httpclient import AsyncHTTPClient, HTTPError

REFRESH_FLOOR_S = 30.0  # tokens with made-up key ids must not make us ask the provider all the time
FETCH_TIMEOUT_S = 3.0
MAX_JWKS_BYTES = 1024 * 1024


class KeySet:
    """Keys by `kid`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: dict[str, Any] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> Any | None:
        """The public key of that id, or None. Never raises for a provider that is away: known keys go on."""
        if key_id not in self._keys:
            async with self._lock:
                if key_id not in self._keys and time.monotonic() - self._read_at >= REFRESH_FLOOR_S:
                    await self._read()
        return self._keys.get(key_id)

    def known(self, key_id: str) -> Any | None:
        """Without asking anybody."""
        return self._keys.get(key_id)

    async def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            document = json.loads(await self._load())
            keys = jwt.PyJWKSet.from_dict(document).keys
        except (OSError, ValueError, HTTPError, jwt.PyJWTError):
            return
        self._keys = {key.key_id: key.key for key in keys if key.key_id}

    async def _load(self) -> bytes:
        if self._source.startswith(("http://", "https://")):
            client = AsyncHTTPClient(force_instance=True, max_body_size=MAX_JWKS_BYTES)
            response = await client.fetch(
                self._source, request_timeout=FETCH_TIMEOUT_S, connect_timeout=FETCH_TIMEOUT_S
            )
            return bytes(response.body)
        return await asyncio.to_thread(Path(self._source).read_bytes)
