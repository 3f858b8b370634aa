"""What is known about the user, told in one way and asked for in another; and what was said, where nothing else is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.intent.recognition import recognise
from server.embedded.planner.follow_ups import OFFER
from tests.server.embedded.planner.asking import planner, said
from tests.server.embedded.planner.told import planned, told

if TYPE_CHECKING:
    from pathlib import Path

REX = {"key": "user.dog-s-name", "value": "Rex", "metadata": {"attribute": "dog's name"}}
BROWN = {"key": "user.dog", "value": "brown", "metadata": {"attribute": "dog"}}
EVA = {"key": "user.wife", "value": "Eva", "metadata": {"attribute": "wife"}}


def test_what_is_called_is_kept_as_a_name() -> None:
    (step,) = planned("My dog is called Rex.").steps
    assert (step.parameters["key"], step.parameters["value"]) == ("user.dog-s-name", "Rex")
    (step,) = planned("my cats are called Tom and Jerry").steps
    assert step.parameters["key"] == "user.cats-names"
    (step,) = planned("my name is Ada").steps
    assert step.parameters["key"] == "user.name"


@pytest.mark.parametrize(
    ("text", "items", "answer"),
    [
        ("what's my dog's name", [BROWN, REX], "Your dog's name is Rex."),
        ("what is my dog called", [REX], "Your dog's name is Rex."),
        ("what's my dog's name", [BROWN], "Your dog is brown."),
        ("who is my wife", [EVA], "Your wife is Eva."),
        ("what's my wife's name", [EVA], "Your wife is Eva."),
        ("what colour is my dog", [REX, BROWN], "Your dog is brown."),
        ("what's my dog's name", [EVA], "I do not know your dog's name yet."),
        ("who is my wife", [], "I do not know your wife yet."),
    ],
)
async def test_it_is_found_by_either_name(tmp_path: Path, text: str, items: list[dict[str, Any]], answer: str) -> None:
    async with planner(tmp_path) as stub:
        assert await said(stub, text, [("ok", {"results": items}, "")]) == answer


async def test_all_that_was_told_is_known_about_the_user(tmp_path: Path) -> None:
    items = [
        {"key": "note.1", "value": "I like tea"},
        {"key": "user.name", "value": "Ada", "metadata": {"attribute": "name"}},
    ]
    async with planner(tmp_path) as stub:
        assert (
            await said(stub, "what do you know about me", [("ok", {"results": items}, "")])
            == "You said: I like tea. Your name is Ada."
        )
        nothing = await said(stub, "what do you know about me", [("ok", {"results": []}, "")])
    assert nothing == "I do not remember anything about you."


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("I like tea", "I like tea"),
        ("I live in Berlin.", "I live in Berlin"),
        ("by the way, I'm allergic to nuts", "I'm allergic to nuts"),
        ("I have two kids", "I have two kids"),
    ],
)
@pytest.mark.parametrize("agreed", ["yes", "yes please", "sure", "remember that", "yes, remember that"])
def test_what_people_tell_about_themselves_is_kept_once_they_agree(text: str, fact: str, agreed: str) -> None:
    assert told(text) == OFFER
    (step,) = planned(agreed, [("user", text), ("assistant", OFFER)]).steps
    assert step.parameters["value"] == fact


def test_what_was_not_agreed_to_is_not_kept() -> None:
    offered = [("user", "I like tea"), ("assistant", OFFER)]
    assert told("no", offered) == "All right."
    assert told("no, coffee", offered) == OFFER
    corrected = [*offered, ("user", "no, coffee"), ("assistant", OFFER)]
    assert planned("yes", corrected).steps[0].parameters["value"] == "I like coffee"
    assert not planned("forget that", offered).steps, "there is nothing to forget"
    later = [*offered, ("user", "what time is it"), ("assistant", "It is noon.")]
    assert not planned("yes", later).steps


@pytest.mark.parametrize(
    "text", ["Remember that I like tea and tell me the time", "I like tea, remember that", "please note I like tea"]
)
def test_what_is_to_be_remembered_is_kept_at_once(text: str) -> None:
    assert planned(text).steps[0].parameters["value"] == "I like tea"


def test_what_is_told_before_a_request_is_not_kept_either() -> None:
    assert not planned("I like tea and tell me the time").steps


@pytest.mark.parametrize(
    "text",
    [
        "I like it", "I like that", "I love you", "I like the second one", "I love the idea", "I have no idea", "I have a question", "I work here", "I'd like tea", "I live", "I am tired",
        "I moved notes.txt to plan.txt", "I was wrong", "I speak to you", "I hate you", "hi, I'm back", "I like to", "I come back later",
    ],
)  # fmt: skip
def test_other_words_about_oneself_are_not_kept(text: str) -> None:
    assert not planned(text).steps


def test_a_greeting_may_tell_the_name() -> None:
    assert recognise("Hi, I'm Tom")[0].entities == {"attribute": "name", "value": "Tom"}


HELP = [("user", "help"), ("assistant", "You can ask me for the time.")]


@pytest.mark.parametrize("text", ["what do you mean", "I don't understand", "what is that", "explain that"])
def test_what_was_said_is_said_again_where_no_question_waits(text: str) -> None:
    assert told(text, HELP) == "I said: You can ask me for the time."


def test_what_was_said_is_repeated() -> None:
    assert told("what", HELP) == "You can ask me for the time."


@pytest.mark.parametrize(
    "text",
    ["what time is it in London, no Paris", "time in London, no, in Paris", "what time is it in London no Paris"],
)
def test_the_place_said_last_is_meant(text: str) -> None:
    assert recognise(text)[0].entities == {"place": "Paris"}


@pytest.mark.parametrize("text", ["what's inside docs", "what is in my documents", "show me my music"])
def test_a_folder_may_be_named_without_that_word(text: str) -> None:
    (step,) = planned(text).steps
    assert (step.executor, step.action) == ("os", "ls")


async def test_a_topic_of_the_users_is_told_as_theirs(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        told_of_it = await said(stub, "what did I tell you about my meeting", [("ok", {"results": []}, "")])
    assert told_of_it == "I do not remember anything about your meeting."


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I am so tired", "I am sorry to hear that."),
        ("I'm very happy", "I am glad to hear that."),
        ("do you like music", "I am a computer program called Jarvis."),
        ("I love you", "Thank you."),
    ],
)
def test_small_talk_is_answered_shortly(text: str, answer: str) -> None:
    assert told(text) == answer


WIFI = [
    *[("user", "Remember that the wifi password is Hunter2"), ("assistant", "I will remember that.")],
    *[("user", "note that Bob likes tea"), ("assistant", "I will remember that.")],
]


@pytest.mark.parametrize(
    ("text", "executor"),
    [
        ("what's the wifi password", "memory"),
        ("what is the password", "memory"),
        ("what does Bob like", "memory"),
        ("search for the wifi password", "search"),
        ("what is the wifi standard", "search"),
    ],
)
def test_what_was_told_is_not_searched_for(text: str, executor: str) -> None:
    (step,) = planned(text, WIFI).steps
    assert step.executor == executor


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I'm Tom", "Tom"), ("my name's Tom", "Tom"), ("Tom here", "Tom"), ("i'm tom", "Tom"), ("This is Anna speaking.", "Anna"), ("hello, this is Anna Smith", "Anna Smith"),
        ("I'm Tom by the way", "Tom"), ("It's me, Tom", "Tom"), ("I'm Zora.", "Zora"), ("I am Priya, nice to meet you.", "Priya"), ("The name's Bond", "Bond"),
    ],
)  # fmt: skip
def test_a_name_is_told_in_many_ways(text: str, name: str) -> None:
    (step,) = planned(text).steps
    assert MessageToDict(step.parameters) == {
        "key": "user.name",
        "value": name,
        "tags": ["about-user"],
        "metadata": {"attribute": "name"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "I'm tired", "I'm in Berlin", "I'm German", "I'm hungry", "I'm done", "i'm done", "I'm OK", "I'm back", "I'm Polish", "I'm Tom's brother", "Hi, I'm German", "I'm a Berliner",
        "I'm Canadian", "I'm Catholic", "Right here", "Nothing here.", "I'm Sorry", "I'm Fine.", "I'm not Tom", "I'm with Tom", "I'm Impressed", "it's Tom", "i'm zora", "I'm Jarvis",
    ],
)  # fmt: skip
def test_what_is_no_name_is_not_kept_as_one(text: str) -> None:
    assert not planned(text).steps
