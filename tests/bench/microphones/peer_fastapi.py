"""A relay with FastAPI; uvicorn serves it with uvloop and websockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, WebSocket

from tests.bench.microphones.relay import Relay, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.recogniser = connect()
    yield


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws/{name}")
async def microphone(socket: WebSocket) -> None:
    await socket.accept()
    relay = Relay(socket.app.state.recogniser)
    await relay.begin()

    async def tell() -> None:
        async for text in relay.results():
            await socket.send_text(text)

    async with asyncio.TaskGroup() as group:
        group.create_task(tell(), name="results")
        while (message := await socket.receive())["type"] == "websocket.receive":
            data = message.get("bytes")
            if data is None:
                break
            await relay.frame(data)
        await relay.end()
    await socket.close()
