"""Sessions with scripted services and sockets that write everything down, on virtual time; replicas that share a store."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from server.shared.observation import ReplicaObservation
from server.shared.state import LocalState
from streaming.jarvis.entry import Line, enter
from streaming.jarvis.registry import Resume, Sessions
from streaming.ports import CallError, Identity, LaneServices
from streaming.protocol import frame
from streaming.protocol.limits import Limits
from streaming.residents import Residents
from tests.support import virtual_time
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from streaming.jarvis.journal import Head, Mode, SessionStore, Written
    from streaming.ports import CallContext

USER = Identity("u1", "ada", ("admin",))


class FakeDesk:
    """The gateway around the sessions."""

    async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        if op == "broken":
            raise broken("memory")
        if op == "defect":
            raise KeyError(op)
        if op != "echo":
            raise CallError("NOT_FOUND", f"no operation {op}")
        await asyncio.sleep(params.get("wait_s", 0))
        return {"params": params, "user": identity.user_id, "session": context.session_id}

    async def identify(self, token: str) -> Identity:
        if token == "bad":
            raise CallError("UNAUTHENTICATED", "no such token")
        return replace(USER, user_id=token, expires_at=None)

    def service_engines(self) -> dict[str, str]:
        return {"tts": "hibari (heart)"}

    def service_states(self) -> dict[str, Any]:
        return {"stt": "up"}


class FakeSocket:
    """Takes what the session has to say whenever it is woken."""

    traceparent = ""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._writing = False
        self.texts: list[dict[str, Any]] = []
        self.frames: list[frame.Frame] = []
        self.order: list[int] = []  # sequence numbers as they came
        self.ended: tuple[int, str] | None = None
        self.line: Line | None = None
        self.reading = True

    def wake(self) -> None:
        if not self._writing:
            self._writing = True
            self._group.create_task(self._write(), name="socket writer")

    async def _write(self) -> None:
        await asyncio.sleep(0)
        while self.reading and self.line is not None and self.ended is None and (batch := self.line.data_to_send()):
            if self.line.must_be_saved(batch) and not await self.line.saved():
                break
            for item in batch:
                self._take(item)
        self._writing = False

    def _take(self, item: str | bytes) -> None:
        if isinstance(item, bytes):
            self.frames.append(frame.decode(item))
            self.order.append(self.frames[-1].seq)
            return
        message = json.loads(item)
        self.texts.append(message)
        if "seq" in message and message["type"] != "ack":
            self.order.append(message["seq"])

    def end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    def say(self, **message: Any) -> None:
        assert self.line is not None
        self.line.feed([json.dumps(message)])

    def sound(self, channel: int, seq: int, payload: bytes) -> None:
        assert self.line is not None
        self.line.feed([frame.HEADER.pack(1, 0, channel, 0, seq, 0) + payload])

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return [m for m in self.texts if m["type"] == kind and all(m.get(k) == v for k, v in fields.items())]

    async def until(self, kind: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        async with asyncio.timeout(100):
            while len(self.of(kind, **fields)) < count:
                await asyncio.sleep(0.01)
        return self.of(kind, **fields)[count - 1]


class FakeStore:
    """`SessionStore` in this process. `away`: nothing is kept. `slow_s`: how long each write takes."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], dict[str, str]] = {}
        self.users: dict[str, str] = {}
        self.writes = 0
        self.away = False
        self.slow_s = 0.001
        self.begun_anew: list[Callable[[str, str, str], None]] = []  # of every replica

    async def write(
        self, session_id: str, owner: str, head: Head, changed: Mapping[str, str], gone: Sequence[str], mode: Mode
    ) -> Written:
        await asyncio.sleep(self.slow_s)
        self.writes += 1
        key = (session_id, head.resume_token)
        before = self.records.get(key)
        if self.away or (mode == "update" and before is None):
            return "lost"
        if self.users.setdefault(session_id, head.user_id) != head.user_id:
            return "foreign"
        if before is not None and before["owner"] != owner:
            return "taken"
        record = dict(before or {}) if mode == "update" else {}
        self.records[key] = {name: value for name, value in record.items() if name not in gone}
        self.records[key] |= {"owner": owner, "opened_at": str(head.opened_at), **changed}
        return "kept"

    async def claim(self, session_id: str, owner: str, user_id: str, resume_token: str) -> Mapping[str, str] | None:
        await asyncio.sleep(self.slow_s)
        record = self.records.get((session_id, resume_token))
        if self.away or record is None or self.users[session_id] != user_id:
            return None
        found = dict(record)
        record["owner"] = owner
        return found

    async def forget(self, session_id: str, owner: str, resume_token: str) -> None:
        record = self.records.get((session_id, resume_token))
        if record is not None and record["owner"] == owner:
            del self.records[session_id, resume_token]

    async def begin_anew(self, session_id: str, owner: str, user_id: str) -> None:
        for tell in self.begun_anew:
            tell(session_id, owner, user_id)


class House:
    """A registry with scripted services."""

    def __init__(
        self, world: World, group: asyncio.TaskGroup, limits: Limits, store: SessionStore | None = None
    ) -> None:
        lent: Any = world
        self.group = group
        residents = Residents()
        self.observation = ReplicaObservation(LocalState(), None, group, residents)
        provided = LaneServices(world.services(), lent, lent, lent, lent, self.observation)
        self.sessions = Sessions(limits, provided, FakeDesk(), group, residents, store)
        if isinstance(store, FakeStore):
            store.begun_anew.append(self.sessions.on_begun_anew)

    async def enter(self, session_id: str = "s1", who: Identity = USER, resume: Resume | None = None) -> FakeSocket:
        socket = FakeSocket(self.group)
        kept = await self.sessions.claim(session_id, who, resume)
        socket.line = enter(self.sessions, session_id, who, socket, resume, kept)
        socket.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return socket


def housed(
    test: Callable[[House, World], Awaitable[None]], world: World | None = None, limits: Limits | None = None
) -> None:
    async def body() -> None:
        nonlocal world
        world = world or World()
        async with asyncio.TaskGroup() as group:
            house = House(world, group, limits or Limits())
            sweeper = group.create_task(house.sessions.sweep())
            await test(house, world)
            sweeper.cancel()
            await house.sessions.close()

    virtual_time.run(body())
