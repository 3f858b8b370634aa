"""A note or a fact that the user corrects takes the place of the old one; nothing else is overwritten."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.planner.recipes import key_of_note
from tests.server.embedded.planner.told import planned

KEPT = "I will remember that."


def stored(*said: str) -> list[tuple[str, object]]:
    """Key and value of what the last words store, after the others were answered."""
    turns = [turn for words in said[:-1] for turn in (("user", words), ("assistant", KEPT))]
    made = planned(said[-1], [*turns, ("user", said[-1])])
    assert all(step.action == "store" for step in made.steps), made.steps
    given = [MessageToDict(step.parameters) for step in made.steps]
    return [(one["key"], one["value"]) for one in given]


@pytest.mark.parametrize(
    ("told", "correction", "value"),
    [
        ("the car is in lot b", "no, it's in lot c", "the car is in lot c"),
        ("the code is one two three four", "sorry, it's one two three five", "the code is one two three five"),
        ("the plumber comes at three", "No, at four.", "the plumber comes at four"),
        ("the plumber comes on monday", "sorry, on tuesday", "the plumber comes on tuesday"),
        ("we need tyres", "actually i meant brakes", "we need brakes"),
        ("the gate is red", "no, it's green", "the gate is green"),
        ("the meeting is at three", "make that four", "the meeting is at four"),
    ],
)
def test_a_corrected_note_takes_the_place_of_the_old_one(told: str, correction: str, value: str) -> None:
    assert stored(f"remember that {told}", correction) == [(key_of_note(told), value)]


def test_a_note_may_be_corrected_twice() -> None:
    assert stored("remember that the car is in lot b", "no, it's in lot c", "no, it's in lot d") == [
        (key_of_note("the car is in lot b"), "the car is in lot d")
    ]


def test_the_same_words_are_the_same_note() -> None:
    assert stored("Remember that I like tea!") == [(key_of_note("i like tea"), "I like tea!")]


@pytest.mark.parametrize("correction", ["no, that it's queen", "no, it's queen", "no, queen", "sorry, I meant queen"])
def test_a_corrected_fact_has_the_same_key(correction: str) -> None:
    assert stored("remember that my favourite band is genesis", correction) == [("user.favorite-band", "queen")]


def test_a_correction_in_the_same_breath() -> None:
    said = "remember that my dentist is dr smith – no, that it's dr jones"
    assert stored(said) == [("user.dentist", "dr jones")]


@pytest.mark.parametrize(
    "words",
    [
        "sorry, it's late",
        "no, it's fine",
        "no, that's it",
        "no, it's raining",
        "sorry, that was my phone",
        "oh wait, that's all right",
        "no thanks",
        "wait, what time is it",
    ],
)
def test_what_corrects_nothing_overwrites_nothing(words: str) -> None:
    assert stored("remember that the code is 1234", words) == []


def test_another_note_does_not_replace_the_last_one() -> None:
    assert stored("remember that i like tea", "and remember that i like cake") == [
        (key_of_note("i like cake"), "i like cake")
    ]
    asked = [
        ("user", "remember that i like tea"),
        ("assistant", KEPT),
        ("user", "take a note"),
        ("assistant", "What should I remember?"),
    ]
    (step,) = planned("the code is 1234", [*asked, ("user", "the code is 1234")]).steps
    assert MessageToDict(step.parameters)["key"] == key_of_note("the code is 1234")


@pytest.mark.parametrize(
    ("said", "key", "value"),
    [
        ("my name is ada, remember that", "user.name", "ada"),
        ("i live in berlin by the way, remember it", key_of_note("i live in berlin"), "i live in berlin"),
        ("don't let me forget that the rent is due", key_of_note("the rent is due"), "the rent is due"),
        ("can you save this for later: gate code 4412", key_of_note("gate code 4412"), "gate code 4412"),
    ],
)
def test_other_ways_to_tell(said: str, key: str, value: str) -> None:
    assert stored(said) == [(key, value)]


@pytest.mark.parametrize(
    "said", ["make a note of it", "remember when we met", "do you remember that", "i don't remember that"]
)
def test_what_tells_nothing_is_not_kept(said: str) -> None:
    assert stored(said) == []
