"""A telephone call on virtual time: what reaches the telephone, what the agent takes as heard, and keys as text."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import FinalTranscript, Intent, LaneServices, SpeechStarted, SpeechStopped
from streaming.residents import Departure, Residents
from streaming.twilio.registry import Calls, caller_of
from streaming.twilio.wire import Start, read
from tests.support import virtual_time
from tests.support.openai_client import risky, spoken
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from streaming.twilio.call import PhoneCall

START = Start("MZ1", "CA1", {"caller": "+15550100"})
LONG = "so " * 30  # its reply has seven seconds of speech


class Telephone:
    """Twilio's side: it plays in real time what it gets, and returns marks once it has played what was before them."""

    traceparent = ""

    def __init__(self, world: World) -> None:
        self.world = world
        self.call: PhoneCall | None = None
        self.got: list[dict[str, Any]] = []
        self.ended: tuple[int, str] | None = None
        self.marks = True
        self._buffer: list[dict[str, Any]] = []
        self.played_ms = 0.0

    def wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        assert self.call is not None
        for text in self.call.data_to_send():
            message = json.loads(text)
            self.got.append(message)
            assert message["streamSid"] == "MZ1"
            if message["event"] == "clear":
                for mark in [one for one in self._buffer if one["event"] == "mark"]:
                    self.send("mark", mark=mark["mark"])
                self._buffer.clear()
            else:
                self._buffer.append(message)

    async def play(self) -> None:
        """Play for ever."""
        while True:
            if not self._buffer:
                await asyncio.sleep(0.02)
                continue
            message = self._buffer.pop(0)
            if message["event"] == "media":
                length_ms = len(b64decode(message["media"]["payload"])) / 8
                await asyncio.sleep(length_ms / 1000)
                self.played_ms += length_ms
            elif self.marks:
                self.send("mark", mark=message["mark"])

    def end(self, code: int, reason: str) -> None:
        self._take()
        self.ended = code, reason

    def send(self, event: str, **fields: Any) -> None:
        assert self.call is not None
        self.call.receive(json.dumps({"event": event, "streamSid": "MZ1", **fields}))

    def say(self, text: str) -> None:
        self.send("media", media={"track": "inbound", "payload": b64encode(b"\xff" * 160).decode()})
        self.world.recognitions[-1].push(SpeechStarted(100), SpeechStopped(500), FinalTranscript(text, 0.9, 100, 500))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.got if message["event"] == event]

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(200):
            while not wanted():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def calling(world: World, start: Start = START) -> AsyncIterator[Telephone]:
    lent: Any = world
    provided = LaneServices(world.services(), lent, lent, lent, lent, lent)
    async with asyncio.TaskGroup() as group:
        residents = Residents()
        calls = Calls(provided, group, residents)
        telephone = Telephone(world)
        telephone.call = calls.begin(caller_of(start), telephone, start)
        playing = group.create_task(telephone.play(), name="the telephone plays")
        await telephone.until(lambda: bool(world.recognitions))
        yield telephone
        playing.cancel()
        await calls.close()
        assert list(residents) == []


def scripted(test: Callable[[Telephone, World], Awaitable[None]], start: Start = START) -> None:
    async def run() -> None:
        world = World()
        async with calling(world, start) as telephone:
            await test(telephone, world)

    virtual_time.run(run())


def test_words_are_answered_in_the_telephones_own_encoding() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        telephone.say("hello there")
        await telephone.until(lambda: bool(spoken(world)))
        words = len(spoken(world)[0].split())
        heard_bytes = sum(len(b64decode(message["media"]["payload"])) for message in telephone.of("media"))
        assert abs(heard_bytes - words * 200 * 8) < 80  # WORD_MS each, 8 bytes per millisecond
        assert len(world.recognitions[0].heard) >= 560  # 20 ms at 16 kHz, less the resampler's delay
        assert telephone.of("mark")
        assert not telephone.of("clear")

    scripted(test)


def test_words_into_the_reply_clear_it_and_only_what_was_played_is_remembered() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        telephone.say(LONG)
        await telephone.until(lambda: telephone.played_ms > 1_400)
        telephone.say("what time is it")
        await telephone.until(lambda: bool(telephone.of("clear")))
        played_ms = telephone.played_ms
        await telephone.until(lambda: bool(spoken(world)))
        remembered = len(spoken(world)[0].split())
        assert abs(remembered - played_ms / 200) <= 2  # though `clear` returned the marks of all the rest
        telephone.send("mark", mark={"name": "1:5000"})  # a late one of the cleared utterance
        await telephone.until(lambda: len(spoken(world)) == 2)

    scripted(test)


def test_keys_are_one_entry_and_end_the_reply() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        telephone.say(LONG)
        await telephone.until(lambda: telephone.played_ms > 400)
        for digit in "42":
            telephone.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})
            await asyncio.sleep(1)
        assert telephone.of("clear")
        await telephone.until(lambda: ("user", "42") in world.turns.values())
        for digit in "7#":
            telephone.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})
        await telephone.until(lambda: ("user", "7") in world.turns.values())

    scripted(test)


def test_a_stop_hangs_up_and_a_key_pressed_before_has_no_effect() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        telephone.send("dtmf", dtmf={"digit": "1"})
        telephone.send("stop", stop={"accountSid": "AC1", "callSid": "CA1"})
        assert telephone.ended == (1000, "")
        await asyncio.sleep(5)
        assert not world.turns

    scripted(test)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        '{"event": "media"}',
        '{"event": "media", "media": {"track": "inbound", "payload": "*"}}',
        '{"event": "media", "media": {"track": "inbound", "payload": 7}}',
        '{"event": "mark", "mark": {}}',
        '{"event": "dtmf", "dtmf": {"digit": "x"}}',
        '{"event": "dtmf", "dtmf": {"digit": "12"}}',
        '{"event": 5}',
        '{"event": "connected", "values": [' + "0," * 10_000 + "0]}",
        '{"event": "start", "start": {"streamSid": "M", "callSid": "C", "mediaFormat": {"encoding": "audio/x-l16"}}}',
    ],
)
def test_a_message_that_is_not_twilios_ends_the_call(text: str) -> None:
    async def test(telephone: Telephone, _world: World) -> None:
        assert telephone.call is not None
        telephone.call.receive(text)
        assert telephone.ended is not None
        assert telephone.ended[0] == 1008
        assert telephone.ended[1]

    scripted(test)


def test_messages_without_effect() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        telephone.send("connected", protocol="Call", version="1.0.0")
        telephone.send("media", media={"track": "outbound", "payload": "////"})
        telephone.send("mark", mark={"name": "of nobody"})
        telephone.send("something new")
        assert telephone.ended is None
        assert not world.recognitions[0].heard

    scripted(test)


def test_a_recogniser_that_is_lost_is_apologised_for_before_the_call_goes_back_to_the_twiml() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        world.recognitions[-1].push(broken("stt", "INVALID_ARGUMENT"))
        await telephone.until(lambda: telephone.ended is not None)
        assert telephone.of("media")
        assert telephone.ended is not None
        assert telephone.ended[0] == 1011

    scripted(test)


def test_as_a_resident() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        call = telephone.call
        assert call is not None
        assert (call.busy, call.connected, dict(call.channels)) == (False, True, {"turn": 1})
        seen = call.watch(audio=False)
        telephone.say(LONG)
        await telephone.until(lambda: telephone.played_ms > 400)
        assert call.busy
        assert call.must_finish
        assert json.loads((await anext(seen)).text)["event"] == "mark"  # type: ignore[union-attr] # calls have messages only
        await seen.aclose()
        call.leave(Departure.RESTART)
        assert telephone.ended == (1001, "the gateway restarts")

    scripted(test)


def test_a_call_is_busy_while_keys_are_answered_and_not_after_a_yes() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        assert telephone.call is not None
        risky(world, "medium")
        world.intents["no"] = Intent("no", 1.0)
        for digit in "7#":
            telephone.send("dtmf", dtmf={"digit": digit})
        assert telephone.call.must_finish
        await telephone.until(lambda: bool(spoken(world)))
        telephone.say("wipe it")
        await telephone.until(lambda: bool(world.questions))
        telephone.say("no")
        await telephone.until(world.questions["q1"].done)
        await telephone.until(lambda: not telephone.call.busy)  # type: ignore[union-attr]

    scripted(test)


def test_what_a_caller_cannot_approve_is_not_asked() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        risky(world, "high")
        telephone.say("wipe it")
        await telephone.until(lambda: bool(spoken(world)))
        assert [(one.status, one.message) for one in world.outcomes] == [
            ("denied", "it cannot be approved by telephone")
        ]
        assert (world.questions, world.executed) == ({}, [])

    scripted(test)


def test_a_call_is_busy_while_its_caller_speaks_or_presses_keys() -> None:
    async def test(telephone: Telephone, world: World) -> None:
        call = telephone.call
        assert call is not None
        world.recognitions[-1].push(SpeechStarted(100))
        await telephone.until(lambda: call.must_finish)
        world.recognitions[-1].push(SpeechStopped(500), FinalTranscript("", 0.9, 100, 500))  # a cough
        await telephone.until(lambda: not call.busy)
        telephone.send("dtmf", dtmf={"digit": "7"})
        assert call.must_finish
        await telephone.until(lambda: bool(spoken(world)))
        await telephone.until(lambda: not call.busy)

    scripted(test)


def test_callers_are_users_of_their_own() -> None:
    assert caller_of(START).user_id == "phone:+15550100"
    assert caller_of(Start("MZ1", "CA1")).user_id == "phone:CA1"
    assert caller_of(START).roles == ("user",)
    for name in ("sip:ada@example.org", "client:ada", "client:anonymous-7", "whatsapp:+15550100", "ada"):
        assert caller_of(Start("MZ1", "CA1", {"caller": name})).user_id == f"phone:{name}"


@pytest.mark.parametrize(
    "withheld",
    [
        "anonymous",
        "Restricted",
        "+266696687",
        "266696687",
        "+7378742833",
        " ",
        "+",
        "sip:anonymous@anonymous.invalid",
        "sips:+266696687@example.org",
        "{{From}}",
        "undefined",
        "null",
        "None",
        "client:Anonymous",
        "tel:anonymous",
        "whatsapp:+266696687",
        "sip:anonymous;transport=udp",
        "sip:anonymous:secret@example.org",
        "sip:@example.org",
    ],
)
def test_strangers_without_a_number_share_no_memory(withheld: str) -> None:
    assert caller_of(Start("MZ1", "CA1", {"caller": withheld})).user_id == "phone:CA1"


def test_parameters_that_are_not_ours_may_be_long() -> None:
    form = {"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1}
    given = {"caller": "+15550100", "language": "", "campaign": "x" * 400, "n": 5}
    start = {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": form, "customParameters": given}
    assert read(json.dumps({"event": "start", "start": start})) == START
