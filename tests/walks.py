"""The walks through the house: `python -m tests.walks` lists the functions that a frame, a request, a resume and a barge-in pass.

The code really runs: real sessions, lanes, trunks and handlers, with scripted services and clients. Listed are functions of
`server`, `handlers` and `streaming`, each where it is first called. `--write` updates the lists and the tables in docs/HOUSE.md.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlers.writer import SocketWriter
from protos import stt_pb2, tts_pb2
from server.net.loop_turns import LoopTurns
from server.net.tick import TickEnd
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import FrameSocket
from streaming.jarvis.registry import Resume
from streaming.ports import InterimTranscript, SpeechStarted
from streaming.protocol import frame
from streaming.protocol.limits import Limits
from tests.house import PACKAGES, ROOT, imports, knots, modules, rooms, sizes
from tests.server.net.websocket import client_frames
from tests.support import virtual_time
from tests.support.house import FakeSocket, FakeStore, House, housed
from tests.support.rest import running
from tests.support.services import FakeServices
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from server.upstream.trunk import Trunk
    from streaming.ports import Services
    from tests.support.services import Call

PAGE = ROOT / "docs" / "HOUSE.md"
_GENERATED = re.compile(r"(<!-- walk: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_FOLDERS = tuple(f"{ROOT / package}/" for package in PACKAGES)
_NOT_ON_THE_WAY = ("server/overload.py", "server/upstream/health.py")  # timers that may fire meanwhile


@dataclass
class Walk:
    """The functions called, in order of their first call, as (module, function).

    `calls`: all calls, repeated ones too. `nested`: most coroutines of ours that await each other.
    """

    steps: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0
    nested: int = 0

    @property
    def modules(self) -> list[str]:
        return list(dict.fromkeys(module for module, _ in self.steps))

    def lines(self) -> Iterator[str]:
        """A summary, then a line for each module in the order in which they are entered."""
        yield (
            f"{len(self.steps)} functions in {len(self.modules)} modules, {self.calls} calls, "
            f"at most {self.nested} coroutines within each other."
        )
        yield ""
        for number, module in enumerate(self.modules, 1):
            functions = ", ".join(f"`{function}`" for entered, function in self.steps if entered == module)
            yield f"{number}. `{module}`: {functions}"


@contextmanager
def recorded(walk: Walk, *, begins_at: str = "") -> Iterator[None]:
    """Record what this thread calls. `begins_at`: nothing before the first call of this function."""
    waits = [begins_at] if begins_at else []

    def on_event(caller: FrameType, event: str, _argument: object) -> None:
        code = caller.f_code
        if event != "call" or not code.co_filename.startswith(_FOLDERS) or code.co_name.startswith("<"):
            return
        module = code.co_filename.removeprefix(f"{ROOT}/")
        if module in _NOT_ON_THE_WAY or (waits and code.co_qualname != waits[0]):
            return
        waits.clear()
        walk.calls += 1
        walk.nested = max(walk.nested, _coroutines(caller))
        step = (module.removesuffix(".py"), code.co_qualname.replace(".<locals>", ""))
        if step not in walk.steps:
            walk.steps.append(step)

    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(None)


def _coroutines(caller: FrameType | None) -> int:
    """How many coroutines of ours are on the stack."""
    count = 0
    while caller is not None:
        code = caller.f_code
        count += bool(code.co_flags & inspect.CO_COROUTINE) and code.co_filename.startswith(_FOLDERS)
        caller = caller.f_back
    return count


# --- the walks ---


class _Transport:
    """A client that reads everything."""

    def is_closing(self) -> bool:
        return False

    def write(self, piece: bytes) -> None:
        """Nobody looks at it."""

    def writelines(self, pieces: list[bytes]) -> None:
        """Nobody looks at them."""

    def get_write_buffer_size(self) -> int:
        return 0


class _Handler:
    """What a FrameSocket and a SocketWriter use of their handler."""

    ws_connection: FrameSocket | None = None

    def __init__(self, attachment: Any) -> None:
        self.on_messages = attachment.feed


class _ClientSocket(FakeSocket):
    """Writes frames of audio by a real writer to a real socket, all else to lists."""

    def connect(self) -> FrameSocket:
        handler: Any = _Handler(self.line)
        socket = handler.ws_connection = FrameSocket(handler, SocketLimits(1 << 20, 1 << 20), LoopTurns())
        socket.transport = _Transport()  # type: ignore[assignment]
        socket.express = self.line.hear  # type: ignore[union-attr]
        self.writer = SocketWriter(handler, self._group, TickEnd())
        self.writer.begin(self.line)  # type: ignore[arg-type]
        return socket

    @property
    def free(self) -> bool:
        return super().free and (not hasattr(self, "writer") or self.writer.free)

    def write_frame(self, frame: bytes, now: float) -> None:
        if hasattr(self, "writer"):
            self.writer.write_frame(frame, now)
        else:
            super().write_frame(frame, now)


class _World(World):
    """Scripted services, but real clients of the speech services."""

    def __init__(self, real: Services) -> None:
        super().__init__()
        self._real = real

    def services(self) -> Services:
        return replace(super().services(), stt=self._real.stt, tts=self._real.tts)


async def _trunk(client: Any) -> Trunk:
    while (trunk := client._trunks.pick()) is None:
        await asyncio.sleep(0.005)
    found: Trunk = trunk
    return found


async def _speech_walks() -> tuple[Walk, Walk]:
    """Both directions of audio, over real trunks to services that greet and then only listen."""
    up, down = Walk(), Walk()

    def greets(greeting: Any) -> Callable[[Call], Any]:
        async def handle(call: Call) -> None:
            await call.write(greeting)
            while await call.read() is not None:
                pass

        return handle

    fakes = FakeServices("stt", "tts")
    fakes.stt.on("RecognizeMany", greets(stt_pb2.TrunkResponse()))
    fakes.tts.on("SynthesizeMany", greets(tts_pb2.TrunkResponse()))
    async with fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        ears, voices = await _trunk(upstream.services.stt), await _trunk(upstream.services.tts)
        house = House(_World(upstream.services), group, Limits())
        client = await house.connect(_ClientSocket(group))
        client.say(type="channel.open", channel=1, kind="stt", params={})
        client.say(type="channel.open", channel=3, kind="tts", params={"text": "one two"})
        client.say(type="credit", channel=3, bytes=64_000)
        await client.until("channel.opened", channel=3)
        while not (ears._streams and voices._streams):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        socket = client.connect()
        for number in range(2):  # the first one also sets out the trail and the channel
            sent = frame.encode(1, bytes(640), seq=number)
            walk = up if number else Walk()
            with recorded(walk):
                socket.data_received(client_frames.frame(client_frames.BINARY, sent))
                ears._messages()
        (stream,) = voices._streams.values()
        stream.take(tts_pb2.StreamResponse(stream=stream.number, response=_started()))
        await client.until("tts.started", channel=3)
        await asyncio.sleep(0.05)
        for number in range(2):
            with recorded(down if number else Walk()):
                stream.take(tts_pb2.StreamResponse(stream=stream.number, response=_audio()))
        await house.sessions.close()
    return up, down


def _started() -> tts_pb2.SynthesizeResponse:
    return tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=16_000, voice="test"))


def _audio() -> tts_pb2.SynthesizeResponse:
    return tts_pb2.SynthesizeResponse(audio=bytes(1280))


async def _rest_walk() -> Walk:
    walk = Walk()
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as gateway:
            body = b'{"text":"what time is it"}'
            head = (
                f"POST /api/v1/agent/intent HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.token()}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            for number in range(2):  # of the second one, what is remembered is known
                with recorded(walk if number else Walk(), begins_at="Connection.data_received"):
                    writer.write(head.encode() + body)
                    answer = await reader.readuntil(b"}]}")
                assert answer.startswith(b"HTTP/1.1 200"), answer
            writer.close()
    return walk


def _resume_walk() -> Walk:
    walk = Walk()

    async def body() -> None:
        world, store = World(), FakeStore()
        async with asyncio.TaskGroup() as group:
            first, second = (House(world, group, Limits(), store) for _ in range(2))
            here = await first.enter()
            here.say(type="channel.open", channel=1, kind="turn", params={"text": "hello"})
            await here.until("tts.started")
            await asyncio.sleep(0.5)
            ready = here.of("session.ready")[0]
            first.link.cut()  # type: ignore[union-attr]
            with recorded(walk):
                there = await second.enter(resume=Resume(ready["resume_token"], max(here.order)))
                await there.until("session.resumed")
            for house in (first, second):
                await house.sessions.close()

    virtual_time.run(body())
    return walk


def _barge_in_walk() -> Walk:
    walk = Walk()

    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="turn", params={})
        socket.say(type="credit", channel=1, bytes=1_000_000)
        await socket.until("channel.opened", channel=1)
        await asyncio.sleep(0.1)
        world.recognitions[0].say("hello")
        await socket.until("tts.started")
        await asyncio.sleep(0.45)
        with recorded(walk, begins_at="Listening.events"):
            world.recognitions[0].push(SpeechStarted(2000))
            await socket.until("turn.paused")
            world.recognitions[0].push(InterimTranscript("something else now", 0))
            await socket.until("turn.interrupted")

    housed(test)
    return walk


def walks() -> dict[str, Walk]:
    """All walks by name."""
    up, down = asyncio.run(_speech_walks())
    return {
        "microphone": up,
        "speech": down,
        "rest": asyncio.run(_rest_walk()),
        "resume": _resume_walk(),
        "interruption": _barge_in_walk(),
    }


def written(page: str, found: dict[str, Walk]) -> str:
    """The page with these walks."""
    return _GENERATED.sub(lambda part: part[1] + "\n".join(found[part[2]].lines()) + "\n" + part[3], page)


def with_rooms(page: str) -> str:
    """The page with a row for each room: its lines now, and its contents as written, or the first line of its docstring."""
    contents = dict(re.findall(r"^\| `([\w/]+)` \| [\d,]+ \| (.*) \|$", page, re.MULTILINE))
    rows = []
    for room, files in rooms(ROOT).items():
        if room != "tests":
            first_line = (ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())) or "").partition(
                "\n"
            )[0]
            rows.append(f"| `{room}` | {sizes(files)['lines']:,} | {contents.get(room, first_line)} |\n")
    head = "| room | lines | contents |\n|---|---|---|\n"
    before, _, behind = page.partition(head)
    return before + head + "".join(rows) + re.sub(r"\A(?:\|.*\n)*", "", behind)


def with_sizes(page: str) -> str:
    """The page with the sizes of today in the last column of their table."""
    by_room = rooms(ROOT)
    total = sizes([path for room, files in by_room.items() if room != "tests" for path in files])
    lines = total["lines"]
    for label, value in {
        "circles of imports, types included": f"{len(knots(imports(modules(ROOT))))}",
        "modules, lines (tests apart)": f"{total['modules']:,}, {lines:,}",
        "functions, lines of code for each": f"{total['functions']:,}, {lines / total['functions']:.1f}",
        "longest module": f"{total['longest']}",
        "comments, docstrings, of the lines": f"{total['comments'] / lines:.1%}, {total['docstrings'] / lines:.1%}".replace(
            "%", " %"
        ),
        "test lines to code lines": f"{sizes(by_room['tests'])['lines'] / lines:.2f}",
    }.items():
        page = re.sub(rf"^(\| {re.escape(label)} \| [^|]+ \|) [^|]+ \|$", rf"\1 {value} |", page, flags=re.MULTILINE)
    return page


def main() -> None:
    """Print the walks, or write them, the rooms and the sizes."""
    found = walks()
    if "--write" in sys.argv:
        page = written(PAGE.read_text(encoding="utf-8"), found)
        PAGE.write_text(with_sizes(with_rooms(page)), encoding="utf-8")
        return
    for name, walk in found.items():
        print(f"\n{name}: " + "\n".join(walk.lines()))


if __name__ == "__main__":
    main()
