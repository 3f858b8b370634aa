"""A scripted chat endpoint with OpenAI's wire format, over plain HTTP with SSE chunks."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass
class Scene:
    """One answer. `pieces` are deltas, or events to wait for before the next delta."""

    pieces: list[dict[str, Any] | asyncio.Event] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # sent instead of the stream
    breaks_off: bool = False
    ends: str = "stop"  # the finish_reason; empty: there is none
    says_done: bool = True  # [DONE] follows it


def words(*texts: str) -> Scene:
    return Scene([{"content": text} for text in texts])


def call(name: str, *arguments: str, index: int = 0, call_id: str = "call_x") -> list[dict[str, Any] | asyncio.Event]:
    """A tool call in deltas: first the name, then the arguments in pieces."""
    first = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": piece}} for piece in arguments]
    return [{"tool_calls": [delta]} for delta in (first, *rest)]


@dataclass
class ChatEndpoint:
    """`script` returns the scene for the number of a request; `asked` has the bodies of the requests."""

    script: Callable[[int], Scene]
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.asked.append(json.loads(await reader.readexactly(int(headers["content-length"]))))
        self.keys.append(headers.get("authorization", ""))
        scene = self.script(len(self.asked) - 1)
        told = {"content-type": "text/event-stream", "connection": "close", **scene.headers}
        lines = [f"HTTP/1.1 {scene.status} X", *(f"{name}: {value}" for name, value in told.items())]
        if scene.body is not None:
            lines.append(f"content-length: {len(scene.body)}")
        else:
            lines.append("transfer-encoding: chunked")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (scene.body or b""))
        await writer.drain()
        if scene.body is None:
            gone = asyncio.get_running_loop().create_task(reader.read(), name="watch the client")
            try:
                await self._stream(scene, writer, gone)
            finally:
                gone.cancel()

    async def _stream(self, scene: Scene, writer: asyncio.StreamWriter, gone: asyncio.Task[bytes]) -> None:
        for piece in scene.pieces:
            if isinstance(piece, asyncio.Event):
                waiting = asyncio.get_running_loop().create_task(piece.wait(), name="wait for the test")
                await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            else:
                writer.write(_chunk(_event(piece)))
                await writer.drain()
            if gone.done():
                self.hung_up.set()
                return
        if not scene.breaks_off:
            ends = {"choices": [{"index": 0, "delta": {}, "finish_reason": scene.ends}]}
            usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
            if scene.ends:
                writer.write(_chunk(_sse(ends)) + _chunk(_sse(usage)))
            if scene.says_done:
                writer.write(_chunk(b"data: [DO"))
                await writer.drain()
                writer.write(_chunk(b"NE]\n\n"))
            writer.write(b"0\r\n\r\n")
            await writer.drain()


def _event(delta: dict[str, Any]) -> bytes:
    return _sse({"choices": [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}]})


def _sse(fields: dict[str, Any]) -> bytes:
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    return f"data: {json.dumps(whole)}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@asynccontextmanager
async def chat_endpoint(script: Callable[[int], Scene]) -> AsyncIterator[ChatEndpoint]:
    """Serve the endpoint on a free port."""
    endpoint = ChatEndpoint(script)
    server = await asyncio.start_server(endpoint.answer, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None
