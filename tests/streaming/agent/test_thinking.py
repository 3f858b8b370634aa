"""A turn with a language model behind the planner."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import (
    SpeechEnds,
    TaskEnded,
    TaskNeedsConfirmation,
    Trouble,
    TurnDone,
    TurnInterrupted,
    TurnPlanned,
    TurnReply,
)
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    FinalTranscript,
    Intent,
    InterimTranscript,
    Plan,
    ReplyWords,
    ServiceError,
    SpeechStarted,
    SpeechStopped,
    Step,
    Verdict,
)
from streaming.sound.microphone_format import MicrophoneFormat
from tests.support import virtual_time
from tests.support.mind import Mind, Said, Turn, mkdir
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import talk
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streaming.ports import CallContext, SynthesisConfig
    from tests.support.talk import Talk


def test_words_are_spoken_while_the_rest_is_still_being_made() -> None:
    async def body() -> None:
        more = asyncio.Event()
        world = Mind(rounds=[[ReplyWords("One two. "), more, ReplyWords("Three.", last=True)]])
        turn = Turn(world)
        running = asyncio.get_running_loop().create_task(turn.type(), name="turn")
        await asyncio.sleep(2)
        assert turn.outlet.frames  # it sounds, and the model has not finished
        assert [event.more for event in turn.outlet.of(TurnReply)] == [True]
        more.set()
        await running
        assert turn.reply == "One two. Three."
        assert [event.more for event in turn.outlet.of(TurnReply)] == [True, False]
        assert len(turn.outlet.of(SpeechEnds)) == 1  # one utterance
        assert sorted(world.turns.values()) == [("assistant", "One two. Three."), ("user", "do it")]

    virtual_time.run(body())


def test_tools_are_steps_that_pass_safety_and_confirmation_and_their_outcomes_go_back() -> None:
    async def body() -> None:
        world = Mind(
            rounds=[
                [ReplyWords("Let me see. "), mkdir("r1s1"), mkdir("r1s2")],
                [ReplyWords("Done.", last=True)],
            ],
            verdicts={"mkdir": Verdict("confirm", "medium", ("it changes files",))},
        )
        turn = Turn(world)
        running = asyncio.get_running_loop().create_task(turn.type(), name="turn")
        while len(turn.outlet.of(TaskNeedsConfirmation)) < 2:
            await asyncio.sleep(0.1)
        assert world.executed == []
        await world.settle("q1", frame_for(world, turn.outlet).context, approve=True)
        await world.settle("q2", frame_for(world, turn.outlet).context, approve=False)
        await running
        assert {event.step_id: event.status for event in turn.outlet.of(TaskEnded)} == {
            "r1s1": "ok",
            "r1s2": "declined",
        }
        assert len(world.executed) == 1
        (done,) = world.told[1].rounds
        assert [outcome.status for outcome in done.outcomes] == ["ok", "declined"]
        assert done.words == "Let me see. "
        assert [len(event.plan.steps) for event in turn.outlet.of(TurnPlanned)] == [0, 2]
        assert turn.reply == "Let me see. Done."
        tools = {f"{tool.executor}.{tool.action}" for tool in world.told[0].tools}
        assert {"os.mkdir", "memory.store", "memory.search"} <= tools

    virtual_time.run(body())


def test_a_user_is_offered_what_the_role_allows() -> None:
    async def body() -> None:
        world = Mind(rounds=[[ReplyWords("Hi.", last=True)]], may={"memory", "search"})
        await Turn(world).type(audio=False)
        assert {tool.executor for tool in world.told[0].tools} == {"memory", "search"}

    virtual_time.run(body())


def test_words_into_it_hang_up_and_only_what_was_heard_is_remembered() -> None:
    async def body() -> None:
        world = Mind(
            intents={"hello": Intent("unknown", 0.0)},
            rounds=[[ReplyWords("One two three four five six. "), asyncio.Event(), mkdir("r1s1")]],
        )
        outlet = RecordingOutlet()
        lane = TurnLane(frame_for(world, outlet), MicrophoneFormat(), ReplyFormat())
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run())
            await asyncio.sleep(0.1)
            microphone = world.recognitions[0]
            microphone.say("hello")
            while not outlet.frames:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            lane.playback(500)
            microphone.push(SpeechStarted(2_000), InterimTranscript("what about dogs", 0))
            while not outlet.of(TurnDone):
                await asyncio.sleep(0.01)
            assert world.hung_up == 1
            assert outlet.of(TurnInterrupted)[0].heard_text.startswith("One two")
            assert outlet.of(TurnDone)[0].status == "interrupted"
            assert world.executed == []
            heard = dict(world.turns.values())["assistant"]
            assert heard.startswith("One two")
            assert "six" not in heard
            lane.end()
            microphone.end()

    virtual_time.run(body())


@pytest.mark.parametrize("begun", [(), (ReplyWords("Well. "),)])
@pytest.mark.parametrize("audio", [True, False])
def test_a_model_that_fails_ends_in_an_apology(begun: tuple[ReplyWords, ...], *, audio: bool) -> None:
    async def body() -> None:
        broken = ServiceError("DEADLINE_EXCEEDED", "it does not answer", service="mind")
        turn = Turn(Mind(rounds=[[*begun, broken]]))
        await turn.type(audio=audio)
        assert turn.reply.endswith("Please try again in a moment.")
        assert "language model" in turn.reply
        assert turn.status == "failed"
        assert turn.outlet.of(Trouble)[0].code == "DEADLINE_EXCEEDED"
        if audio:
            assert "Sorry" in "".join(text for one in turn.world.spoken for text in one.texts)

    virtual_time.run(body())


class Voiceless(Mind):
    """Its voice is gone."""

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> Any:
        stream = World.synthesize(self, config, context)
        stream.end()
        return stream


@pytest.mark.parametrize(
    "rounds",
    [
        [[ReplyWords("One two. "), 1.0, ReplyWords("Three.", last=True)]],
        [[ReplyWords("One two. "), mkdir("one")], [ReplyWords("Three.", last=True)]],
    ],
)
def test_a_reply_whose_voice_is_gone_is_given_as_text_to_its_end(rounds: list[list[Said]]) -> None:
    """And remembered so: the user reads it."""

    async def body() -> None:
        world = Voiceless(rounds=rounds, failing={"tts": broken("tts")})
        turn = Turn(world)
        await turn.type()
        assert turn.reply == "One two. Three."
        assert ("assistant", turn.reply) in world.turns.values()
        assert len(world.syntheses) == 1
        assert turn.status == "failed"

    virtual_time.run(body())


def test_what_templates_know_is_answered_although_the_model_is_down() -> None:
    async def body() -> None:
        down = ServiceError("UNAVAILABLE", "it cannot be reached", service="mind")
        turn = Turn(Mind(rounds=[[down]], templates=Plan("p", "ten", (mkdir("s1"),), "x")))
        await turn.type()
        assert turn.reply == "one two three four five ten"
        assert turn.world.executed == [("mkdir", {"args": ["s1"]})]
        assert turn.status == "ok"
        assert [trouble.code for trouble in turn.outlet.of(Trouble)] == ["UNAVAILABLE"]
        assert [len(event.plan.steps) for event in turn.outlet.of(TurnPlanned)] == [0, 1]

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("intent", "begun"),
    [
        (Intent("unknown", 0.0), ()),
        (Intent("yes", 1.0), ()),
        (Intent("undo", 1.0), ()),
        (Intent("what_time", 1.0), (ReplyWords("Well. "),)),
    ],
)
def test_what_is_about_the_models_own_words_is_not_left_to_templates(
    intent: Intent, begun: tuple[ReplyWords, ...]
) -> None:
    async def body() -> None:
        down = ServiceError("UNAVAILABLE", "it cannot be reached", service="mind")
        world = Mind(intents={"do it": intent}, rounds=[[*begun, down]], templates=Plan("p", "ten", (), "x"))
        turn = Turn(world)
        await turn.type(audio=False)
        assert "language model is not working" in turn.reply
        assert turn.status == "failed"

    virtual_time.run(body())


def test_a_safety_check_that_is_down_ends_in_its_own_apology(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        caplog.set_level("INFO")
        down = ServiceError("UNAVAILABLE", "down", service="safety")
        turn = Turn(Mind(rounds=[[ReplyWords("Well. "), mkdir("r1s1")]], failing={"safety": down}))
        await turn.type()
        assert "can't check whether it is safe" in turn.reply
        assert turn.world.executed == []
        (line,) = [record for record in caplog.records if record.name == "streaming.agent.turns"]
        assert line.getMessage() == "turn failed: UNAVAILABLE of safety"
        assert vars(line)["request_id"] == turn.outlet.of(Trouble)[0].turn_id

    virtual_time.run(body())


def test_a_planner_that_never_ends_is_ended() -> None:
    async def body() -> None:
        turn = Turn(Mind(rounds=[[mkdir("s1")]]))
        await turn.type(audio=False)
        assert turn.status == "failed"
        assert len(turn.world.told) == 10

    virtual_time.run(body())


def test_somebody_who_waits_for_a_slow_model_hears_that_it_goes_on() -> None:
    async def body() -> None:
        more = asyncio.Event()
        turn = Turn(Mind(rounds=[[more, ReplyWords("Here it is.", last=True)]]))
        running = asyncio.get_running_loop().create_task(turn.type(), name="turn")
        await asyncio.sleep(6)
        assert ["I am still working on it."] in [one.texts for one in turn.world.spoken]
        more.set()
        await running
        assert turn.world.spoken[-1].texts == ["Here it is."]
        assert turn.status == "ok"

    virtual_time.run(body())


def test_silence_is_counted_through_all_rounds_of_a_slow_model() -> None:
    async def body() -> None:
        slow: list[list[Said]] = [[3.0, mkdir(f"r{number}s1")] for number in range(5)]
        turn = Turn(Mind(rounds=[*slow, [3.0, ReplyWords("Done.", last=True)]]))
        await turn.type()
        remarks = ["I am still working on it."] * 2  # after 4 s, and some 7 s later
        assert ["".join(one.texts) for one in turn.world.spoken] == [*remarks, "Done."]

    virtual_time.run(body())


def test_somebody_whose_reply_stalls_hears_that_it_goes_on_and_then_the_rest() -> None:
    async def body() -> None:
        stalled: list[Said] = [ReplyWords("One two. "), 9.0, ReplyWords("Three.", last=True)]
        turn = Turn(Mind(rounds=[stalled]))
        running = asyncio.get_running_loop().create_task(turn.type(), name="turn")
        await asyncio.sleep(6)
        assert [one.texts for one in turn.world.spoken] == [["One two. "], ["I am still working on it."]]
        await running
        assert turn.world.spoken[-1].texts == ["Three."]
        assert turn.status == "ok"
        assert turn.world.turns.popitem()[1] == ("assistant", "One two. Three.")

    virtual_time.run(body())


def test_a_reply_that_stalls_and_ends_without_more_words_is_complete() -> None:
    async def body() -> None:
        turn = Turn(Mind(rounds=[[ReplyWords("One two. "), 9.0, ReplyWords("", last=True)]]))
        await turn.type()
        assert [one.texts for one in turn.world.spoken] == [["One two. "], ["I am still working on it."]]
        assert turn.status == "ok"

    virtual_time.run(body())


@asynccontextmanager
async def thinking(world: Mind, reply: ReplyFormat | None = None) -> AsyncIterator[Talk]:
    """A turn of which the language model makes the first round."""
    world.intents = dict.fromkeys(("hello", "what about dogs"), Intent("unknown", 0.0))
    async with talk(world, reply) as it:
        it.microphone.say("hello")
        while not world.told:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        yield it
    it.microphone.end()


DOGS: list[Said] = [ReplyWords("Dogs bark.", last=True)]


@pytest.mark.parametrize("audio", [True, False])
@pytest.mark.parametrize(
    "rounds",
    [
        [[60.0]],
        [[ReplyWords("One two. "), 12.0, ReplyWords("Three.", last=True)]],
        [[mkdir("r1s1")], [60.0]],
    ],
    ids=["thinks", "stalls", "thinks after steps that changed nothing"],
)
def test_a_new_request_while_it_thinks_is_answered_at_once(rounds: list[list[Said]], *, audio: bool) -> None:
    async def body() -> None:
        world = Mind(rounds=[*rounds, DOGS])
        async with thinking(world, ReplyFormat(audio=audio)) as it:
            await asyncio.sleep(6)
            it.microphone.say("what about dogs")
            await asyncio.sleep(1)
            replies = [event.text for event in it.outlet.of(TurnReply)]
            assert replies[-1] == "Dogs bark."
            assert "Three." not in replies
            assert world.hung_up == 1
            assert [turn.text for turn in world.told[-1].turns if turn.role == "user"] == [
                "hello",
                "what about dogs",
            ]
            await it.until(TurnDone, 2)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted", "ok"]

    virtual_time.run(body())


def test_a_new_request_waits_until_it_was_told_what_steps_changed() -> None:
    async def body() -> None:
        world = Mind(
            rounds=[[mkdir("r1s1")], [3.0, ReplyWords("It is made.", last=True)], DOGS],
            verdicts={"mkdir": Verdict("allow", "medium", ())},
        )
        async with thinking(world) as it:
            it.microphone.say("what about dogs")
            await it.until(TurnDone, 2)
        assert [event.text for event in it.outlet.of(TurnReply)] == ["It is made.", "Dogs bark."]
        assert [done.status for done in it.outlet.of(TurnDone)] == ["ok", "ok"]

    virtual_time.run(body())


def test_a_new_request_during_steps_ends_the_turn_behind_them() -> None:
    async def body() -> None:
        world = Mind(rounds=[[mkdir("r1s1")], [ReplyWords("It is made.", last=True)]], gates={"mkdir": asyncio.Event()})
        async with thinking(world) as it:
            it.microphone.say("what about dogs")
            await asyncio.sleep(1)
            assert not it.outlet.of(TurnDone)
            world.rounds[1:] = [DOGS]
            world.gates["mkdir"].set()
            await it.until(TurnDone, 2)
        assert [event.status for event in it.outlet.of(TaskEnded)] == ["ok"]
        assert [event.text for event in it.outlet.of(TurnReply)] == ["Dogs bark."]

    virtual_time.run(body())


@pytest.mark.parametrize("words", ["Mm-hm.", "Okay."])
def test_a_listeners_sounds_while_it_thinks_are_no_request(words: str) -> None:
    async def body() -> None:
        world = Mind(rounds=[[3.0, ReplyWords("Here it is.", last=True)]])
        async with thinking(world) as it:
            it.microphone.say(words)
            await it.until(TurnDone)
            await asyncio.sleep(5)
        assert [event.text for event in it.outlet.of(TurnReply)] == ["Here it is."]
        assert len(world.told) == 1

    virtual_time.run(body())


def test_a_reply_that_begins_into_the_users_words_gives_way_to_them() -> None:
    async def body() -> None:
        world = Mind(rounds=[[2.0, ReplyWords("One two three four five six seven eight nine ten.", last=True)], DOGS])
        async with thinking(world) as it:
            it.microphone.push(SpeechStarted(1_000), InterimTranscript("what", 0))
            while not it.outlet.frames:
                await asyncio.sleep(0.01)
            it.microphone.push(InterimTranscript("what about dogs", 0))
            await it.until(TurnInterrupted)
            it.microphone.push(SpeechStopped(3_000), FinalTranscript("what about dogs", 0.9, 1_000, 3_000))
            await it.until(TurnDone, 2)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted", "ok"]
        assert it.outlet.of(TurnReply)[-1].text == "Dogs bark."

    virtual_time.run(body())


def test_a_reply_that_moves_to_another_replica_in_the_middle_is_not_made_anew() -> None:
    async def body() -> None:
        world = Mind(rounds=[[ReplyWords("One two. "), asyncio.Event()]])
        outlet = RecordingOutlet()
        lane = TurnLane(frame_for(world, outlet), None, ReplyFormat(), "do it")
        running = asyncio.get_running_loop().create_task(lane.run(), name="turn")
        await asyncio.sleep(1)
        saved = lane.save()
        running.cancel()
        await asyncio.wait([running])
        outlet = RecordingOutlet()
        elsewhere = TurnLane(frame_for(world, outlet), None, ReplyFormat(), "do it")

        class Position:
            sent_pts_ms = 200
            generation = 0

        position: Any = Position()
        elsewhere.restore(saved, position)
        await elsewhere.run()
        assert len(world.told) == 1
        assert outlet.of(TurnDone)[0].status == "failed"
        assert "lost track" in dict(world.turns.values())["assistant"]

    virtual_time.run(body())


def test_what_a_language_model_writes_is_no_reference() -> None:
    async def body() -> None:
        written = {"args": ["${HOME}", "${r1s1.path} is literal", "${r1s1.path}"]}
        steps = [Step("r1s1", "os", "mkdir", {"args": ["a"]}, (), ""), Step("r1s2", "os", "echo", written, (), "")]
        world = Mind(rounds=[[*steps], [ReplyWords("Done.", last=True)]])
        turn = Turn(world)
        await turn.type(audio=False)
        assert ("echo", written) in world.executed
        assert {event.status for event in turn.outlet.of(TaskEnded)} == {"ok"}

    virtual_time.run(body())
