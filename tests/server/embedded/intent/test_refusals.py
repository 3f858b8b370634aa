"""Refusals in whatever words: they decline an open question, at any time, and do nothing else."""

from __future__ import annotations

import pytest

from server.embedded.intent.recognition import recognise
from server.embedded.intent.refusals import refuses
from streaming.agent.answering import Answer
from tests.server.embedded.intent.test_no_consent import answered
from tests.server.embedded.planner.told import planned, told

REFUSALS = [
    "reject", "Reject it.", "I reject that", "please reject", "I decline", "I object", "I disagree", "I strongly disagree", "disapproved", "veto", "permission denied",
    "not approved", "not allowed", "not okay", "not good", "not interested", "not a chance", "that is not fine", "that's not fine with me", "it isn't okay", "This isn't what I asked for.",
    "that's unacceptable", "that is a bad idea", "bad idea", "the answer is no", "my answer is still no", "it's a no from me", "that's a hard no", "heck no", "Hell, no!", "oh gosh no",
    "good lord no", "nah", "no siree", "no can do", "no deal", "I don't agree", "I do not approve", "I don't approve of that", "we can't allow that", "I won't permit it", "I wouldn't",
    "you should not", "you mustn't do that", "I'm against it", "I'm not comfortable with that", "thanks but no thanks", "Thank you, but no.", "thanks, but I'd rather not", "thanks, stop",
    "sorry, no", "I'll pass", "over my dead body", "out of the question", "not in a million years", "never ever", "scrap that", "call it off", "turn it down", "that doesn't work for me",
    "forget about it", "never mind the folder", "never mind the folder, tell me the time", "I disagree, call it test",
    "no to both", "No to all of them.",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSALS)
def test_it_declines_an_open_question(text: str) -> None:
    assert answered(text) is Answer.REFUSES


@pytest.mark.parametrize("text", REFUSALS)
def test_it_changes_nothing_where_no_question_waits(text: str) -> None:
    assert all(step.executor != "os" for step in planned(text).steps)


def test_thanks_before_a_refusal_are_part_of_it() -> None:
    assert told("Thanks but no thanks.") == "All right."
    assert told("thanks a lot") == "You are welcome."


@pytest.mark.parametrize(
    "text",
    [
        "not interested in cats", "no problem", "no worries", "is that not fine?", "I don't agree with my boss about python", "reject the second one", "the answer is forty two",
        "my answer is yes", "I like tea", "pass me the salt", "it's not", "never gonna give you up", "good idea", "that's fine", "that is a good idea", "why is that a bad idea?",
    ],
)  # fmt: skip
def test_words_that_go_on_are_no_refusal(text: str) -> None:
    assert not refuses(text)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("remember that the soup was hot, not good", "remember_fact"),
        ("remember that my sister is not nice, that is not fine", "remember_fact"),
        ("search for bad idea", "web_search"),
        ("never mind", "stop"),
        ("never mind the folder, what time is it", "get_time"),
        ("forget about the meeting", "forget"),
        ("abort", "stop"),
    ],
)
def test_it_is_no_refusal_within_a_request(text: str, intent: str) -> None:
    assert recognise(text)[0].intent == intent


@pytest.mark.parametrize("text", ["no " * 40, "thank you but " * 7, "a good my dear " * 6 + "q", "never mind the " * 6])
def test_long_rows_of_such_words_end(text: str) -> None:
    assert refuses(text[:100].strip()) in {True, False}
