"""Hostile clients: each floods in its own way until the gateway ends it, and tells how it was ended."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tests.server.net.websocket.client_frames import BINARY, CONTINUATION, PING, TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

BATCH = 200  # frames in one write
LONG_BATCH = 20  # messages of 4 kB in one write
LONG_TEXT_CHARS = 200_000
MAX_BATCHES = 150  # channel numbers end there
PATIENCE_S = 45.0  # for the gateway to end it
NO_ROOM = 4096  # bytes of answers that a client's kernel takes
CUT = "cut"  # the connection ended without a word
OPEN = "open"  # it was never ended
CONTROL = "nothing"  # no flood: what is measured beside it is the machine
CONTROL_S = 2.0


@dataclass(frozen=True)
class Target:
    """Where the gateway listens, and a token for it."""

    port: int
    token: str
    entered: asyncio.Barrier  # offenders with a session and whoever measures: nobody floods before all have come

    def handshake(self, name: str, *, authenticated: bool = True, path: str = "/ws/") -> bytes:
        bearer = f"Authorization: Bearer {self.token}\r\n" if authenticated else ""
        return (
            f"GET {path}{name} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{bearer}\r\n"
        ).encode()


@dataclass(frozen=True)
class Ended:
    """How the gateway ended a client: a close code, an HTTP status, `cut` or `open`. `seconds` after the first hostile byte."""

    by: str
    seconds: float


class Client:
    """One connection. `send` raises OSError once the gateway has ended it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._began = time.monotonic()

    @classmethod
    async def connected(cls, target: Target, room_bytes: int = 1 << 20) -> Client:
        """`room_bytes`: what the client's kernel takes of the answers."""
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", target.port))
        return cls(*await asyncio.open_connection(sock=own, limit=1 << 24))

    @classmethod
    async def entered(
        cls,
        target: Target,
        name: str,
        room_bytes: int = 1 << 20,
        path: str = "/ws/",
        greeting: bytes = b"session.ready",
    ) -> Client:
        """With a session."""
        while True:  # a gateway that is busy with the flood before refuses it for a moment
            client = await cls.connected(target, room_bytes)
            client.writer.write(target.handshake(name, path=path))
            if b" 101 " in await client.reader.readline():
                break
            client.writer.transport.abort()
            await asyncio.sleep(0.5)
        await client.reader.readuntil(greeting)
        await target.entered.wait()
        client.begins()
        return client

    def begins(self) -> None:
        """The time of `Ended` counts from now."""
        self._began = time.monotonic()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # `drain` does not let the reader run while there is room
        if self.writer.transport.is_closing():
            raise ConnectionResetError

    async def ended(self, flood: Coroutine[None, None, None] | None = None) -> Ended:
        """Flood, and read what comes until the end."""
        async with asyncio.TaskGroup() as group:
            flooding = group.create_task(_unless_ended(flood), name="flood") if flood is not None else None
            by = await self._read_on()
            seconds = time.monotonic() - self._began
            if flooding is not None:
                flooding.cancel()
        self.writer.transport.abort()
        return Ended(by, seconds)

    async def _read_on(self) -> str:
        last = b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while data := await self.reader.read(1 << 16):
                    last = (last + data)[-4096:]
                    if (by := how(last)) != CUT:
                        return by
        except TimeoutError:
            return OPEN
        except OSError:
            pass
        return CUT

    async def ended_unread(self) -> Ended:
        """The same for a client that reads nothing: its socket's state tells."""
        self.writer.transport.pause_reading()
        socket = self.writer.get_extra_info("socket")
        by = OPEN
        while time.monotonic() - self._began < PATIENCE_S:
            state = socket.getsockopt(6, 11, 1)[0]  # TCP_INFO: 1 is ESTABLISHED
            if state != 1:
                by = CUT
                break
            await asyncio.sleep(0.1)
        self.writer.transport.abort()
        return Ended(by, time.monotonic() - self._began)


async def _unless_ended(flood: Coroutine[None, None, None]) -> None:
    with suppress(OSError):
        await flood


def how(last: bytes) -> str:
    """The close code of a close frame at the end of what was read, or the status of an answer."""
    for at in range(max(0, len(last) - 127), len(last) - 1):
        if last[at] == 0x88 and last[at + 1] == len(last) - at - 2 >= 2:
            return str(struct.unpack_from("!H", last, at + 2)[0])
    _, answer, rest = last.rpartition(b"HTTP/1.1 ")  # the last of the answers
    status = rest[:3].decode("latin-1") if answer else ""
    return CUT if status in {"", "101", "200"} else status


def said(message: dict[str, object]) -> bytes:
    return frame(TEXT, json.dumps(message).encode())


async def until_refused(client: Client, batches: Iterator[bytes]) -> None:
    for batch in batches:
        await client.send(batch)


@cache
def _opening(batch: int) -> bytes:
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    return b"".join(said({"type": "channel.open", "channel": 2 * n + 3, "kind": "tts"}) for n in numbers)


@cache
def _acting(batch: int) -> bytes:
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    params = {"executor": "os", "action": "run_command", "parameters": {"command": "ls"}}
    return b"".join(
        said({"type": "channel.open", "id": f"a{n}", "channel": 2 * n + 3, "kind": "execute", "params": params})
        for n in numbers
    )


@cache
def _changing_mind(batch: int) -> bytes:
    numbers = (2 * n + 3 for n in range(batch * BATCH, (batch + 1) * BATCH))
    return b"".join(
        said({"type": "channel.open", "channel": n, "kind": "turn"}) + said({"type": "channel.cancel", "channel": n})
        for n in numbers
    )


@cache
def _asking(batch: int) -> bytes:
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    return b"".join(said({"type": "call", "id": f"c{n}", "op": "ops.health"}) for n in numbers)


def batches(make: Callable[[int], bytes]) -> Iterator[bytes]:
    """The same for every offender, so that making them is not what takes time."""
    return map(make, range(MAX_BATCHES))


async def nothing(target: Target, name: str) -> Ended:
    """The control: a client as in the floods, which sends nothing and leaves."""
    client = await Client.entered(target, name)
    await asyncio.sleep(CONTROL_S)
    client.writer.transport.abort()
    return Ended(OPEN, CONTROL_S)


async def pings(target: Target, name: str) -> Ended:
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, itertools.repeat(frame(PING, b"x") * BATCH)))


async def tiny_frames(target: Target, name: str) -> Ended:
    """Two bytes of audio a frame, numbered wrongly: the channel closes, and the recogniser of the honest hears nothing."""
    client = await Client.entered(target, name)
    await client.send(said({"type": "channel.open", "channel": 1, "kind": "stt", "params": {}}))
    tiny = frame(BINARY, struct.pack(">BBHIII", 1, 0, 1, 0, 7, 0) + b"\0\0")
    return await client.ended(until_refused(client, itertools.repeat(tiny * BATCH)))


async def empty_frames(target: Target, name: str) -> Ended:
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, itertools.repeat(frame(BINARY) * BATCH)))


async def fragments(target: Target, name: str) -> Ended:
    client = await Client.entered(target, name)
    await client.send(frame(TEXT, b"{", fin=False))
    return await client.ended(until_refused(client, itertools.repeat(frame(CONTINUATION, fin=False) * BATCH)))


async def unfinished(target: Target, name: str) -> Ended:
    """A message that is begun and never ended, with pings that keep the socket alive."""
    client = await Client.entered(target, name)
    await client.send(frame(TEXT, b"{", fin=False))

    async def alive() -> None:
        while True:
            await client.send(frame(PING))
            await asyncio.sleep(1)

    return await client.ended(alive())


async def opens(target: Target, name: str) -> Ended:
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, batches(_opening)))


async def actions(target: Target, name: str) -> Ended:
    """Actions, for which the safety service is asked."""
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, batches(_acting)))


async def cancelled_turns(target: Target, name: str) -> Ended:
    """Turns that are cancelled at once: never too many at a time."""
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, batches(_changing_mind)))


async def commands(target: Target, name: str) -> Ended:
    """Commands that no rate limit refuses."""
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, itertools.repeat(said({"type": "ack", "seq": 1}) * BATCH)))


async def openai_updates(target: Target, name: str) -> Ended:
    """Events of OpenAI's dialect that change the whole session."""
    client = await Client.entered(target, "", path="/v1/realtime?model=", greeting=b"session.created")
    update = said({"type": "session.update", "session": {"type": "realtime", "instructions": name}})
    return await client.ended(until_refused(client, itertools.repeat(update * BATCH)))


async def long_messages(target: Target, name: str) -> Ended:
    """Messages with about as many values as are taken."""
    client = await Client.entered(target, name)
    many = said({"type": "ping", "t": 1, "values": [[]] * 1_000})
    return await client.ended(until_refused(client, itertools.repeat(many * LONG_BATCH)))


async def long_texts(target: Target, name: str) -> Ended:
    """Messages about as long as are taken."""
    client = await Client.entered(target, name)
    long = said({"type": "ping", "t": 1, "text": "x" * LONG_TEXT_CHARS})
    return await client.ended(until_refused(client, itertools.repeat(long)))


async def stray_frames(target: Target, name: str) -> Ended:
    """Audio of a channel that was never opened."""
    client = await Client.entered(target, name)
    stray = frame(BINARY, struct.pack(">BBHIII", 1, 0, 9, 0, 0, 0) + bytes(160))
    return await client.ended(until_refused(client, itertools.repeat(stray * BATCH)))


async def never_acknowledged(target: Target, name: str) -> Ended:
    """Answers are read, and never acknowledged nor wanted again."""
    client = await Client.entered(target, name)
    return await client.ended(until_refused(client, batches(_asking)))


async def half_open(target: Target, _name: str) -> Ended:
    """Nothing is sent."""
    return await (await Client.connected(target)).ended()


async def never_authenticated(target: Target, name: str) -> Ended:
    client = await Client.connected(target)
    await client.send(target.handshake(name, authenticated=False))
    return await client.ended()


async def slow_reader(target: Target, name: str) -> Ended:
    """Asks for much over a socket, and reads nothing. Answers that fit into both kernels' buffers cost the gateway nothing: then it is
    ended for its silence, so the time counts from its last byte.
    """
    client = await Client.entered(target, name, NO_ROOM)
    client.writer.transport.pause_reading()
    with suppress(OSError):
        for number in range(900):  # more than both kernels keep
            client.writer.write(said({"type": "call", "id": f"c{number}", "op": "ops.health"}))
            if number > 300 and number % 90 == 0:
                await asyncio.sleep(1)
    client.begins()
    return await client.ended_unread()


async def slow_answers(target: Target, _name: str) -> Ended:
    """Asks for a large document ten times, and reads nothing."""
    client = await Client.connected(target, NO_ROOM)
    request = f"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\n".encode()
    await client.send(request * 10)
    return await client.ended_unread()


async def slow_headers(target: Target, _name: str) -> Ended:
    """One header line a second."""
    client = await Client.connected(target)
    await client.send(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n".encode())

    async def trickle() -> None:
        for number in itertools.count():
            await client.send(f"X-{number}: y\r\n".encode())
            await asyncio.sleep(1)

    return await client.ended(trickle())


async def slow_second_headers(target: Target, name: str) -> Ended:
    """The same behind a request that was answered."""
    client = await Client.connected(target)
    await client.send(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\nGET /{name} HTTP/1.1\r\n".encode())

    async def trickle() -> None:
        for number in itertools.count():
            await client.send(f"X-{number}: y\r\n".encode())
            await asyncio.sleep(1)

    return await client.ended(trickle())


@dataclass(frozen=True)
class Flood:
    """A kind of hostile client: how it attacks, in which ways it may be ended, and how soon. `enters`: it has a session."""

    attack: Callable[[Target, str], Awaitable[Ended]]
    ends: tuple[str, ...]
    within_s: float
    enters: bool = True


FLOODS = {
    CONTROL: Flood(nothing, (OPEN,), CONTROL_S),
    "pings": Flood(pings, ("1008",), 5),
    "tiny frames": Flood(tiny_frames, ("1008",), 5),
    "empty frames": Flood(empty_frames, ("1002", "1008"), 5),
    "fragments": Flood(fragments, ("1008",), 5),
    "unfinished message": Flood(unfinished, ("1008", "1001"), 45),  # it is also silent: both take 30 s
    "channel opens": Flood(opens, ("4029", "1008"), 10),
    "actions": Flood(actions, ("4029", "1008"), 10),
    "cancelled turns": Flood(cancelled_turns, ("4029", "1008"), 10),
    "commands": Flood(commands, ("4029",), 10),
    "OpenAI's updates": Flood(openai_updates, ("1008",), 10),
    "long messages": Flood(long_messages, ("4029", "1008"), 10),
    "long texts": Flood(long_texts, ("4029", "1008"), 10),
    "stray frames": Flood(stray_frames, ("4029",), 10),
    "never acknowledged": Flood(never_acknowledged, ("4029", "4002", "1008"), 40),
    "half-open": Flood(half_open, (CUT,), 25, enters=False),
    "never authenticated": Flood(never_authenticated, ("4008",), 15, enters=False),
    "slow reader": Flood(slow_reader, (CUT,), 45),
    "slow answers": Flood(slow_answers, (CUT,), 40, enters=False),
    "slow headers": Flood(slow_headers, ("408",), 25, enters=False),
    "slow second headers": Flood(slow_second_headers, ("408",), 25, enters=False),
}
