"""What only sounds like a yes or a no, said to an open question."""

from __future__ import annotations

import asyncio

import pytest

from streaming.agent.answering import LEAST_CONFIDENCE
from streaming.agent.format import ReplyFormat
from streaming.domain import TaskEnded, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.ports import FinalTranscript, Intent, IntentGuess, SpeechStarted, SpeechStopped
from tests.support import virtual_time
from tests.support.talk import plan, risky, talk

QUESTION = "Shall I delete demo with everything in it?"


@pytest.mark.parametrize("answer", ["yes", "no"])
@pytest.mark.parametrize("audio", [True, False])
def test_a_yes_that_may_be_none_is_asked_back(audio: bool, answer: str) -> None:
    async def body() -> None:
        world = risky()
        async with talk(world, ReplyFormat(audio=audio)) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(5)
            heard = FinalTranscript("yes", LEAST_CONFIDENCE - 0.01, 0, 400)
            it.microphone.push(SpeechStarted(0), SpeechStopped(400), heard)
            await asyncio.sleep(8)
            told = [synthesis.texts[0] for synthesis in world.syntheses] or [r.text for r in it.outlet.of(TurnReply)]
            assert told[-1] == f"Was that a yes? {QUESTION}"
            assert (world.executed, it.outlet.of(TaskEnded)) == ([], [])
            it.microphone.say(answer)
            await it.until(TaskEnded)
        assert it.outlet.of(TaskEnded)[0].status == ("ok" if answer == "yes" else "declined")

    virtual_time.run(body())


def test_a_misheard_no_declines_also_where_it_could_be_something_else_to_do() -> None:
    async def body() -> None:
        world = risky()
        misheard = IntentGuess("no", 0.6, {"misheard": True, "of": "all"})
        world.intents["note both"] = Intent("remember_fact", 0.9, {"fact": "both"}, (misheard,))
        world.plans["note both"] = plan(goal="note both")
        async with talk(world, ReplyFormat(audio=False)) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(1)
            it.microphone.say("note both")
            await it.until(TurnDone)
            await asyncio.sleep(5)
        assert [ended.status for ended in it.outlet.of(TaskEnded)] == ["declined"]
        assert len(it.outlet.of(TurnDone)) == 1  # no turn of its own

    virtual_time.run(body())
