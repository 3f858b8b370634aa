"""Sounds and words into the reply: what pauses it, what ends it, what it goes on after."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import (
    TurnContinued,
    TurnDone,
    TurnInterrupted,
    TurnPaused,
    TurnReply,
)
from streaming.lanes.tts import TtsLane
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    InterimTranscript,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
)
from streaming.sound.echo import EchoState
from streaming.sound.microphone import MicrophoneInput
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, step, talk
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.talk import Talk


@asynccontextmanager
async def replying(world: World, played_s: float) -> AsyncIterator[Talk]:
    """A turn whose reply, of words of 200 ms, has played for so long."""
    async with talk(world) as it:
        it.microphone.say("hello")
        await it.until(TurnReply)
        await asyncio.sleep(played_s)
        yield it


@pytest.mark.parametrize(
    "words",
    [
        InterimTranscript("something else now", 0),
        EagerEnd(2400, "something else please"),
        FinalTranscript("something else", 0.9, 2000, 2500),
    ],
    ids=["partial", "eager end", "final"],
)
def test_a_sound_silences_the_reply_at_once_and_words_end_it(words: object) -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:  # two words of 200 ms and a little
            it.microphone.push(SpeechStarted(2000))
            await it.until(TurnPaused)
            assert world.syntheses[0].cancelled
            sent = len(it.outlet.frames)
            it.microphone.push(InterimTranscript("", 0))
            await asyncio.sleep(2)  # it is not known yet whether words follow
            assert not {"TurnInterrupted", "TurnDone"} & set(it.outlet.names())
            assert len(it.outlet.frames) == sent
            it.microphone.push(words)
            await it.until(TurnInterrupted)
            await it.until(TurnDone)
            it.microphone.push(SpeechStopped(2500), FinalTranscript("something else", 0.9, 2000, 2500))
            await it.until(TurnDone, 2)
        (paused,), (interrupted,) = it.outlet.of(TurnPaused), it.outlet.of(TurnInterrupted)
        assert len([frame for frame in it.outlet.frames if frame[0] == 0]) == sent
        assert paused.heard_ms == interrupted.heard_ms
        assert it.outlet.generations(TurnPaused) == it.outlet.generations(TurnInterrupted) == [1]
        assert interrupted.heard_text == "one two"
        assert 400 <= interrupted.heard_ms <= 520
        assert it.outlet.of(TurnDone)[0].status == "interrupted"
        assert ("assistant", "one two") in world.turns.values()

    virtual_time.run(body())


def test_one_word_of_a_partial_leaves_open_whether_it_ends_the_reply() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000), InterimTranscript("write", 0))
            await asyncio.sleep(1)
            assert it.outlet.of(TurnInterrupted) == []
            assert it.outlet.of(TurnContinued) == []
            it.microphone.push(SpeechStopped(2500), FinalTranscript("Right.", 0.9, 2000, 2500))
            await it.until(TurnDone)
        assert it.outlet.of(TurnInterrupted) == []
        assert it.outlet.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


@pytest.mark.parametrize("sound", [EagerEnd(2400, "Okay."), EagerEnd(2400, "one two")])
def test_the_reply_goes_on_as_soon_as_it_is_clear_that_nobody_means_it(sound: object) -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000), sound)
            await it.until(TurnContinued)
            it.microphone.push(SpeechResumed(2600), InterimTranscript("okay what about dogs", 0))
            await it.until(TurnInterrupted)
            it.microphone.push(SpeechStopped(3500), FinalTranscript("Okay, what about dogs?", 0.9, 2000, 3500))
            await it.until(TurnDone, 2)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted", "ok"]

    virtual_time.run(body())


@pytest.mark.parametrize(("lasts_s", "statuses"), [(0.3, ["ok"]), (0.7, ["interrupted", "ok"])])
def test_words_of_the_reply_are_no_echo_if_they_go_on_for_long_after_it_fell_silent(
    lasts_s: float, statuses: list[str]
) -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000), InterimTranscript("one two", 0))
            await asyncio.sleep(lasts_s)
            assert it.outlet.of(TurnContinued) == [], "more words may follow, and nothing is said meanwhile"
            it.microphone.push(SpeechStopped(2700), FinalTranscript("one two nine", 0.9, 2000, 2700))
            await it.until(TurnDone, len(statuses))
        assert [done.status for done in it.outlet.of(TurnDone)] == statuses

    virtual_time.run(body())


@pytest.mark.parametrize(("words", "statuses"), [("Five, hello.", ["ok"]), ("what about dogs", ["ok", "ok"])])
def test_the_echo_of_the_last_words_is_recognised_after_the_reply_and_not_answered(
    words: str, statuses: list[str]
) -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.25) as it:
            it.microphone.push(SpeechStarted(1800), InterimTranscript("one", 0), SpeechStopped(1900))
            it.microphone.push(FinalTranscript("One.", 0.9, 1800, 1900))
            await it.until(TurnContinued)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2400))
            await it.until(TurnDone)
            it.microphone.push(EagerEnd(3000, words), SpeechStopped(3000), FinalTranscript(words, 0.9, 2400, 3000))
        assert [done.status for done in it.outlet.of(TurnDone)] == statuses

    virtual_time.run(body())


RED, BLUE = "one two three four five red green", "one two three four five blue white"
COLOURS = {"hello": plan(goal="red green"), "next": plan(goal="blue white")}


async def say_into(it: Talk, words: str, lasts_s: float = 0.3) -> None:
    """Say words that take so long, and wait until they would be answered."""
    it.microphone.push(SpeechStarted(0))
    await asyncio.sleep(lasts_s)
    it.microphone.push(EagerEnd(900, words), SpeechStopped(900), FinalTranscript(words, 0.9, 0, 900))
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("s_later", "words", "replies"),
    [
        (0.1, "Five, red, green.", 1),
        (0.1, "green", 1),
        (0.1, "What about dogs?", 2),
        (0.1, "four", 2),  # it was said too early to come back now
        (0.4, "green", 2),
        (3.0, "Five, red, green.", 2),
    ],
)
def test_the_last_words_come_back_when_no_turn_runs(s_later: float, words: str, replies: int) -> None:
    async def body() -> None:
        async with talk(World(plans=COLOURS)) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
            await asyncio.sleep(s_later)
            await say_into(it, words)
        assert len(it.outlet.of(TurnReply)) == replies

    virtual_time.run(body())


def test_words_that_begin_as_an_echo_would_and_last_longer_are_the_users() -> None:
    async def body() -> None:
        async with talk(World(plans=COLOURS)) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
            await asyncio.sleep(0.1)
            await say_into(it, "Five, red, green.", lasts_s=0.9)
        assert len(it.outlet.of(TurnReply)) == 2

    virtual_time.run(body())


@pytest.mark.parametrize(("words", "replies"), [("red, green", 2), ("What about dogs?", 3)])
def test_the_last_words_come_back_while_the_next_turn_is_still_thinking(words: str, replies: int) -> None:
    async def body() -> None:
        async with talk(World(plans=COLOURS, slow_s={"planner": 1.0})) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            it.lane.typed("next")
            await it.until(TurnDone)
            await asyncio.sleep(0.1)
            await say_into(it, words)
            await asyncio.sleep(5)
        assert [reply.text for reply in it.outlet.of(TurnReply)][:2] == [RED, BLUE]
        assert len(it.outlet.of(TurnReply)) == replies

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        ("red green one two three four five blue", ["ok", "ok"]),
        ("red green one two what time is it", ["ok", "ok", "ok"]),
    ],
)
def test_an_echo_of_two_replies_is_one_of_the_session(words: str, statuses: list[str]) -> None:
    """It begins with the last words of one reply, and ends with the first ones of the next."""

    async def body() -> None:
        async with talk(World(plans=COLOURS)) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(0), FinalTranscript("one two", 0.9, 0, 400))
            await it.until(TurnContinued)
            it.lane.typed("next")
            await asyncio.sleep(0.6)
            it.microphone.push(SpeechStarted(1000))
            await it.until(TurnDone)
            await asyncio.sleep(1.3)
            it.microphone.push(SpeechStopped(2000), FinalTranscript(words, 0.9, 1000, 2000))
            await it.until(TurnDone, len(statuses))
            await asyncio.sleep(5)
        assert [done.status for done in it.outlet.of(TurnDone)] == statuses

    virtual_time.run(body())


@pytest.mark.parametrize(("words", "replies"), [("it went on", 0), ("What about dogs?", 1)])
def test_another_channels_speech_comes_back(words: str, replies: int) -> None:
    async def body() -> None:
        world, beside = World(), RecordingOutlet()
        async with talk(world) as it:
            reading = TtsLane(frame_for(world, beside), ReplyFormat(), "and so it went on and on")
            async with asyncio.TaskGroup() as group:
                group.create_task(reading.run())
                await asyncio.sleep(0.9)
                await say_into(it, words)
        assert len(it.outlet.of(TurnReply)) == replies

    virtual_time.run(body())


def test_an_echo_is_known_although_a_partial_of_it_was_taken_for_words() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000), InterimTranscript("what to do", 0))
            await it.until(TurnInterrupted)
            it.microphone.push(SpeechStopped(2300), FinalTranscript("One two.", 0.8, 2000, 2300))
            await asyncio.sleep(3)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted"]

    virtual_time.run(body())


def test_the_echo_of_a_word_cut_off_is_known_although_the_reply_goes_on_already() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 1.05) as it:
            it.microphone.push(SpeechStarted(2000), EagerEnd(2300, "four five"))
            await it.until(TurnContinued)
            it.microphone.push(SpeechStopped(2300), FinalTranscript("Four five add.", 0.8, 2000, 2300))
            await asyncio.sleep(5)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["ok"]

    virtual_time.run(body())


def test_words_while_the_reply_waits_for_an_echo_to_end_are_not_lost() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000))
            await it.until(TurnPaused)
            it.microphone.push(SpeechStopped(2300), FinalTranscript("one", 0.9, 2000, 2300), SpeechStarted(2400))
            await it.until(TurnContinued)
            it.microphone.push(SpeechStopped(3000), FinalTranscript("what about dogs", 0.9, 2400, 3000))
            await it.until(TurnDone, 2)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted", "ok"]

    virtual_time.run(body())


def test_a_cough_does_not_kill_the_reply() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000), SpeechStopped(2100), FinalTranscript("", 0.0, 2000, 2100))
            await it.until(TurnDone)
        assert it.outlet.generations(TurnPaused) == [1]
        assert it.outlet.generations(TurnContinued)[0] == 1
        assert it.outlet.of(TurnInterrupted) == []
        assert world.syntheses[1].texts == [" three four five hello"]
        assert it.outlet.of(TurnDone)[0].status == "ok"
        assert ("assistant", "one two three four five hello") in world.turns.values()

    virtual_time.run(body())


@pytest.mark.parametrize("words", ["mm-hm", "okay", "Right.", "yeah, okay", "one two"])
def test_a_listeners_sounds_and_the_replys_own_do_not_end_it(words: str) -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            final = FinalTranscript(words, 0.9, 2000, 2500)
            it.microphone.push(SpeechStarted(2000), InterimTranscript(words, 0), EagerEnd(2400, words))
            it.microphone.push(SpeechStopped(2500), final)
            await it.until(TurnDone)
        assert it.outlet.of(TurnInterrupted) == []
        assert world.syntheses[1].texts == [" three four five hello"]
        assert [done.status for done in it.outlet.of(TurnDone)] == ["ok"]

    virtual_time.run(body())


def test_a_channel_that_hears_itself_goes_on_speaking_and_is_stopped_by_words() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            echo = FinalTranscript("one two", 0.9, 2000, 2500)
            it.microphone.push(SpeechStarted(2000), InterimTranscript("one two", 0), SpeechStopped(2500), echo)
            await it.until(TurnContinued)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(3000), InterimTranscript("three four", 0))
            await asyncio.sleep(0.1)
            assert len(it.outlet.of(TurnPaused)) == 1, "it does not silence itself again"
            it.microphone.push(InterimTranscript("three four stop", 0))
            await it.until(TurnInterrupted)
        assert len(it.outlet.of(TurnPaused)) == 2
        assert it.outlet.of(TurnInterrupted)[0].heard_text.startswith("one two three")

    virtual_time.run(body())


def test_two_coughs_in_a_row_and_then_words() -> None:
    async def body() -> None:
        world = World()
        cough = FinalTranscript("", 0.0, 0, 1)
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000), cough, SpeechStarted(2100))  # before the reply could go on
            await asyncio.sleep(1)
            assert it.outlet.of(TurnContinued) == []
            it.microphone.push(cough)
            await it.until(TurnContinued)
            await asyncio.sleep(0.25)
            it.microphone.push(SpeechStarted(4000), InterimTranscript("wait", 0))
            await it.until(TurnDone)
        assert it.outlet.generations(TurnPaused) == [1, 2]
        assert it.outlet.generations(TurnInterrupted) == [2]
        assert [event.heard_text for event in it.outlet.of(TurnInterrupted)] == ["one two three"]
        assert ("assistant", "one two three") in world.turns.values()

    virtual_time.run(body())


def test_a_microphone_that_closes_behind_a_sound_lets_the_reply_go_on() -> None:
    async def body() -> None:
        world = World()
        async with replying(world, 0.45) as it:
            it.microphone.push(SpeechStarted(2000))
            await it.until(TurnPaused)
        assert it.outlet.of(TurnDone)[0].status == "ok"
        assert world.syntheses[1].texts == [" three four five hello"]

    virtual_time.run(body())


def test_a_sound_while_nothing_is_being_said_pauses_nothing() -> None:
    async def body() -> None:
        world = World(plans={"work": plan(step("s1", "sleep"))}, gates={"sleep": asyncio.Event()})
        async with talk(world) as it:
            it.microphone.say("work")
            while not world.executed:
                await asyncio.sleep(0.01)
            it.microphone.push(SpeechStarted(2000), SpeechStopped(2100), FinalTranscript("", 0.0, 2000, 2100))
            await asyncio.sleep(0.1)
            world.gates["sleep"].set()
            await it.until(TurnDone)
        assert it.outlet.of(TurnPaused) == []
        assert it.outlet.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


def test_an_echo_that_appears_does_not_pause_the_reply_and_a_voice_after_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The headphones are unplugged: some of the first echo is heard, and then it is taken out."""
    state = EchoState.APPEARS
    monkeypatch.setattr(MicrophoneInput, "echo", property(lambda _microphone: state))

    async def body() -> None:
        nonlocal state
        world = World()
        async with replying(world, 0.45) as it:
            echo = FinalTranscript("", 0.0, 2000, 2200)
            it.microphone.push(SpeechStarted(2000), SpeechStopped(2200), echo)
            await asyncio.sleep(0.2)
            assert it.outlet.of(TurnPaused) == []
            state = EchoState.TAKEN_OUT
            it.microphone.push(SpeechStarted(2400))
            await it.until(TurnPaused)

    virtual_time.run(body())
