"""A session of the Live API with scripted services, on virtual time. Each event is checked strictly."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, get_args

import pytest
from openai.types.live import ClientEvent, ConnectClientEvent

from streaming.openai.duplex import MAX_CONTEXT_CHARS
from streaming.openai.registry import RealtimeSessions
from streaming.openai.settings import Voices
from streaming.openai.sideband import Sideband
from streaming.ports import FinalTranscript, LaneServices, Plan, SeenMessage, SpeechStarted, SpeechStopped, Step
from streaming.residents import Departure, Residents
from tests.clients.published import checked_live
from tests.support import virtual_time
from tests.support.openai_client import FRAME, USER, Client
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from streaming.openai.duplex import Duplex

LONG = "one two three four five six seven eight nine ten"


class LiveClient(Client):
    """The same of the Live API."""

    live: Duplex | None

    def _take(self) -> None:
        if self.live is not None:
            self.events += [checked_live(item) for item in self.live.data_to_send()]

    def start(self, **session: Any) -> None:
        self.send("session.start", event_id="start", session={"model": "gpt-live-1", **session})

    def append(self, kind: str, content: str, delegation_id: str | None = None, **fields: Any) -> None:
        self.send(f"session.{kind}.append", content=content, delegation_id=delegation_id, **fields)

    @property
    def told(self) -> str:
        return "".join(event["delta"] for event in self.of("session.output_transcript.delta"))


@asynccontextmanager
async def session(world: World) -> AsyncIterator[LiveClient]:
    lent: Any = world
    provided = LaneServices(world.services(), lent, lent, lent, lent, lent)
    async with asyncio.TaskGroup() as group:
        residents = Residents()
        sessions = RealtimeSessions(provided, group, residents)
        client = LiveClient(world)
        client.live = sessions.begin_duplex(USER, client, Voices(("hibari",)))
        yield client
        await sessions.close()
        assert list(residents) == []
    assert sessions.room.held_bytes == 0


def scripted(test: Callable[[LiveClient, World], Awaitable[None]], *, start: bool = True) -> None:
    async def run() -> None:
        world = World()
        world.plans["tidy up"] = Plan("p", "tidied", (Step("1", "os", "rm", {}, (), ""),), "tidy")
        async with session(world) as client:
            if start:
                client.start()
                await client.until("session.started")
            await test(client, world)

    virtual_time.run(run())


def test_a_session_starts_with_its_start_and_is_told_whole() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        client.send("session.input_audio.append", event_id="early", audio=FRAME)
        error = await client.error()
        assert (error["code"], error["client_event_id"]) == ("session_not_started", "early")
        form = {"type": "audio/pcm", "rate": 16_000}
        history = [{"role": "user", "content": [{"type": "input_text", "text": "I am Ada"}]}]
        client.start(audio={"format": form, "output": {"voice": "hibari"}}, instructions="be brief", input=history)
        started = await client.until("session.started")
        told = started["session"]
        assert started["client_event_id"] == "start"
        assert (told["status"], told["audio"]["format"], told["audio"]["output"]) == (
            "active",
            form,
            {"voice": "hibari"},
        )
        assert told["delegation"] == {"type": "client", "acknowledgement_delay_ms": 0}
        client.start()
        assert (await client.error())["code"] == "session_already_started"

    scripted(test, start=False)


def test_what_needs_no_step_is_answered_on_one_timeline() -> None:
    async def test(client: LiveClient, world: World) -> None:
        client.send("session.input_audio.append", audio=FRAME)
        client.speak("hello")
        heard = await client.until("session.input_transcript.delta")
        assert (heard["delta"], heard["start_ms"], heard["end_ms"]) == ("hello", 100, 500)
        await asyncio.sleep(3)
        assert client.told == "one two three four five hello"
        times = [(event["start_ms"], event["end_ms"]) for event in client.of("session.output_transcript.delta")]
        assert all(start <= end for start, end in times)
        assert times == sorted(times)
        audio = b"".join(b64decode(event["delta"]) for event in client.of("session.output_audio.delta"))
        assert len(audio) == 6 * 200 * 48
        assert ("assistant", "one two three four five hello") in world.turns.values()

    scripted(test)


@pytest.mark.parametrize(
    ("form", "bytes_per_ms"),
    [({"type": "audio/pcm", "rate": 16_000}, 32), ({"type": "audio/pcmu"}, 8), ({"type": "audio/pcma"}, 8)],
)
def test_replies_have_the_format_of_the_session(form: dict[str, Any], bytes_per_ms: int) -> None:
    async def test(client: LiveClient, _world: World) -> None:
        client.start(audio={"format": form})
        await client.until("session.started")
        client.send("session.input_audio.append", audio=FRAME)
        client.speak("hello")
        await client.until("session.output_audio.delta")
        await asyncio.sleep(3)
        audio = b"".join(b64decode(event["delta"]) for event in client.of("session.output_audio.delta"))
        assert len(audio) == pytest.approx(6 * 200 * bytes_per_ms, abs=40 * bytes_per_ms)

    scripted(test, start=False)


def test_sound_is_sent_as_it_is_due_and_words_into_it_end_it() -> None:
    async def test(client: LiveClient, world: World) -> None:
        client.append("commentary", LONG)
        await client.until("session.output_audio.delta")
        await asyncio.sleep(0.5)
        sent = sum(len(b64decode(event["delta"])) for event in client.of("session.output_audio.delta")) / 48
        assert sent < 1_000  # of two seconds
        client.send("session.input_audio.append", audio=FRAME)
        client.hear(SpeechStarted(100))
        await asyncio.sleep(0.1)
        before = len(client.of("session.output_audio.delta"))
        await asyncio.sleep(1)
        assert len(client.of("session.output_audio.delta")) == before
        client.hear(SpeechStopped(500), FinalTranscript("hello", 0.9, 100, 500))
        await asyncio.sleep(3)
        assert client.told.endswith("hello")
        assert "ten" not in client.told

    scripted(test)


def test_a_session_that_has_ended_says_nothing_more() -> None:
    """What waits to be said would wait for ever for its client to read, and the gateway for it when it stops."""

    async def test(client: LiveClient, _world: World) -> None:
        client.append("commentary", LONG)
        client.append("commentary", LONG)
        await client.until("session.output_audio.delta")
        assert client.live is not None
        replies = client.live.replies  # a turn that is about to begin has them still
        await client.live.close()
        assert not client.live.lanes.busy
        replies.say_aloud(LONG, counts=False)
        await asyncio.sleep(0.1)
        assert not client.live.lanes.busy

    scripted(test)


def test_work_is_delegated_and_what_comes_of_it_is_spoken() -> None:
    async def test(client: LiveClient, world: World) -> None:
        client.send("session.input_audio.append", audio=FRAME)
        client.speak("tidy up")
        created = await client.until("session.delegation.created")
        assert created["delegation"]["target"] == "client"
        assert created["offset_ms"] >= 0
        await asyncio.sleep(2)
        assert client.told == "One moment."
        assert world.executed == []
        delegation_id = created["delegation"]["id"]
        client.append("thinking", "two files are left", delegation_id, event_id="t")
        assert (await client.until("session.thinking.appended"))["client_event_id"] == "t"
        client.append("commentary", "All is tidy.", delegation_id)
        appended = await client.until("session.commentary.appended")
        assert appended["start_ms"] == appended["end_ms"]
        await asyncio.sleep(2)
        assert client.told == "One moment.All is tidy."
        client.append("commentary", "?", "nobody")
        assert (await client.error())["param"] == "delegation_id"

    scripted(test)


def test_commentary_in_time_makes_the_acknowledgement_needless() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        client.send("session.update", session={"delegation": {"type": "client", "acknowledgement_delay_ms": 500}})
        assert (await client.until("session.updated"))["session"]["delegation"]["acknowledgement_delay_ms"] == 500
        client.send("session.input_audio.append", audio=FRAME)
        client.speak("tidy up")
        created = await client.until("session.delegation.created")
        client.append("commentary", "Done.", created["delegation"]["id"])
        client.append("commentary", "Anything else?")
        await asyncio.sleep(3)
        assert client.told == "Done.Anything else?"

    scripted(test)


def test_a_muted_microphone_is_silent() -> None:
    async def test(client: LiveClient, world: World) -> None:
        loud = b64encode(b"\1\2" * 2_400).decode()
        client.send("session.input_audio.mute", event_id="m")
        assert (await client.until("session.input_audio.muted"))["client_event_id"] == "m"
        client.send("session.input_audio.append", audio=loud)
        await asyncio.sleep(0.1)
        assert world.recognitions[-1].heard
        assert not any(world.recognitions[-1].heard)
        client.send("session.input_audio.unmute")
        await client.until("session.input_audio.unmuted")
        client.send("session.input_audio.append", audio=loud)
        await asyncio.sleep(0.1)
        assert any(world.recognitions[-1].heard)

    scripted(test)


def test_usage_is_told_and_the_close_has_its_reason() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert (await client.until("session.usage.updated"))["usage"]["seconds"] == 5.0
        client.send("session.close", event_id="bye")
        closed = await client.until("session.closed")
        assert (closed["reason"], closed["client_event_id"], closed["usage"]["seconds"]) == (
            "close_requested",
            "bye",
            5.0,
        )
        assert client.ended == 1000

    scripted(test)


@pytest.mark.parametrize(("reason", "code"), [(Departure.RESTART, 1012), (Departure.SIGNED_OUT, 1008)])
def test_a_departure_is_said_before_the_close(reason: Departure, code: int) -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        client.live.leave(reason)
        assert client.ended == code
        assert client.events[-1]["reason"] == "connection_lost"

    scripted(test)


@pytest.mark.parametrize(
    ("kind", "fields", "code", "param"),
    [
        ("session.begin", {}, "invalid_value", "type"),
        ("session.update", {"session": {"model": "x"}}, "unknown_parameter", "session.model"),
        ("session.update", {"session": {"delegation": {"type": "responses"}}}, "unsupported_value", "session.delegation.type"),
        ("session.commentary.append", {"content": "x"}, "missing_required_parameter", "delegation_id"),
        ("session.commentary.append", {"content": "", "delegation_id": None}, "invalid_value", "content"),
        ("session.commentary.append", {"content": [], "delegation_id": None}, "invalid_type", "content"),
        ("session.thinking.append", {"content": "x", "delegation_id": None, "loud": True}, "unknown_parameter", "loud"),
        ("session.input_audio.append", {"audio": 5}, "invalid_type", "audio"),
        ("session.input_audio.append", {"audio": FRAME, "rate": 1}, "unknown_parameter", "rate"),
        ("session.input_audio.mute", {"now": True}, "unknown_parameter", "now"),
        ("decision.create", {}, "unsupported_event", "type"),
        ("transport.dtmf.send", {"event": "1"}, "unsupported_event", "type"),
    ],
)  # fmt: skip
def test_mistakes_are_typed_and_the_session_lives(kind: str, fields: dict[str, Any], code: str, param: str) -> None:
    async def test(client: LiveClient, _world: World) -> None:
        client.send(kind, event_id="mine", **fields)
        told = await client.until("error")
        assert (told["error"]["code"], told["error"]["param"]) == (code, param)
        assert told["client_event_id"] == told["error"]["client_event_id"] == "mine"
        client.append("instructions", "be kind")
        await client.until("session.instructions.appended")

    scripted(test)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"model": None}, "invalid_type", "session.model"),
        ({"voice": "marin"}, "unknown_parameter", "session.voice"),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 8_000}}}, "invalid_value", "session.audio.format.rate"),
        ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "session.audio.output.voice"),
        ({"audio": {"output": {"voice": ""}}}, "invalid_value", "session.audio.output.voice"),
        ({"store": True}, "invalid_value", "session.store"),
        ({"client": {"data_channel": {}}}, "unsupported_value", "session.client"),
        ({"input": [{"role": "user", "content": []}]}, "invalid_value", "session.input[0].content"),
        ({"input": [{"role": "tool", "content": [{"text": "a"}]}]}, "invalid_value", "session.input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "output_text", "text": "a"}]}]}, "invalid_value", "session.input[0].content[0].type"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}]}, "invalid_value", "session.input[0].content[0].type"),
    ],
)  # fmt: skip
def test_a_start_that_is_refused_may_be_tried_again(change: dict[str, Any], code: str, param: str) -> None:
    async def test(client: LiveClient, _world: World) -> None:
        client.start(**change)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)
        client.start()
        await client.until("session.started")

    scripted(test, start=False)


def test_every_published_client_event_is_known() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        unions = (get_args(union)[0] for union in (ClientEvent, ConnectClientEvent))
        models = {model for union in unions for model in get_args(union)}
        published = {get_args(model.model_fields["type"].annotation)[0] for model in models}
        assert published == set(client.live.actions)

    scripted(test)


def test_null_settings_are_the_defaults() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        delegation = {"type": "client", "acknowledgement_delay_ms": None}
        client.start(delegation=delegation, audio={"format": None, "output": {"voice": None}}, client=None, input=None)
        told = (await client.until("session.started"))["session"]
        assert told["delegation"] == {"type": "client", "acknowledgement_delay_ms": 0}
        assert told["audio"]["output"] == {"voice": "marin"}
        client.send("session.update", session={"delegation": delegation})
        told = (await client.until("session.updated"))["session"]
        assert told["delegation"]["acknowledgement_delay_ms"] == 0
        client.send("session.input_audio.append", audio=FRAME)
        client.speak("tidy up")
        await client.until("session.delegation.created")
        await client.until("session.output_audio.delta")
        assert client.told.startswith("One")
        assert client.of("error") == []

    scripted(test, start=False)


def test_appended_context_is_bounded_and_the_oldest_is_forgotten() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        client.start(instructions="be kind")
        for index in range(40):
            client.append("thinking", f"{index} " + "x" * 3_900)
            await client.until("session.thinking.appended")
        known = client.live.settings["instructions"]
        assert known.startswith("be kind\n")
        assert "\n39 x" in known
        assert "\n0 x" not in known
        assert len(known) <= MAX_CONTEXT_CHARS + 100
        assert client.of("error") == []

    scripted(test, start=False)


def test_what_a_muted_microphone_hears_is_not_copied_beside() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        sideband = Sideband(client.live, Beside())
        client.send("session.input_audio.mute")
        client.send("session.input_audio.append", audio=FRAME)
        await client.until("session.input_audio.muted")
        assert [json.loads(item)["type"] for item in sideband.data_to_send()] == ["session.input_audio.muted"]

    scripted(test)


def test_a_long_append_is_shown_beside_in_pieces_and_what_is_refused_is_not() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        sideband = Sideband(client.live, Beside())
        client.send("session.input_audio.append", event_id="x", audio="%")
        client.send("session.input_audio.append", audio=FRAME, rate=1)
        client.send("session.input_audio.append", audio=b64encode(b64decode(FRAME) * 10).decode())
        client.send("session.input_audio.mute")
        await client.until("session.input_audio.muted")
        shown = [json.loads(item) for item in sideband.data_to_send()]
        assert [event["audio"] for event in shown if event["type"] == "session.input_audio.append"] == [FRAME] * 10
        sideband.detach()
        assert client.live.reflections == []

    scripted(test)


def test_an_observer_without_audio_gets_none() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        seen = client.live.watch(audio=False)
        client.send("session.input_audio.append", event_id="x" * 300, audio=FRAME)
        client.append("commentary", "Hello.")
        await client.until("session.output_audio.delta")
        await client.live.close()
        kinds = {json.loads(one.text)["type"] async for one in seen if isinstance(one, SeenMessage)}
        assert "session.output_transcript.delta" in kinds
        assert not kinds & {"session.output_audio.delta", "session.input_audio.append"}

    scripted(test)


class Beside:
    """The socket of a sideband."""

    def __init__(self) -> None:
        self.ended: int | None = None

    def wake(self) -> None:
        pass

    def end(self, code: int, reason: str) -> None:
        self.ended = code


def test_a_sideband_sees_the_session_and_steers_it() -> None:
    async def test(client: LiveClient, _world: World) -> None:
        assert client.live is not None
        socket = Beside()
        sideband = Sideband(client.live, socket)
        client.send("session.input_audio.append", event_id="x", audio=FRAME)
        sideband.receive(json.dumps({"type": "session.commentary.append", "content": "Hello.", "delegation_id": None}))
        await client.until("session.output_audio.delta")
        seen = [checked_live(item) for item in sideband.data_to_send()]
        kinds = [event["type"] for event in seen]
        assert kinds[:2] == ["session.input_audio.append", "session.commentary.appended"]
        assert seen[0] == {"type": "session.input_audio.append", "audio": FRAME}
        sound = seen[kinds.index("session.output_audio.delta")]
        assert sound["end_ms"] > sound["start_ms"]
        sideband.receive(json.dumps({"type": "session.input_audio.append", "audio": FRAME}))
        assert (await client.error())["code"] == "unsupported_event"
        await client.live.close()
        assert socket.ended == 1000

    scripted(test)
