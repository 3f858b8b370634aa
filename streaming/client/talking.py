"""AsyncJarvisClient: a session with shortcuts for what most programs need."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from streaming.client import arguments
from streaming.client.address import http_url
from streaming.client.dialogue import Dialogue, Reply
from streaming.client.errors import GatewayError
from streaming.client.gateway import GatewayClient
from streaming.client.sound import SINK_ADVICE, SOURCE_ADVICE
from streaming.client.version import __version__, disagreement
from streaming.protocol.messages import TurnParams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from streaming.client.dialogue import Approve
    from streaming.client.sound import Sink, Source

log = logging.getLogger("jarvis_client")

VERSION_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0


class AsyncJarvisClient(GatewayClient):
    """async with AsyncJarvisClient("http://127.0.0.1:8000", token=token) as client: print(await client.say("hello"))."""

    server_version: str | None = None
    """The gateway's version once it is known, else None."""

    async def __aenter__(self) -> Self:
        """Connect. Raises GatewayError on failure."""
        await super().__aenter__()
        self.start(self._compare_versions, name="gateway version")
        return self

    async def _compare_versions(self) -> None:
        """Log a warning if the versions of client and gateway are incompatible."""
        try:
            answer = await AsyncHTTPClient().fetch(
                f"{http_url(self.address)}/", headers={"Accept": "application/json"}, request_timeout=VERSION_TIMEOUT_S
            )
            self.server_version = str(json.loads(answer.body)["version"])
        except (OSError, HTTPClientError, ValueError, KeyError, TypeError):
            return  # a proxy that passes WebSockets only
        told = disagreement(__version__, self.server_version)
        if told:
            log.warning("%s", told)

    def turn(
        self, source: Source | None = None, sink: Sink | None = None, *, approve: Approve | None = None, **params: Any
    ) -> Dialogue:
        """A conversation, for `async with` and `async for`. `params` are those of TurnParams. Raises GatewayError."""
        if source is not None:
            if not (hasattr(source, "frames") and hasattr(source, "sample_rate")):
                raise GatewayError("INVALID_ARGUMENT", f"no source of speech: {arguments.shown(source)}", SOURCE_ADVICE)
            params.setdefault("sample_rate", source.sample_rate)
        if sink is not None and not all(hasattr(sink, name) for name in ("begin", "play", "stop", "close")):
            raise GatewayError("INVALID_ARGUMENT", f"no sink of speech: {arguments.shown(sink)}", SINK_ADVICE)
        arguments.check_callback("approve", approve)
        if "sample_rate" in params:
            params["sample_rate"] = arguments.check_rate(params["sample_rate"])
        try:
            checked = TurnParams(**params)
        except ValidationError as wrong:
            first = wrong.errors()[0]
            where = ".".join(map(str, first["loc"])) or "parameters"
            raise GatewayError("INVALID_ARGUMENT", f"{where}: {first['msg']}", "See TurnParams.") from None
        return Dialogue(self, checked, source=source, sink=sink, approve=approve)

    async def say(
        self,
        text: str,
        *,
        reply: Literal["text", "audio"] = "text",
        approve: Approve | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Reply:
        """Send text and return the answer. Raises GatewayError."""
        if not isinstance(text, str):  # None would open a spoken turn, which nobody speaks into
            raise GatewayError("INVALID_ARGUMENT", f"say takes text, not {arguments.shown(text)}", "Pass a string.")
        return await self._answer_to(self.turn(text=text, reply=reply, approve=approve), timeout_s)

    async def say_audio(
        self,
        pcm: bytes,
        sample_rate: int = 16_000,
        *,
        reply: Literal["text", "audio"] = "audio",
        approve: Approve | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Reply:
        """Send speech as 16-bit mono PCM and return the answer. Raises GatewayError."""
        source = _Recording(arguments.check_pcm(pcm), arguments.check_rate(sample_rate))
        return await self._answer_to(self.turn(source, reply=reply, approve=approve), timeout_s)

    async def _answer_to(self, turn: Dialogue, timeout_s: float) -> Reply:
        limit_s = arguments.check_seconds("timeout_s", timeout_s)
        answer = Reply()
        try:
            async with asyncio.timeout(limit_s), turn:
                async for event in turn:
                    answer.add(event)
        except TimeoutError:
            raise GatewayError("TIMEOUT", f"no answer within {limit_s:g} s") from None
        return answer


class _Recording:
    """Recorded speech, sent as fast as the gateway takes it."""

    def __init__(self, pcm: bytes, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._pcm = pcm

    async def frames(self) -> AsyncIterator[bytes]:
        size = self.sample_rate // 50 * 2
        for start in range(0, len(self._pcm), size):
            yield self._pcm[start : start + size]
