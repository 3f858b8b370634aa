"""Answers to a question that are more than yes or no, and what recognisers hear instead of a no."""

from __future__ import annotations

from typing import Any

import pytest

from server.embedded.intent.recognition import recognise


def answered(text: str) -> dict[str, dict[str, Any]]:
    """What a text may answer to a question, as the gateway sees it: intents with their entities."""
    best, *others = recognise(text)
    kinds = {"yes", "no", "stop", "explain"}
    return {guess.intent: guess.entities for guess in (best, *others) if guess.intent in kinds}


@pytest.mark.parametrize(
    ("text", "best", "also"),
    [
        ("Yes, and what time is it?", "get_time", "what time is it?"),
        ("Yes. What time is it?", "get_time", "What time is it?"),
        ("Yes please, and then open example.com", "open_page", "open example.com"),
        ("go ahead and list the files", "list_files", "list the files"),
        ("yes, do it, and then read the page", "read_page", "read the page"),
        ("Yeah, and search for no country for old men", "web_search", "search for no country for old men"),
        ("yes, and set a timer", "unknown", "set a timer"),
    ],
)
def test_a_yes_with_another_request_approves_and_asks(text: str, best: str, also: str) -> None:
    assert recognise(text)[0].intent == best
    assert answered(text) == {"yes": {"also": also}}


@pytest.mark.parametrize(
    ("text", "kind", "entities"),
    [
        ("yes to both", "yes", {"of": "both"}),
        ("Yes, do both.", "yes", {"of": "both"}),
        ("okay, both of them", "yes", {"of": "both"}),
        ("Both, please.", "yes", {"of": "both", "bare": "yes"}),
        ("yes to all of them", "yes", {"of": "all"}),
        ("all of them", "yes", {"of": "all", "bare": "yes"}),
        ("yes to both, and what time is it", "yes", {"of": "both", "also": "what time is it"}),
        ("no to both", "no", {"of": "all"}),
        ("None of them.", "no", {"of": "all"}),
        ("don't do both", "no", {"of": "all"}),
    ],
)
def test_an_answer_to_several_questions(text: str, kind: str, entities: dict[str, Any]) -> None:
    assert answered(text) == {kind: entities}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes, move it.", {"does": "move"}),
        ("Yes, please delete it.", {"does": "delete"}),
        ("yes, create the folder", {"does": "create", "thing": "folder"}),
        ("It's okay.", {"unsure": "yes"}),
        ("That's okay, thanks.", {"unsure": "yes"}),
        ("Oh, that's fine.", {"unsure": "yes"}),
        ("It's all right.", {"unsure": "yes"}),
        ("Fine, thank you.", {"unsure": "yes"}),
        ("Hello? Yes.", {"unsure": "yes"}),
        ("That's fine by me.", {}),
        ("That's okay with me.", {}),
        ("Yes, that's fine.", {}),
        ("That's right.", {}),
        ("All right.", {}),
        ("okay", {}),
        ("Hi Jarvis, yes.", {}),
        ("Yes, do it.", {}),
    ],
)
def test_a_yes_says_what_it_names_and_whether_it_may_be_none(text: str, said: dict[str, Any]) -> None:
    assert answered(text) == {"yes": said}


@pytest.mark.parametrize("text", ["both?", "both of you", "yes to both?", "yes, but not both", "all of them are wrong"])
def test_these_approve_none_of_several(text: str) -> None:
    assert "yes" not in answered(text)


@pytest.mark.parametrize(
    "text",
    [
        "okay, what time is it",
        "ok, and then list the files",
        "right, and open example.com",
        "Yes, but what time is it?",
        "yes, if it is safe",
        "yes, and blah blah",
        "I would say yes, but it depends",
        "no, I mean yes",
        "sure, search for dogs",
        "hold on, what time is it",
        "yes but only if it is safe, and what time is it",
        "no wait, yes",
        "yes, white",
        "blue is fine",
        "yes, wait, what time is it?",
        "yes, no wait, what time is it",
        "Yes. Wait. Open example.com",
        "yes, sorry, I meant search for dogs",
        "yes, list the files before that",
        "yes, and open example.com first",
        "right?",
        "sure?",
        "yes?",
        "OK?",
        "yes open it instead",
        "yes, forget it",
        "sure, forget it",
        "go ahead and forget that",
        "yes, forget it, what time is it",
        "yes, stop, what time is it",
        "Yes. Stop. What time is it?",
        "yes, maybe, what time is it",
        "yes, open example.com and stop",
        "yes, search for music but don't do it",
        "yes, list the files beforehand",
        "yes, list the files later",
        "do it?",
        "go ahead?",
        "yes, really?",
        "yes?!",
        "that's right?",
        "sure thing, what is the date",
        "yes and no",
        "yes, who is it",
        "yeah, I am on the phone",
        "yes, when I am done",
        "she said yes",
        "yes, hmm",
        "yeah, um",
        "Yes. Uh...",
        "sure, er",
        "yes, pardon?",
        "Yes. What did you say?",
        "yes, hello?",
        "Yes? Hello.",
        "oh yes, what time is it",
        "ah yes, and list the files",
        "oh sure, open example.com",
        "yes, undo that",
        "yes, can I undo that",
        "yes, who is this",
        "yes, in an hour",
        "yes, it is cold in here",
        "yes, delete everything",
        "Yes. Remove everything.",
        "yes delete the folder pear",
        "Yes, delete the folder pear.",
        "yes, search for cats",
        "Yes, create a file.",
    ],
)
def test_words_that_only_begin_like_a_yes_approve_nothing(text: str) -> None:
    assert "yes" not in answered(text)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("Yes, but call it test", "call it test"),
        ("Yes, and call it test", "call it test"),
        ("okay, but in London", "in London"),
        ("yes, but without the last one", "without the last one"),
        ("No, call it demo two instead", "call it demo two instead"),
        ("no call it demo two", "call it demo two"),
        ("No, demo two", "demo two"),
        ("no, I meant dogs", "I meant dogs"),
        ("wait, call it demo two", "call it demo two"),
        ("No, what time is it", "what time is it"),
        ("no, search for dogs instead", "search for dogs instead"),
        ("yes, tell me the time instead", "tell me the time instead"),
        ("Yes, create a folder called pictures instead.", "create a folder called pictures instead."),
        ("go ahead, list the files instead", "list the files instead"),
        ("yes, rather tell me the time", "rather tell me the time"),
        ("call it test", "call it test"),
        ("could you name it test instead", "could you name it test instead"),
        ("wrong name, call it test", "call it test"),
        ("I would rather have orange", "I would rather have orange"),
        ("not pink, purple", "purple"),
        ("please don't do that, tell me the time instead", "tell me the time instead"),
    ],
)
def test_another_wish_declines_what_was_asked(text: str, instead: str) -> None:
    assert answered(text) == {"no": {"instead": instead}}


@pytest.mark.parametrize(
    "text",
    [
        "No, that's stupid",
        "no because I don't like it",
        "yes but not now",
        "Yes, wait, no",
        "No, no, I don't want that",
    ],
)
def test_a_no_with_a_reason_declines(text: str) -> None:
    assert answered(text) == {"no": {}}


@pytest.mark.parametrize(
    "text",
    [
        "Why?",
        "What will it do?",
        "Which folder?",
        "what do you mean",
        "is that safe?",
        "Yes, but why?",
        "Okay, but what for?",
        "what happens if I say yes?",
        "and if I say no?",
        "can you explain that?",
        "what are my options",
        "um, why?",
    ],
)
def test_a_question_about_the_question_answers_nothing(text: str) -> None:
    assert answered(text) == {"explain": {}}


@pytest.mark.parametrize(
    "text", ["um, yes", "yes, uh, please", "hmm, yes, go ahead", "oh yes", "oh yes, please", "yes, thanks"]
)
def test_a_hesitation_before_a_clear_yes_takes_nothing_from_it(text: str) -> None:
    assert "yes" in answered(text)


@pytest.mark.parametrize("text", ["Witch folder", "witch file?", "wye", "watt will it do"])
def test_a_question_that_is_written_as_it_sounds_is_one(text: str) -> None:
    assert "explain" in answered(text)


@pytest.mark.parametrize(
    "text", ["one moment", "let me think", "hang on a second, please", "give me a minute", "I'm still thinking"]
)
def test_who_thinks_is_waited_for(text: str) -> None:
    assert answered(text) == {"stop": {"pause": "yes"}}


# What Whisper wrote for "no, no, no", "nope", "nah", "no thanks", "never" and "cancel" of hibari and eSpeak NG.
@pytest.mark.parametrize(
    "heard",
    ["Number.", "Note", "Now...", "No end.", "No pangs.", "Namber", "Council.", "Not wait."],
)
def test_what_a_no_is_heard_as_may_be_one(heard: str) -> None:
    assert recognise(heard)[0].intent == "unknown"
    assert answered(heard) == {"no": {"misheard": True}}


@pytest.mark.parametrize("heard", ["No, no, number.", "No, no number.", "No number.", "Nope, note."])
def test_a_no_in_part_misheard_is_one(heard: str) -> None:
    assert answered(heard) == {"no": {}}


@pytest.mark.parametrize("text", ["No problem", "no idea", "Nice.", "naturally", "nodes and edges", "not bad", "Gap."])
def test_other_words_are_no_misheard_no(text: str) -> None:
    assert "no" not in answered(text)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("can you hear me? what time is it?", "get_time"),
        ("hi there, can you tell me what time it is", "get_time"),
        ("good morning, what is the date today and what time is it", "several"),
        ("hello, how are you", "how_are_you"),
        ("thanks a lot, that's all", "thanks"),
        ("could you maybe, like, list the files for me", "list_files"),
        ("no, don't open example.com", "no"),
        ("don't open example.com and list the files", "unknown"),
    ],
)
def test_small_talk_before_a_request_is_no_part_of_it(text: str, intent: str) -> None:
    assert recognise(text)[0].intent == intent


@pytest.mark.parametrize(("text", "waits"), [("Wait.", True), ("hold on", True), ("one moment", True), ("stop", False)])
def test_who_says_wait_to_a_question_has_not_answered_it(text: str, waits: bool) -> None:
    best = recognise(text)[0]
    assert (best.intent, "pause" in best.entities) == ("stop", waits)


@pytest.mark.parametrize("text", ["did it work?", "what did you do", "is it done?", "what happened"])
def test_who_asks_what_came_of_it_is_told_again(text: str) -> None:
    assert recognise(text)[0].intent == "repeat"
