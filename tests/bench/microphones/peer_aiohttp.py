"""A relay with aiohttp, on uvloop."""

from __future__ import annotations

import argparse
import asyncio
import os

import uvloop
from aiohttp import WSMsgType, web

from tests.bench.microphones.relay import Relay, connect, connect_voice, speech


async def microphone(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    relay = Relay(request.app["recogniser"])
    await relay.begin()

    async def tell() -> None:
        async for text in relay.results():
            await socket.send_str(text)

    async with asyncio.TaskGroup() as group:
        group.create_task(tell(), name="results")
        async for message in socket:
            if message.type != WSMsgType.BINARY:
                break
            await relay.frame(message.data)
        await relay.end()
    await socket.close()
    return socket


async def listener(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    asked = await socket.receive_str()

    async def speak() -> None:
        async for frame in speech(request.app["voice"], asked):
            await socket.send_bytes(frame)

    async with asyncio.TaskGroup() as group:
        speaking = group.create_task(speak(), name="speech")
        await socket.receive()
        speaking.cancel()
    return socket


async def main(port: int) -> None:
    app = web.Application()
    app["recogniser"] = connect()
    if "VOICE_TTS_GRPC_URL" in os.environ:
        app["voice"] = connect_voice()
    app.router.add_get("/speech/{name}", listener)
    app.router.add_get("/ws/{name}", microphone)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(main(parser.parse_args().port))
