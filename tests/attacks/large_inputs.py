"""The longest iteration of the gateway's loop for each kind of large input, in CPU time: see `tests.attacks.measured`.

    python -m tests.attacks.large_inputs                    # every kind, three times each
    python -m tests.attacks.large_inputs --only "url"

`longest` is in ms. What comes once (a codec that is loaded, a document that is made) is sent before and not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.attacks.loop_time import Measured
from tests.attacks.offenders import Client, Target, said
from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import FREELY
from tests.server.net.websocket.client_frames import BINARY, CONTINUATION, TEXT, frame
from tests.support.gateway import GatewayProcess

TIMES = 3
REST_S = 1.0  # after each kind, for what goes on behind the answer
KIB, MIB = 1024, 1024 * 1024
NOWHERE = "127.0.0.1:1"
ABSENT = ("VOICE_TTS", "PLANNER", "SAFETY", "BROWSER", "OS", "SEARCH")
FRAGMENT_BYTES = 60_000
STORED = 100  # long values, which one search finds

Send = "Callable[[Target], Awaitable[None]]"


def rest(method: str, path: str, body: bytes = b"", kind: str = "application/json", **headers: str) -> Send:
    """A request, and its answer."""

    async def send(target: Target) -> None:
        client = await Client.connected(target)
        named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        begin = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nAuthorization: Bearer {target.token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{named}\r\n"
        )
        try:
            await client.send(begin.encode() + body)
            await client.reader.read()
        except OSError:
            pass
        client.writer.transport.abort()

    return send


def posted(path: str, **fields: Any) -> Send:
    return rest("POST", path, json.dumps(fields, ensure_ascii=False).encode())


def form(path: str, *parts: tuple[str, bytes]) -> Send:
    pieces = b"".join(
        b"--cut\r\nContent-Disposition: form-data; " + name.encode() + b"\r\n\r\n" + part + b"\r\n"
        for name, part in parts
    )
    return rest("POST", path, pieces + b"--cut--\r\n", "multipart/form-data; boundary=cut")


def talked(*messages: bytes, path: str = "/ws/", greeting: bytes = b"session.ready") -> Send:
    """A session that is sent this."""

    async def send(target: Target) -> None:
        name = "large-input" if path == "/ws/" else ""
        client = await Client.entered(
            Target(target.port, target.token, asyncio.Barrier(1)), name, path=path, greeting=greeting
        )
        try:
            for message in messages:
                await client.send(message)
            async with asyncio.timeout(2):
                while await client.reader.read(MIB):
                    pass
        except (OSError, TimeoutError):
            pass
        client.writer.transport.abort()

    return send


def openai(*events: dict[str, Any]) -> Send:
    texts = (json.dumps(event, ensure_ascii=False).encode() for event in events)
    return talked(*(frame(TEXT, text) for text in texts), path="/v1/realtime?model=", greeting=b"session.created")


def fragments(data: bytes, kind: int = TEXT) -> bytes:
    pieces = [data[at : at + FRAGMENT_BYTES] for at in range(0, len(data), FRAGMENT_BYTES)]
    last = len(pieces) - 1
    return b"".join(frame(kind if not n else CONTINUATION, piece, fin=n == last) for n, piece in enumerate(pieces))


SOUND = b64encode(bytes(14 * MIB)).decode()
WORDS = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "é😀" * 100 * KIB}]}
TOOLS = [
    {
        "type": "function",
        "name": f"tool_{n}",
        "parameters": {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(15)}},
    }
    for n in range(128)
]

KINDS: dict[str, Send] = {
    "memory: 64 KB of text": posted("/api/v1/memory/store", value="é😀" * 10 * KIB),
    "memory: escapes": rest("POST", "/api/v1/memory/store", b'{"value":"' + b"\\u00e9" * 40 * KIB + b'"}'),
    "memory: values": posted("/api/v1/memory/store", value=[[]] * 4_900),
    "memory: numbers": posted("/api/v1/memory/store", value=[1.5e5] * 9_900),
    "memory: names": posted("/api/v1/memory/store", value={str(n): n for n in range(4_900)}),
    "memory: half a pair": rest("POST", "/api/v1/memory/store", b'{"value":"' + b"\\ud800" * 40 * KIB + b'"}'),
    "memory: twice": rest("POST", "/api/v1/memory/store", b'{"value":[' + b'{"a":1,"a":2},' * 4_000 + b"1]}"),
    "memory: not a number": rest("POST", "/api/v1/memory/store", b'{"value":[' + b"1.5e3," * 9_800 + b"NaN]}"),
    "memory: deep": rest("POST", "/api/v1/memory/store", b'{"value":' + b"[" * 9_000 + b"]" * 9_000 + b"}"),
    "memory: commas": posted("/api/v1/memory/store", value="," * 200 * KIB),
    "memory: quotes": posted("/api/v1/memory/store", value=['"'] * 9_000),
    "memory: not UTF-8": rest("POST", "/api/v1/memory/store", b'{"value":"' + b"\xff" * 200 * KIB + b'"}'),
    "memory: long answer": posted("/api/v1/memory/search", query="stored", limit=100),
    "jarvis: long answer": talked(
        said({"type": "call", "id": "a", "op": "memory.search", "params": {"query": "stored", "limit": 100}})
    ),
    "plan": posted("/api/v1/agent/plan", text="x", entities={str(n): "é" * 200 for n in range(300)}),
    "intent": posted("/api/v1/agent/intent", text="é" * 30 * KIB),
    "arguments": posted("/api/v1/executor/os/command", command="ls", args=["é" * 1000] * 200),
    "upload: 32 MB": rest("POST", "/api/v1/voice/stt", bytes(31 * MIB), "audio/wav"),
    "upload: form": form("/api/v1/voice/stt", ('name="audio"; filename="a.wav"', bytes(31 * MIB))),
    "upload: dashes": form("/api/v1/voice/stt", ('name="audio"; filename="a.wav"', b"\r\n--cu" * 5 * MIB)),
    "upload: parts": form("/api/v1/voice/stt", *((f'name="p{n}"', b"x") for n in range(20_000))),
    "upload: field": form("/v1/audio/transcriptions", ('name="prompt"', "é".encode() * 12 * MIB)),
    "upload: name": form("/v1/audio/transcriptions", ('name="file"; filename="' + 'é\\"' * 5_000 + '"', b"x")),
    "url": rest("GET", "/api/v1/memory/search?query=" + "%C3%A9" * 5_000),
    "url: parameters": rest("GET", "/api/v1/memory/search?" + "&".join(f"a{n}=" for n in range(4_500))),
    "url: path": rest("GET", "/" + "%2e/" * 1_000),
    "accept": rest("GET", "/health", Accept=",".join(["a/b;q=0.1"] * 1_600)),
    "accept: parameters": rest("GET", "/health", Accept="a/b" + ";q=0.1" * 2_600),
    "accept: encodings": rest("GET", "/openapi.json", Accept_Encoding=",".join(["gzip;q=0.1"] * 1_400)),
    "etags": rest("GET", "/openapi.json", If_None_Match=",".join(['"x"'] * 4_000)),
    "cookies": rest("GET", "/health", Cookie="; ".join(["a=b"] * 3_000)),
    "forwarded": rest("GET", "/health", X_Forwarded_For=",".join(["1.1.1.1"] * 2_000)),
    "token": rest("GET", "/api/v1/memory/search?query=x", X_Api_Key="x" * 10_000, Idempotency_Key="k" * 10_000),
    "jarvis: text": talked(
        said({"type": "call", "id": "a", "op": "memory.store", "params": {"value": "é😀" * 10 * KIB}})
    ),
    "jarvis: long text": talked(
        frame(
            TEXT, json.dumps({"type": "tts.text", "channel": 1, "text": "é😀" * 40 * KIB}, ensure_ascii=False).encode()
        )
    ),
    "jarvis: escapes": talked(frame(TEXT, b'{"type":"tts.text","channel":1,"text":"' + b"\\u00e9" * 40 * KIB + b'"}')),
    "jarvis: half a pair": talked(
        frame(TEXT, b'{"type":"tts.text","channel":1,"text":"' + b"\\ud800" * 40 * KIB + b'"}')
    ),
    "jarvis: fragments": talked(
        frame(TEXT, b"{", fin=False) + frame(CONTINUATION, "é".encode() * 60, fin=False) * 2_000
    ),
    "jarvis: audio": talked(frame(BINARY, bytes(65 * KIB)) * 20),
    "openai: text": openai({"type": "x", "instructions": "é😀" * 3 * MIB}),
    "openai: emoji beside sound": openai({"type": "input_audio_buffer.append", "event_id": "😀", "audio": SOUND}),
    "openai: sound": openai({"type": "input_audio_buffer.append", "audio": SOUND}),
    "openai: fragments": talked(
        fragments(json.dumps({"type": "x", "a": "é😀" * 3 * MIB}, ensure_ascii=False).encode()),
        path="/v1/realtime?model=",
        greeting=b"session.created",
    ),
    "openai: words": openai({"type": "conversation.item.create", "item": WORDS}),
    "openai: instructions": openai(
        {"type": "session.update", "session": {"type": "realtime", "instructions": "é😀" * 100 * KIB}}
    ),
    "openai: values": openai({"type": "session.update", "session": {"type": "realtime", "x": [[]] * 4_900}}),
    "openai: tools": openai({"type": "session.update", "session": {"type": "realtime", "tools": TOOLS}}),
}


async def measured(names: list[str], directory: Path) -> None:
    told = directory / "iterations.json"
    settings = {
        **FREELY,
        **{f"{name}_GRPC_URL": NOWHERE for name in ABSENT},
        "EMBEDDED": "true",
        "ITERATIONS_FILE": str(told),
    }
    gateway = GatewayProcess(directory, [sys.executable, "-m", "tests.attacks.measured"], None, **settings)
    try:
        target = Target(gateway.port, gateway.own_token("offender", "admin"), asyncio.Barrier(1))
        loop = Measured(gateway, told)
        for number in range(STORED):
            await posted("/api/v1/memory/store", key=f"k{number}", value="stored " + "é😀 " * 6 * KIB)(target)
        for name in names:
            longest_ms = []
            for _ in range(TIMES + 1):
                loop.begin()
                await KINDS[name](target)
                await asyncio.sleep(REST_S)
                longest_ms.append(max(busy_s for busy_s, _ in await loop.end()) * 1000)
            say(f"{name:30}{max(longest_ms[1:]):9.1f}{min(longest_ms[1:]):9.1f}")
    finally:
        gateway.stop()


def main(options: argparse.Namespace) -> None:
    head("the longest iteration of the loop for large inputs")
    say(f"{'':30}{'longest':>9}{'least':>9}")
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measured(options.only, Path(directory)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    main(parser.parse_args())
