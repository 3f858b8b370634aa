"""One client, two replicas and a store that may be away or lose its data, in any order of events: all guarantees hold.

On virtual time, without a process. The client is a real protocol core: it raises on a gap, a double and a wrong order. Effects
are counted by what the calls did.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streaming.jarvis.entry import RefusedError, enter
from streaming.jarvis.registry import Resume
from streaming.protocol import events, messages
from streaming.protocol.limits import Limits
from tests.support import house as houses
from tests.support import virtual_time
from tests.support.house import USER, FakeDesk, FakeSocket, FakeStore, House, StoreLink
from tests.support.roamer import Roamer
from tests.support.world import World

if TYPE_CHECKING:
    import pytest

    from streaming.ports import CallContext, Identity
    from streaming.protocol.events import Event

How = Literal["url", "message"]
What = Literal[
    "call",
    "cut",
    "kill",
    "leave",
    "rival",
    "move",
    "store away",
    "store read-only",
    "store full",
    "store back",
    "store slow",
    "store emptied",
    "store emptied while away",
    "store saved",
    "store restarted",
    "link cut",
    "link mended",
    "deaf",
    "news slow",
    "wait",
]
UPGRADE_S = 0.004  # from a rival's claim to its socket


@dataclass(frozen=True)
class Step:
    """`what` happens, then `wait_ms` pass. `to`: a replica."""

    what: What
    wait_ms: int
    to: int = 0
    how: How = "url"


STEPS = st.builds(
    Step,
    st.sampled_from(["call", "call", *(what for what in get_args(What) if what != "wait")]),  # most are calls
    st.sampled_from([0, 1, 3, 10, 300, 1_000, 3_000]),
    st.integers(0, 1),
    st.sampled_from(["url", "message"]),
)


class Client(Roamer):
    """Counts what it was answered, by the number of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, int] = {}
        self.answers: Counter[int] = Counter()
        self.lost: set[int] = set()  # asked in an epoch that could not be resumed
        self.errors: list[BaseException] = []
        self.deaf_to: object = None  # a socket

    def ask(self, number: int) -> None:
        self.asked[self.client.call("echo", {"n": number, "wait_s": 0.02 * (number % 2)})] = number
        self.flush()

    def deliver(self, item: str | bytes) -> None:
        if self.deaf_to is self.socket:
            return
        try:
            super().deliver(item)
        except Exception as error:
            self.errors.append(error)
            raise

    def _take(self, event: Event) -> None:
        super()._take(event)
        if isinstance(event, events.SessionStarted):
            self.lost |= {number for number in self.asked.values() if not self.answers[number]}
            self.asked.clear()
        elif isinstance(event, events.MessageReceived) and isinstance(event.message, messages.Result | messages.Error):
            number = self.asked.get(event.message.id or "")
            assert number is not None, "an answer to nothing that was asked"
            self.answers[number] += 1


class Model:
    """The world of one run."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.store = FakeStore()
        self.replicas = [House(World(), group, Limits(), self.store) for _ in range(2)]
        self.client = Client()
        self.calls = 0

    async def do(self, step: Step) -> None:
        match step.what:
            case "call":
                self.calls += 1
                self.client.ask(self.calls)
            case "cut":
                self.client.cut()
                await self.connect(step)
            case "kill":
                await self.client.crash()
                await self.connect(step)
            case "leave":  # it does not wait for the answer to a resume, and tries the other replica
                self.client.cut()
                self.group.create_task(self.resume_and_leave(step, self.replicas[step.to]), name="left resume")
                await asyncio.sleep(min(step.wait_ms, 1_000) / 1000)
                await self.client.connect(self.replicas[1 - step.to], how=step.how)
            case "rival":  # two resumes at once, at two replicas
                self.client.cut()
                epoch = self.client.client.epoch
                coming = self.group.create_task(self.resume_and_leave(step, self.replicas[step.to]), name="rival")
                await asyncio.sleep(min(step.wait_ms, 3) / 1000)
                await self.client.connect(self.replicas[1 - step.to], how=step.how)
                told = await coming
                assert self.client.client.epoch != epoch or "EXPIRED" not in told, (
                    "the session was resumed, so it had not expired"
                )
            case "move":
                self.client.cut()
                await asyncio.sleep(step.wait_ms / 1000)
                await self.connect(step)
            case "store away":
                self.store.away = True
            case "store read-only":
                self.store.state = "read-only"
            case "store full":
                self.store.state = "full"
            case "store back":
                self.store.away = False
            case "store slow":
                self.store.slow_s = min(step.wait_ms, 300) / 1000  # the link to the real one waits a second at most
            case "store emptied":
                self.store.flush()
            case "store emptied while away":
                self.client.cut()
                self.store.flush()
                await asyncio.sleep(step.wait_ms / 1000)
                await self.connect(step)
            case "store saved":
                self.store.save()
            case "store restarted":
                self.store.restart()
            case "link cut":  # this replica alone does not reach the store
                self.link(step.to).cut()
            case "link mended":
                self.link(step.to).mend()
            case "deaf":  # nothing arrives at the client on this socket any more
                self.client.deaf_to = self.client.socket
            case "news slow":
                self.store.news_s = min(step.wait_ms, 1_000) / 1000
        await asyncio.sleep(step.wait_ms / 1000)
        await self.stay_connected(step)

    async def resume_and_leave(self, step: Step, house: House) -> list[str]:
        """A resume whose client has gone, which the replica does not notice before it has answered. Returns its errors."""
        token = self.client.client.resume_token
        assert token is not None
        asked = Resume(token, self.client.client.last_seq)
        socket = FakeSocket(self.group)
        kept = await house.sessions.claim("s1", USER, asked if step.how == "url" else None)
        await asyncio.sleep(UPGRADE_S if step.what == "rival" else 0)
        try:
            socket.line = enter(house.sessions, "s1", USER, socket, asked if step.how == "url" else None, kept)
        except RefusedError:
            return []
        socket.wake()
        if step.how == "message":
            socket.say(type="session.resume", resume_token=token, last_seq=asked.last_seq)
        await asyncio.sleep(0.5)
        socket.line.closed(for_good=False)
        return [ready["resume_error"] for ready in socket.of("session.ready") if "resume_error" in ready]

    def link(self, number: int) -> StoreLink:
        link = self.replicas[number].link
        assert link is not None
        return link

    async def connect(self, step: Step) -> None:
        await self.client.connect(self.replicas[step.to], how=step.how)

    async def stay_connected(self, step: Step) -> None:
        """A client whose socket was closed comes back."""
        for _ in range(5):
            socket = self.client.socket
            if socket is None or socket.open:
                return
            assert socket.ended is not None
            assert socket.ended[0] not in {1002, 4510}, f"the client is told not to come back: {socket.ended}"
            if socket.line is not None:
                socket.line.closed(for_good=False)
            await self.connect(step)
            await asyncio.sleep(0.5)

    async def settle(self) -> None:
        self.store.state, self.store.slow_s = "well", 0.001
        for number in range(2):
            self.link(number).mend()
        if self.client.deaf_to is not None:
            self.client.cut()
            await self.connect(Step("cut", 0))
        for _ in range(12):
            await asyncio.sleep(0.5)
            await self.stay_connected(Step("wait", 0))


def keeps_its_promises(steps: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    effects: Counter[int] = Counter()

    class Desk(FakeDesk):
        async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
            effects[params["n"]] += 1
            return await super().call(op, params, identity, context)

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            model = Model(group)
            await model.client.connect(model.replicas[0])
            await asyncio.sleep(0.1)
            for step in steps:
                await model.do(step)
            await model.settle()
            assert model.client.errors == []
            assert max(effects.values(), default=0) <= 1, effects
            assert max(model.client.answers.values(), default=0) <= 1, model.client.answers
            unanswered = set(range(1, model.calls + 1)) - set(model.client.answers) - model.client.lost
            assert not unanswered
            for replica in model.replicas:
                await replica.sessions.close()

    with monkeypatch.context() as patched:
        patched.setattr(houses, "FakeDesk", Desk)
        virtual_time.run(body())


# What it found first: of two epochs that began while the store was away, the one that the client had left ended the other.
LEFT_EPOCH = [
    Step("store away", 1),
    Step("kill", 1_000),
    Step("call", 10),
    Step("cut", 1_000, 1, "message"),
    Step("store emptied", 10),
]


# A command that waited for its record when the session ended was not told so, but failed.
ENDED_WHILE_A_COMMAND_WAITS = [Step("store away", 1), Step("call", 3_000), Step("kill", 1_000, 1)]


# A resume that its client had left began a new epoch, because the store had lost its data: the client's own socket was closed for good.
LEFT_RESUME = [
    Step("call", 10),
    Step("store slow", 300),
    Step("store emptied", 0),
    Step("leave", 10, 1),
    Step("call", 1_000),
]


# A replica that alone is cut off knows nothing of what its session came to elsewhere.
BACK_TO_THE_CUT_OFF = [
    Step("link cut", 0, 0),
    Step("move", 10, 1),
    Step("call", 10),
    Step("move", 10, 0),
    Step("wait", 4_000),
]
# Its client does not know either that the session has gone on without a record, if the socket is dead.
GONE_BEFORE_IT_WAS_TOLD = [
    Step("link cut", 0, 0),
    Step("deaf", 0),
    Step("call", 3_000),
    Step("move", 10, 1),
    Step("wait", 3_000),
]


# A claim was answered "ours" before another replica claimed the session, and its socket opened behind the news of that.
TWO_AT_ONCE = [Step("call", 10), Step("news slow", 0), Step("rival", 1, 0), Step("rival", 0, 1)]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(steps=LEFT_EPOCH)
@example(steps=ENDED_WHILE_A_COMMAND_WAITS)
@example(steps=LEFT_RESUME)
@example(steps=BACK_TO_THE_CUT_OFF)
@example(steps=GONE_BEFORE_IT_WAS_TOLD)
@example(steps=TWO_AT_ONCE)
@given(steps=st.lists(STEPS, max_size=14))
def test_no_promise_is_broken_whatever_happens(steps: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    keeps_its_promises(steps, monkeypatch)
