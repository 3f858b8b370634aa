"""Sessions with scripted services and recording sockets, on virtual time, and replicas that share a store."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from server.net.loop_turns import LoopTurns
from server.shared.observation import ReplicaObservation
from server.shared.session_records import LOOK_AGAIN_S, REWRITTEN_WITHIN_S
from server.shared.state import LocalState
from server.shared.store_epoch import GAP_S
from streaming.jarvis.entry import Attachment, enter
from streaming.jarvis.journal import WriteOutcome
from streaming.jarvis.registry import Resume, Sessions
from streaming.ports import Identity, LaneServices, ServiceError
from streaming.protocol import frame
from streaming.protocol.limits import Limits
from streaming.residents import Residents
from tests.support import virtual_time
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from streaming.jarvis.journal import Change, SessionHead, SessionStore, Unclaimed, Writer
    from streaming.ports import CallContext

USER = Identity("u1", "ada", ("admin",))


class FakeDesk:
    """The gateway, as seen by sessions."""

    async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        if op == "broken":
            raise broken("memory")
        if op == "defect":
            raise KeyError(op)
        if op != "echo":
            raise ServiceError("NOT_FOUND", f"no operation {op}")
        await asyncio.sleep(params.get("wait_s", 0))
        return {"params": params, "user": identity.user_id, "session": context.session_id}

    def refusal(self, op: str, identity: Identity) -> ServiceError | None:
        return ServiceError("RATE_LIMITED", "come back in 5 s", retry_after_ms=5_000) if op == "full" else None

    async def identify(self, token: str) -> Identity:
        if token == "bad":
            raise ServiceError("UNAUTHENTICATED", "no such token")
        user_id, _, role = token.partition(":")
        return replace(USER, user_id=user_id, roles=(role,) if role else USER.roles, expires_at=None)

    def service_engines(self) -> dict[str, str]:
        return {"tts": "hibari (heart)"}

    def service_states(self) -> dict[str, Any]:
        return {"stt": "up"}


class FakeSocket:
    """Takes the session's output whenever it is woken."""

    traceparent = ""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._writing = False
        self.texts: list[dict[str, Any]] = []
        self.frames: list[frame.Frame] = []
        self.order: list[int] = []  # sequence numbers in order of arrival
        self.ended: tuple[int, str] | None = None
        self.line: Attachment | None = None
        self.reading = True

    @property
    def sink(self) -> Self:
        return self

    @property
    def free(self) -> bool:
        return self.reading and not self._writing and self.ended is None

    def write_frame(self, frame: bytes, now: float) -> None:
        self._take(frame)

    def write_text(self, text: str) -> None:
        self._take(text)

    def wake(self) -> None:
        if not self._writing:
            self._writing = True
            self._group.create_task(self._write(), name="socket writer")

    async def _write(self) -> None:
        await asyncio.sleep(0)
        while self.reading and self.line is not None and self.ended is None and (batch := self.line.data_to_send()):
            if self.line.must_be_saved(batch):
                batch = await self.line.saved(batch)
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


SocketT = TypeVar("SocketT", bound=FakeSocket)


StoreState = Literal["well", "away", "read-only", "full"]
Key = tuple[str, str]  # session, resume token
Saved = tuple[dict[Key, dict[str, str]], dict[str, str], dict[str, tuple[int, str]], dict[Key, int]]


class FakeStore:
    """An in-process `SessionStore` with the rules of `server.shared.session_records`. `slow_s`: time per write.

    `state`: "away" stores nothing; "read-only" refuses each write; "full" refuses what makes it larger, as Redis does in a script
    whose first write only removes something. No beat of a replica is confirmed in any of them.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], dict[str, str]] = {}
        self.users: dict[str, str] = {}
        self.current: dict[str, tuple[int, str]] = {}  # order, epoch
        self.writes = 0
        self._silent_since: float | None = None
        self._state: StoreState = "well"
        self._saved: Saved = ({}, {}, {}, {})
        self._epoch_at = float("-inf")
        self.epoch = 1  # the store's epoch; records of an older one cannot be claimed
        self.stamps: dict[tuple[str, str], int] = {}
        self.slow_s = 0.001
        self.replicas: list[Sessions] = []
        self.cut_off: set[Sessions] = set()  # replicas that get no news
        self.news_s = 0.002  # delay of news to other replicas
        self.signed_out: set[str] = set()  # ids of tokens
        self._order = 1

    @property
    def away(self) -> bool:
        return self._state == "away"

    @away.setter
    def away(self, away: bool) -> None:
        self.state = "away" if away else "well"

    @property
    def state(self) -> StoreState:
        return self._state

    @state.setter
    def state(self, state: StoreState) -> None:
        if state != "well":
            self._silent_since = asyncio.get_running_loop().time() if self._silent_since is None else self._silent_since
        elif self._silent_since is not None:
            if self.silent_s > GAP_S:
                self.begin_epoch()
            self._silent_since = None
        self._state = state

    def flush(self) -> None:
        """Everything is gone, as after FLUSHALL or a restart without a disk."""
        for part in (self.records, self.users, self.current, self.stamps):
            part.clear()
        self.begin_epoch()

    def save(self) -> None:
        """What a restart will find."""
        self._saved = deepcopy((self.records, self.users, self.current, self.stamps))

    def restart(self) -> None:
        """As it was when it was last saved; empty if it never was."""
        self.records, self.users, self.current, self.stamps = deepcopy(self._saved)
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Start a new epoch, as after a long absence or a restart: each replica writes its records again."""
        self.epoch += 1
        self._epoch_at = asyncio.get_running_loop().time()
        self._tell(lambda sessions: sessions.write_anew())

    @property
    def silent_s(self) -> float:
        return asyncio.get_running_loop().time() - self._silent_since if self._silent_since is not None else 0.0

    async def write(self, session_id: str, writer: Writer, head: SessionHead, change: Change) -> WriteOutcome:
        await asyncio.sleep(self.slow_s)
        self.writes += 1
        removes_first = change.order == 0 and (change.whole or bool(change.gone))
        if self._state != "well" and not (self._state == "full" and removes_first):
            return WriteOutcome("lost")
        if self.users.get(session_id, head.user_id) != head.user_id:
            return WriteOutcome("foreign")
        key = (session_id, head.resume_token)
        before = self.records.get(key, {})
        owner = before.get("owner")
        if owner not in {None, writer.name} and int(before["claims"]) >= writer.term:
            return WriteOutcome("taken")
        if not change.whole and (owner != writer.name or before["version"] != str(change.builds_on)):
            return WriteOutcome("lost")
        former = self.records.get((session_id, change.former), {})
        if former.get("owner") not in {None, writer.name} and int(former["claims"]) >= writer.term:
            return WriteOutcome("taken")
        order = self._decide(session_id, head.epoch, change.order)
        if order is None:
            return WriteOutcome("superseded")
        self.users[session_id] = head.user_id
        kept = {} if change.whole else {name: text for name, text in before.items() if name not in change.gone}
        about = {"owner": writer.name, "claims": str(writer.term), "version": str(change.version), "order": str(order)}
        about["epoch"] = head.epoch
        if change.former:
            self.records[session_id, change.former] = {"moved": head.resume_token}
        self.stamps[key] = self.epoch
        self.records[key] = kept | about | {"opened_at": str(head.opened_at), **change.fields}
        return WriteOutcome("kept", order)

    def _decide(self, session_id: str, epoch: str, order: int) -> int | None:
        if order == 0:
            return 0
        known, current = self.current.get(session_id, (0, epoch))
        if order < 0:
            order = known if current == epoch and known else max(known, self._order) + 1
            self._order = order
        if current != epoch:
            if known > order:
                return None
            self._tell(lambda sessions: sessions.on_begun_anew(session_id))
        self.current[session_id] = (order, epoch)
        return order

    def _tell(self, news: Callable[[Sessions], None]) -> None:
        for sessions in self.replicas:
            if sessions not in self.cut_off:
                asyncio.get_running_loop().call_later(self.news_s, news, sessions)

    async def claim(
        self, session_id: str, name: str, user_id: str, resume_token: str, mine: str
    ) -> Mapping[str, str] | Unclaimed:
        await asyncio.sleep(self.slow_s)
        if self._state != "well":
            return "unreachable"
        record, key = self._find(session_id, resume_token)
        while record is None and asyncio.get_running_loop().time() - self._epoch_at < REWRITTEN_WITHIN_S:
            await asyncio.sleep(LOOK_AGAIN_S)
            record, key = self._find(session_id, resume_token)
        if record is None or self.users[session_id] != user_id:
            return "unknown"
        if int(record["order"]) and self.current.get(session_id, (0, record["epoch"]))[1] != record["epoch"]:
            return "superseded"
        if record["owner"] == mine:
            return "ours"
        for _ in range(20):
            if self.stamps.get(key) == self.epoch:
                break
            await asyncio.sleep(LOOK_AGAIN_S)
            found, key = self._find(session_id, resume_token)
            record = found or record
        else:
            return "unknown"
        before = record["owner"]
        record |= {"owner": name, "claims": str(int(record["claims"]) + 1)}
        if key != (session_id, resume_token):
            self.records[session_id, resume_token], self.stamps[session_id, resume_token] = record, self.stamps[key]
            self.records[key] = {"moved": resume_token, "owner": name, "claims": record["claims"]}
        self._tell(lambda sessions: sessions.on_claimed(session_id, before))
        if not self.signed_out.isdisjoint(json.loads(record.get("signed_out_by", "[]"))):
            return "unknown"
        return record | {"owner": before}

    def _find(self, session_id: str, resume_token: str) -> tuple[dict[str, str] | None, tuple[str, str]]:
        """The record of a token or of one that has replaced it, and its key."""
        key = (session_id, resume_token)
        while (record := self.records.get(key)) is not None and "moved" in record:
            key = (session_id, record["moved"])
        return record, key

    async def forget(self, session_id: str, writer: Writer, resume_token: str) -> None:
        record = self.records.get((session_id, resume_token))
        if record is not None and record["owner"] == writer.name and self._state in {"well", "full"}:
            del self.records[session_id, resume_token]


class StoreLink:
    """One replica's way to the store, which can be cut while the other replicas still reach it."""

    def __init__(self, store: FakeStore) -> None:
        self.store = store
        self.sessions: Sessions | None = None
        self._cut_at: float | None = None

    def cut(self) -> None:
        """From now on the replica does not reach the store, and hears nothing from it."""
        if self._cut_at is None and self.sessions is not None:
            self._cut_at = asyncio.get_running_loop().time()
            self.store.cut_off.add(self.sessions)

    def mend(self) -> None:
        """The replica reaches the store again, and writes its records anew."""
        if self._cut_at is not None and self.sessions is not None:
            self._cut_at = None
            self.store.cut_off.discard(self.sessions)
            self.sessions.write_anew()

    @property
    def silent_s(self) -> float:
        if self._cut_at is not None:
            return asyncio.get_running_loop().time() - self._cut_at
        return self.store.silent_s

    async def write(self, session_id: str, writer: Writer, head: SessionHead, change: Change) -> WriteOutcome:
        if self._cut_at is not None:
            await asyncio.sleep(self.store.slow_s)
            return WriteOutcome("lost")
        return await self.store.write(session_id, writer, head, change)

    async def claim(
        self, session_id: str, name: str, user_id: str, resume_token: str, mine: str
    ) -> Mapping[str, str] | Unclaimed:
        if self._cut_at is not None:
            await asyncio.sleep(self.store.slow_s)
            return "unreachable"
        return await self.store.claim(session_id, name, user_id, resume_token, mine)

    async def forget(self, session_id: str, writer: Writer, resume_token: str) -> None:
        if self._cut_at is None:
            await self.store.forget(session_id, writer, resume_token)


class House:
    """A replica: a session registry with scripted services."""

    def __init__(
        self, world: World, group: asyncio.TaskGroup, limits: Limits, store: SessionStore | None = None
    ) -> None:
        lent: Any = world
        self.group = group
        self.link = StoreLink(store) if isinstance(store, FakeStore) else None
        self.store = store if isinstance(store, FakeStore) else None
        residents = Residents()
        self.observation = ReplicaObservation(LocalState(), None, group, residents, LoopTurns())
        provided = LaneServices(world.services(), lent, lent, lent, lent, self.observation)
        self.sessions = Sessions(limits, provided, FakeDesk(), group, residents, self.link or store)
        if self.link is not None:
            self.link.sessions = self.sessions
            self.link.store.replicas.append(self.sessions)

    async def enter(self, session_id: str = "s1", who: Identity = USER, resume: Resume | None = None) -> FakeSocket:
        return await self.connect(FakeSocket(self.group), session_id, who, resume)

    async def connect(
        self, socket: SocketT, session_id: str = "s1", who: Identity = USER, resume: Resume | None = None
    ) -> SocketT:
        kept = await self.sessions.claim(session_id, who, resume)
        socket.line = enter(self.sessions, session_id, who, socket, resume, kept)
        socket.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return socket


def housed(
    test: Callable[[House, World], Awaitable[None]],
    world: World | None = None,
    limits: Limits | None = None,
    store: FakeStore | None = None,
) -> None:
    async def body() -> None:
        nonlocal world
        world = world or World()
        async with asyncio.TaskGroup() as group:
            house = House(world, group, limits or Limits(), store)
            sweeper = group.create_task(house.sessions.sweep())
            await test(house, world)
            sweeper.cancel()
            await house.sessions.close()

    virtual_time.run(body())
