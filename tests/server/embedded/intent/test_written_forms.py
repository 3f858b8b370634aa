"""Sentences that are understood as PocketSphinx writes them ("the third result") are also understood as Whisper writes them ("The 3rd result.")."""

from __future__ import annotations

import re
from typing import Any

import pytest

from server.embedded.intent.recognition import recognise
from server.embedded.intent.templates import document, sentences

PER_INTENT = 60  # of up to 2,000, spread over all
ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th"}
FIGURES = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "ten": "10"}
QUESTION = re.compile(r"(what|which|who|when|where|how|do(?! it| that| so)|can)\b")


def written(sentence: str) -> str:
    """With a capital, figures, percent signs and a final mark."""
    text = re.sub(r" dot (com|org)\b", r".\1", sentence)
    if "number" in text or "result" in text or any(sign in text for sign in ("plus", "minus", "times", "divided")):
        text = re.sub(r"\w+", lambda found: ORDINALS.get(found[0], FIGURES.get(found[0], found[0])), text)
    return text[0].upper() + text[1:] + ("?" if QUESTION.match(text) else ".")


def plain(value: Any) -> Any:
    """Without what may differ: capitals, and figures for words."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, str):
        return value
    return " ".join({**ORDINALS, **FIGURES}.get(word, word) for word in value.lower().split())


@pytest.mark.parametrize("intent", document()["intents"])
def test_written_is_understood_as_spoken(intent: str) -> None:
    every = sentences(intent)
    for spoken in every[:: len(every) // PER_INTENT + 1]:
        heard, read = recognise(spoken)[0], recognise(written(spoken))[0]
        assert (spoken, read.intent) == (spoken, heard.intent)
        assert {name: plain(value) for name, value in read.entities.items()} == {
            name: plain(value) for name, value in heard.entities.items()
        }, spoken


@pytest.mark.parametrize(
    "answer",
    [
        "Yeah, sure.",
        "Go ahead.",
        "Go on.",
        "Sure thing!",
        "Yes, I'm sure.",
        "I’m sure.",
        "Yes, delete it.",
        "Okay, run it.",
        "Yes, please.",
        "OK.",
        "Please do.",
    ],
)
def test_written_approvals(answer: str) -> None:
    for text in (answer, answer.lower(), re.sub(r"[.,!]", "", answer.lower())):
        assert recognise(text)[0].intent == "yes", text


@pytest.mark.parametrize(
    "answer",
    [
        "No, leave it.",
        "Don't.",
        "Don’t do it.",
        "No, keep it.",
        "Keep it.",
        "No. Don't delete it.",
        "I'm not sure.",
        "Do not.",
        "No, thank you.",
        "Please don't.",
    ],
)
def test_written_refusals(answer: str) -> None:
    for text in (answer, answer.lower(), re.sub(r"[.,!]", "", answer.lower())):
        assert recognise(text)[0].intent == "no", text


@pytest.mark.parametrize(
    ("text", "intent", "entities"),
    [
        ("Remember that my alarm is 7 a.m.", "remember", {"attribute": "alarm", "value": "7 a.m."}),
        ("Remember that the shop opens at 5:30 p.m.", "remember_fact", {"fact": "the shop opens at 5:30 p.m."}),
        ("Remember my discount is 10%.", "remember", {"attribute": "discount", "value": "10%"}),
        ("Remember that my birthday is March 3rd.", "remember", {"attribute": "birthday", "value": "March 3rd"}),
        ("Search for trains at 5:30 p.m.", "web_search", {"query": "trains at 5:30 p.m."}),
        ("What is 10% of 50?", "calculate", {"first": 10, "operation": "percent of", "second": 50}),
        ("Open the 3rd result.", "open_result", {"ordinal": 2}),
        ('Run "ls -la".', "run_command", {"command": "ls", "args": ["-la"]}),
    ],
)
def test_values_stay_as_they_were_said(text: str, intent: str, entities: dict[str, Any]) -> None:
    assert (recognise(text)[0].intent, recognise(text)[0].entities) == (intent, entities)
