"""A relay with FastAPI; uvicorn serves it with uvloop and websockets."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from tests.bench.microphones.relay import Relay, connect, connect_voice, speech

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if "VOICE_TTS_GRPC_URL" in os.environ:
        app.state.voice = connect_voice()
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


@app.websocket("/speech/{name}")
async def listener(socket: WebSocket) -> None:
    await socket.accept()
    asked = await socket.receive_text()

    async def speak() -> None:
        async for frame in speech(socket.app.state.voice, asked):
            await socket.send_bytes(frame)

    async with asyncio.TaskGroup() as group:
        speaking = group.create_task(speak(), name="speech")
        with suppress(WebSocketDisconnect):
            await socket.receive_text()
        speaking.cancel()
