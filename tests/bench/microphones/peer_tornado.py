"""A relay with plain Tornado, on uvloop."""

from __future__ import annotations

import argparse
import asyncio
import os

import uvloop
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from tests.bench.microphones.relay import Relay, connect, connect_voice, speech


class Microphone(WebSocketHandler):
    """`on_message` is a coroutine: Tornado reads the next frame when this one is relayed."""

    async def open(self, *_args: str) -> None:
        self.relay = Relay(self.settings["recogniser"])
        await self.relay.begin()
        self.told = self.settings["tasks"].create_task(self.tell(), name="results")

    async def on_message(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self.relay.frame(message)
        else:
            await self.relay.end()
            await self.told
            self.close()

    async def tell(self) -> None:
        async for text in self.relay.results():
            await self.write_message(text)


class Listener(WebSocketHandler):
    """Speaks until its client closes."""

    speaking: asyncio.Task[None] | None = None

    def on_message(self, message: str | bytes) -> None:
        self.speaking = self.settings["tasks"].create_task(self.speak(str(message)), name="speech")

    async def speak(self, asked: str) -> None:
        async for frame in speech(self.settings["voice"], asked):
            await self.write_message(frame, binary=True)

    def on_close(self) -> None:
        if self.speaking is not None:
            self.speaking.cancel()


async def main(port: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        voice = connect_voice() if "VOICE_TTS_GRPC_URL" in os.environ else None
        routes = [(r"/ws/(.+)", Microphone), (r"/speech/(.+)", Listener)]
        app = Application(routes, recogniser=connect(), voice=voice, tasks=tasks)
        app.listen(port, "127.0.0.1", backlog=1024)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(main(parser.parse_args().port))
