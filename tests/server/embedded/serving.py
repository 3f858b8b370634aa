"""One embedded service behind a real gRPC server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from server.embedded.host import EmbeddedServices
from server.embedded.service import EmbeddedConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path


@asynccontextmanager
async def channel(name: str, directory: Path, **options: str) -> AsyncIterator[grpc.aio.Channel]:
    host = EmbeddedServices({name: "127.0.0.1:0"}, EmbeddedConfig(directory, options=tuple(options.items())))
    addresses = await host.bind()
    assert await host.start() == {}
    async with grpc.aio.insecure_channel(addresses[name]) as opened:
        yield opened
    await host.stop()


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """The status and the words of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    return (await refusal(call))[0]
