"""A client that moves between replicas and records what it sees: on virtual time, with a real protocol core at both ends."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal, Self

from streaming.jarvis.entry import Attachment, RefusedError, enter
from streaming.jarvis.registry import Resume
from streaming.protocol import events, messages
from streaming.protocol.client import ClientConnection
from tests.support.house import USER, House

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.protocol.events import Event
    from streaming.protocol.messages import ChannelParams

VOLATILE = {"seq", "turn_id", "stages", "confirmation_id", "expires_at", "task_id", "id"}


def _answers(message: object) -> str:
    """The id of the command that a message answers."""
    return getattr(message, "id", None) or ""


class _Socket:
    """One WebSocket between the client and a house."""

    traceparent = ""

    def __init__(self, roamer: Roamer, house: House) -> None:
        self.roamer = roamer
        self.house = house
        self.line: Attachment | None = None
        self.open = True
        self.ended: tuple[int, str] | None = None
        self._writing = False

    @property
    def sink(self) -> Self:
        return self

    @property
    def free(self) -> bool:
        return self.open and not self._writing and self.line is not None

    def write_frame(self, frame: bytes, now: float) -> None:
        self.roamer.deliver(frame)

    def write_text(self, text: str) -> None:
        self.roamer.deliver(text)

    def wake(self) -> None:
        if not self._writing and self.open:
            self._writing = True
            self.house.group.create_task(self._write(), name="socket")

    async def _write(self) -> None:
        await asyncio.sleep(0)
        while self.open and self.line is not None and (batch := self.line.data_to_send()):
            if self.line.must_be_saved(batch):
                batch = await self.line.saved(batch)
            for item in batch:
                if self.open:
                    self.roamer.deliver(item)
        self._writing = False

    def end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)
        self.open = False
        self.roamer.client.detach()


class Roamer:
    """`view`: the client's events, without values that differ between runs. `crash_after`: crash after this many more messages."""

    def __init__(self) -> None:
        self.client = ClientConnection(0.0)
        self.view: list[tuple[Any, ...]] = []
        self.audio: dict[int, list[tuple[int, int, bytes]]] = {}  # generation, pts, payload by channel
        self.delivered = 0
        self.crash_after = 0
        self.on_crash: Callable[[], None] = lambda: None
        self.socket: _Socket | None = None
        self._numbers: dict[str, int] = {}  # numbers of the commands that have an id
        self._known_taken = 0  # the last command that the server has acknowledged
        self._clock = asyncio.get_running_loop().time

    async def connect(self, house: House, session_id: str = "s1", how: Literal["url", "message"] = "url") -> None:
        """Connect to this replica, as if chosen by a load balancer."""
        token = self.client.resume_token
        resume = Resume(token, self.client.last_seq) if token and how == "url" else None
        kept = await house.sessions.claim(session_id, USER, resume)
        self.socket = _Socket(self, house)
        self.client.attach(self._clock(), how if token else None)
        try:
            self.socket.line = enter(house.sessions, session_id, USER, self.socket, resume, kept)
        except RefusedError as refused:
            self.socket.end(refused.close_code, refused.message)
            return
        self.socket.wake()
        self.flush()

    def cut(self) -> None:
        """Lose only the socket."""
        socket = self.socket
        assert socket is not None
        assert socket.line is not None
        socket.open = False
        self.client.detach()
        socket.line.closed(for_good=False)

    async def crash(self) -> None:
        """The replica dies, and everything in flight is lost."""
        socket = self.socket
        assert socket is not None
        assert socket.line is not None
        socket.open = False
        self.client.detach()
        live = socket.line.live
        live.let_go()
        live.detach(socket)
        await live.close()

    def deliver(self, item: str | bytes) -> None:
        """Deliver one message."""
        self.delivered += 1
        receive: Any = self.client.receive_text if isinstance(item, str) else self.client.receive_binary
        for event in receive(item, self._clock()):
            self._take(event)
        self.flush()
        if self.delivered == self.crash_after:
            assert self.socket is not None
            self.socket.open = False
            self.on_crash()

    def _take(self, event: Event) -> None:
        self._check_truth(event)
        if isinstance(event, events.AudioReceived):
            self.audio.setdefault(event.channel, []).append((event.generation, event.pts_ms, event.payload))
            self.client.played(event.channel, len(event.payload))
        elif isinstance(event, events.MessageReceived) and event.seq is not None:
            fields = event.message.model_dump(exclude=VOLATILE, exclude_none=True)
            self.view.append(tuple(sorted((name, repr(value)) for name, value in fields.items())))

    def _check_truth(self, event: Event) -> None:
        """Check that a session with `recovered: true` knows every command that it acknowledged or answered."""
        if isinstance(event, events.SessionStarted):
            self._numbers.clear()
            self._known_taken = 0
        elif isinstance(event, events.SessionRecovered):
            taken = event.resumed.taken_seq
            assert taken >= self._known_taken, f"recovered untruly: {taken} taken, {self._known_taken} were known to be"
        elif isinstance(event, events.MessageReceived):
            message = event.message
            taken = message.seq if isinstance(message, messages.ServerAck) else self._numbers.get(_answers(message), 0)
            self._known_taken = max(self._known_taken, taken)

    def flush(self) -> None:
        """Send the client's output."""
        socket = self.socket
        while socket is not None and socket.open and socket.line is not None and (batch := self.client.data_to_send()):
            for item in batch:
                command = json.loads(item) if isinstance(item, str) else {}
                if "seq" in command and "id" in command:
                    self._numbers[command["id"]] = command["seq"]
            socket.line.feed(batch)

    def open(self, params: ChannelParams) -> int:
        channel = self.client.open_channel(params)
        self.flush()
        return channel

    def call(self, op: str, **params: Any) -> None:
        self.client.call(op, params)
        self.flush()

    def of(self, kind: str) -> list[dict[str, str]]:
        return [dict(entry) for entry in self.view if ("type", repr(kind)) in entry]

    def kinds(self) -> list[str]:
        return [dict(entry)["type"].strip("'") for entry in self.view]

    async def until(self, kind: str, count: int = 1) -> dict[str, str]:
        async with asyncio.timeout(60):
            while len(self.of(kind)) < count:
                await asyncio.sleep(0.01)
        return self.of(kind)[count - 1]

    def confirm(self, confirmation_id: str, *, approve: bool) -> None:
        self.client.confirm(confirmation_id, approve=approve)
        self.flush()
