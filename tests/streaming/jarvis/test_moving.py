"""A replica dies at any message, and the client continues at another: it sees the same events, or is told about the loss."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import pytest

from streaming.jarvis.registry import Resume
from streaming.ports import InterimTranscript, Plan, SpeechStarted, SpeechStopped, Step, Verdict
from streaming.protocol.close_codes import CloseCode
from streaming.protocol.limits import Limits
from streaming.protocol.messages import ExecuteParams, SttParams, TtsParams, TurnParams
from tests.support import virtual_time
from tests.support.house import FakeStore, House
from tests.support.roamer import Roamer
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FRAME = bytes(640)


def replicas(test: Callable[[Roamer, House, House, World], Awaitable[None]], world: World | None = None) -> None:
    """Two replicas with one store."""

    async def body() -> None:
        seen, store = world or World(), FakeStore()
        async with asyncio.TaskGroup() as group:
            first, second = (House(seen, group, Limits(), store) for _ in range(2))
            await test(Roamer(), first, second, seen)
            for house in (first, second):
                await house.sessions.close()

    virtual_time.run(body())


async def move(roamer: Roamer, house: House) -> None:
    await roamer.crash()
    await roamer.connect(house)


# --- everywhere ---


def play(params: Any, crash_after: int = 0, *, again_s: float | None = None) -> Roamer:
    """A channel from its opening to its end, with one crash; and the client moves on soon after."""
    roamers: list[Roamer] = []

    async def crash(roamer: Roamer, second: House, third: House) -> None:
        await move(roamer, second)
        if again_s is not None:
            await asyncio.sleep(again_s)
            roamer.cut()
            await roamer.connect(third)

    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        roamers.append(roamer)
        third = House(world, first.group, Limits(), first.store)
        await roamer.connect(first)
        roamer.crash_after = crash_after

        def on_crash() -> None:
            first.group.create_task(crash(roamer, second, third))

        roamer.on_crash = on_crash
        while roamer.client.epoch is None or (crash_after and not roamer.delivered):
            await asyncio.sleep(0.01)
        roamer.open(params)
        await roamer.until("channel.closed")
        await third.sessions.close()

    slow = {"memory": 0.05}  # which the second replica is told of the turn, before it speaks
    replicas(test, World(slow_s=slow if again_s is not None else {}))
    return roamers[0]


@pytest.mark.parametrize("params", [TtsParams(text="one two three"), TurnParams(text="hello")], ids=["tts", "turn"])
def test_a_crash_behind_any_message_changes_nothing(params: Any) -> None:
    uncut = play(params)
    assert uncut.delivered > 15
    for crash_after in range(2, uncut.delivered):
        crashed = play(params, crash_after)
        assert crashed.view == uncut.view, crash_after
        assert crashed.audio == uncut.audio, crash_after
        assert crashed.client.epoch == "1" or crashed.client.epoch is not None


@pytest.mark.parametrize("again_s", [0.0, 0.005, 0.2])
@pytest.mark.parametrize("params", [TtsParams(text="one two three"), TurnParams(text="hello")], ids=["tts", "turn"])
def test_nor_does_another_replica_soon_after(params: Any, again_s: float) -> None:
    uncut = play(params)
    for crash_after in range(2, uncut.delivered):
        crashed = play(params, crash_after, again_s=again_s)
        assert crashed.view == uncut.view, crash_after
        assert crashed.audio == uncut.audio, crash_after


def test_a_client_that_begins_anew_elsewhere_leaves_no_work_behind() -> None:
    async def test(_roamer: Roamer, first: House, second: House, world: World) -> None:
        sweeper = first.group.create_task(first.sessions.sweep())
        old = await first.enter()
        old.say(type="channel.open", channel=1, kind="stt")
        await old.until("channel.opened")
        assert old.line is not None
        old.line.closed(for_good=False)
        new = await second.enter()
        await asyncio.sleep(2)
        assert [each.cancelled for each in world.recognitions] == [False]  # it may ask for it still
        first.sessions.on_begun_anew("s1")  # late news, of nothing that concerns it
        await asyncio.sleep(2)
        assert [each.cancelled for each in world.recognitions] == [False]
        new.say(type="call", id="c1", op="echo", params={})
        await asyncio.sleep(2)
        assert [each.cancelled for each in world.recognitions] == [True]
        assert (len(list(first.sessions)), len(list(second.sessions))) == (0, 1)
        sweeper.cancel()

    replicas(test)


@pytest.mark.parametrize("news_s", [0.0, 0.0005, 0.002, 0.02, 0.15, 1.5])
@pytest.mark.parametrize("how", ["url", "message"])
def test_a_client_may_go_to_and_fro_however_late_the_news_are(how: Literal["url", "message"], news_s: float) -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        first.store.news_s = news_s
        await roamer.connect(first)
        roamer.open(TtsParams(text="one two three"))
        await roamer.until("tts.started")
        epoch = roamer.client.epoch
        for house in (second, first, second, second, first, first, second):
            roamer.cut()
            await roamer.connect(house, how=how)
            await asyncio.sleep(news_s / 3)
        while not roamer.of("channel.closed"):
            assert roamer.socket is not None
            if roamer.socket.ended is not None:  # by one of the earlier resumes, which was served later
                assert roamer.socket.ended[0] == CloseCode.SERVICE_RESTART
                await roamer.connect(first, how=how)
            await asyncio.sleep(0.1)
        assert roamer.client.epoch == epoch
        assert [dict(each)["type"] for each in roamer.view].count("'tts.done'") == 1

    replicas(test)


@pytest.mark.parametrize("news_s", [0.002, 5.0])
def test_a_token_of_an_epoch_before_resumes_nowhere_once_the_client_has_begun_anew(news_s: float) -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        first.store.news_s = news_s
        await roamer.connect(first)
        roamer.open(TtsParams(text="one two three"))
        await roamer.until("tts.started")
        roamer.cut()
        token = roamer.client.resume_token
        assert token is not None
        new = await second.enter()
        new.say(type="call", id="c1", op="echo", params={})
        await new.until("result")
        for house in (first, second):
            stale = await house.enter(resume=Resume(token, 0))
            assert (await stale.until("session.ready"))["resume_error"] in {"NOT_FOUND", "EXPIRED"}

    replicas(test)


# --- microphones ---


async def two_seconds_of_microphone(roamer: Roamer, house: House) -> int:
    """The channel."""
    await roamer.connect(house)
    channel = roamer.open(SttParams())
    await roamer.until("channel.opened")
    for number in range(100):
        roamer.client.send_audio(channel, FRAME, number * 20)
    roamer.flush()
    return channel


async def begin_to_speak(roamer: Roamer, house: House, world: World) -> int:
    """Two seconds of microphone, with a word in the last half; the channel."""
    channel = await two_seconds_of_microphone(roamer, house)
    world.recognitions[0].push(SpeechStarted(1_500), InterimTranscript("what", 0))
    await roamer.until("stt.partial")
    return channel


def test_a_burst_that_nobody_has_listened_to_yet_is_sent_again() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await two_seconds_of_microphone(roamer, first)
        await asyncio.sleep(0.05)
        await move(roamer, second)
        await asyncio.sleep(0.1)
        assert len(world.recognitions[1].heard) == 100 * len(FRAME)
        world.recognitions[1].say("what time is it")
        await roamer.until("stt.final")

    replicas(test)


def test_speech_waits_for_a_client_that_is_away_and_then_loses_its_replica() -> None:
    spoken = TtsParams(text="one two three four five six")
    uncut = play(spoken)

    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        roamer.open(spoken)
        await roamer.until("tts.started")
        roamer.cut()
        await asyncio.sleep(10)
        await roamer.crash()
        await roamer.connect(second)
        await roamer.until("channel.closed")
        assert roamer.audio == uncut.audio
        assert roamer.view == uncut.view

    replicas(test)


def test_an_open_utterance_is_sent_again_and_goes_on() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        channel = await begin_to_speak(roamer, first, world)
        await move(roamer, second)
        await asyncio.sleep(0.1)
        again = world.recognitions[1]
        assert 1_100 <= len(again.heard) / 32 <= 1_500  # from 600 ms before the speech, or a little earlier
        base_ms = 2_000 - len(again.heard) / 32
        again.push(SpeechStarted(600), SpeechStopped(900))
        await roamer.until("stt.speech_stopped")
        await roamer.crash()
        await roamer.connect(House(world, first.group, Limits(), first.store))
        await asyncio.sleep(0.1)
        again = world.recognitions[2]
        again.push(SpeechStarted(600), SpeechStopped(900))
        again.say("what time is it")
        final = await roamer.until("stt.final")
        assert [kind for kind in roamer.kinds() if "speech_st" in kind] == ["stt.speech_started", "stt.speech_stopped"]
        assert float(final["end_ms"]) == base_ms + 400
        roamer.client.end_channel(channel)
        roamer.flush()
        assert (await roamer.until("channel.closed"))["status"] == "'ok'"

    replicas(test)


def test_an_open_utterance_outlives_a_cut_and_then_its_replica() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await begin_to_speak(roamer, first, world)
        roamer.cut()
        await roamer.connect(first)
        await asyncio.sleep(0.1)
        assert len(world.recognitions[0].heard) == 100 * len(FRAME)  # what came again was known
        await move(roamer, second)
        await asyncio.sleep(0.1)
        again = world.recognitions[1]
        assert 1_100 <= len(again.heard) / 32 <= 1_500

    replicas(test)


def test_what_has_become_final_is_not_heard_again() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        channel = await two_seconds_of_microphone(roamer, first)
        world.recognitions[0].say("two words")
        await roamer.until("stt.final")
        roamer.client.end_channel(channel)
        roamer.flush()
        await roamer.until("channel.closed")
        await move(roamer, second)
        await asyncio.sleep(0.1)
        assert len(world.recognitions) == 1

    replicas(test)


def test_a_microphone_that_was_closed_is_closed_again() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        channel = roamer.open(SttParams())
        await roamer.until("channel.opened")
        for number in range(10):
            roamer.client.send_audio(channel, FRAME, number * 20)
        roamer.client.commit(channel)
        roamer.client.end_channel(channel)
        world.recognitions[0].end = lambda: None  # type: ignore[method-assign]  # it is still at work
        roamer.flush()
        world.recognitions[0].push(InterimTranscript("what", 0))
        await roamer.until("stt.partial")
        await move(roamer, second)
        await asyncio.sleep(0.1)
        assert len(world.recognitions[1].heard) == 6_400
        assert world.recognitions[1].commits == 1
        assert (await roamer.until("channel.closed"))["status"] == "'ok'"

    replicas(test)


# --- turns ---

PLAN = Plan("p", "goal", (Step("s1", "os", "slow", {}, (), "list"),), "x")


def test_a_step_under_way_is_not_run_again_and_the_user_is_told() -> None:
    world = World(plans={"go": PLAN}, gates={"slow": asyncio.Event()})

    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        roamer.open(TurnParams(text="go"))
        await roamer.until("task.started")
        await move(roamer, second)
        assert (await roamer.until("turn.done"))["status"] == "'failed'"
        assert world.executed == [("slow", {})]
        assert roamer.of("task.result")[0]["status"] == "'failed'"
        assert roamer.of("error")[0]["code"] == "'ABORTED'"
        assert roamer.of("error")[0]["retryable"] == "False", "it may have taken effect"
        assert "lost track" in roamer.of("turn.reply")[0]["text"]
        assert len(roamer.of("turn.plan")) == 1

    replicas(test, world)


def test_a_question_is_asked_again_and_the_action_runs_once() -> None:
    world = World(plans={"go": PLAN}, verdicts={"slow": Verdict("confirm", "high", ("it deletes",))})

    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        roamer.open(TurnParams(text="go"))
        await roamer.until("task.confirmation_required")
        await move(roamer, second)
        await roamer.until("task.confirmation_required", 2)
        assert world.executed == []
        roamer.confirm("q2", approve=True)
        assert (await roamer.until("turn.done"))["status"] == "'ok'"
        assert world.executed == [("slow", {})]
        assert roamer.kinds().count("turn.plan") == roamer.kinds().count("turn.safety") == 1

    replicas(test, world)


def test_a_paused_reply_goes_on_and_what_waited_is_answered() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        channel = roamer.open(TurnParams())
        await roamer.until("channel.opened")
        roamer.client.send_audio(channel, FRAME, 0)
        roamer.flush()
        world.recognitions[0].say("hello")
        await roamer.until("tts.started")
        world.recognitions[0].say("again")
        await roamer.until("stt.final", 2)
        world.recognitions[0].say("third")
        await roamer.until("stt.final", 3)
        world.recognitions[0].push(SpeechStarted(400))
        await roamer.until("stt.speech_started", 4)
        await move(roamer, second)
        await roamer.until("turn.done", 3)
        assert roamer.kinds().count("turn.reply") == 3
        said = [text for role, text in world.turns.values() if role == "user"]
        assert said == ["hello", "again", "third"]

    replicas(test)


# --- what can't be carried ---


def test_a_task_is_closed_with_the_truth_and_a_call_is_answered() -> None:
    world = World(gates={"slow": asyncio.Event()})

    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        roamer.open(ExecuteParams(executor="os", action="slow"))
        await roamer.until("task.started")
        roamer.client.call("echo", {"wait_s": 50})
        roamer.open(TtsParams(text="one"))
        await roamer.until("channel.closed")
        await move(roamer, second)
        closed = await roamer.until("channel.closed", 2)
        assert (closed["status"], closed["code"]) == ("'error'", "'ABORTED'")
        assert roamer.of("error")[0]["code"] == "'ABORTED'"
        assert world.executed == [("slow", {})]

    replicas(test, world)


def test_an_apology_of_a_recogniser_that_failed_is_ended_where_the_session_goes() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        roamer.open(TurnParams())
        await roamer.until("channel.opened")
        world.failing["stt"] = broken("stt")
        world.recognitions[0].push(SpeechStarted(0), broken("stt"))
        await roamer.until("tts.started")
        world.failing.clear()
        await move(roamer, second)
        assert (await roamer.until("turn.done"))["status"] == "'failed'"

    replicas(test)
