"""Words that only mean something after what was said before: answers to the agent's questions, `and tomorrow?`, `again`.

Each is turned into the whole request, as if the user had said it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.embedded.intent.recognition import GUESSED, OPEN, UNKNOWN, recognise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos import planner_pb2
    from server.embedded.intent.recognition import IntentCandidate

MAX_CHARS = 100  # of an answer; a longer text is a request of its own
ASKED_OF_WHAT = " of what?"  # ends the question of `ask_second_percent`
# The agent's questions (replies.yaml), and the requests that their answers complete.
ASKED = {
    "What should I search for?": "search for {}",
    "Which page should I open?": "open {}",
    "Which command should I run?": "run {}",
    "Which file do you mean?": "read the file {}",
    "What should I remember?": "remember that {}",
    "What should I click on?": "click on {}",
    "What should the folder be called?": "create a folder called {}",
    "What should the file be called?": "create a file called {}",
}
# What "and tomorrow?" goes on with, by the intent before it.
_AND_THAT = {
    "get_time": ("what time is it in {}", "what time is it {}"),
    "get_date": ("what day is it {}", "what is the date {}", "what day is {}"),
    "web_search": ("search for {}",),
    "recall": ("what is {}", "what is my {}"),
    "open_page": ("open {}",),
    "open_result": ("open {}",),
    "convert": ("convert {}",),
}
_OPEN = frozenset({UNKNOWN, "yes", "calculate"})  # may depend on what was said before
_SUGGESTED = re.compile(r"Did you mean: (?P<request>.+)\?\Z")
_AND = re.compile(r"(?:and |or )?(?:(?:what|how) about |now )?(?:in |for )?(?P<that>.+)", re.IGNORECASE)
_ALSO = re.compile(
    r"(?:and |or |what about |how about |no,? |sorry,? |wait,? )+(?:i (?:meant|mean|said) )?", re.IGNORECASE
)
_CORRECTED = re.compile(r"(?:(?:no|sorry|wrong|wait|oh)[,.]? )*i (?:meant|mean|said) (?P<that>.+)", re.IGNORECASE)
_AGAIN = re.compile(r"(?:do (?:it|that) )?(?:again|once more|one more time)", re.IGNORECASE)
_RESULT = re.compile(r"(?:\bis|\bare|That is)(?: about)? (?P<number>-?\d+(?:\.\d+)?)\b[^\d]*\Z")
_THAT = re.compile(r"\b(?:that|it|the result)\b", re.IGNORECASE)


def whole_request(text: str, intent: str, turns: Sequence[planner_pb2.Turn]) -> IntentCandidate | None:
    """What the text means after these turns; None if it stands by itself. `intent`: recognised, or empty."""
    if not turns or len(text) > MAX_CHARS:
        return None
    said = text.strip().rstrip(".?!,")
    guess = recognise(text)[0]
    bare = guess.intent == "open_page" and " " not in said  # `python`: a site, or an answer
    if not bare and (intent not in {"", *_OPEN} or (guess.intent not in _OPEN and guess.confidence > GUESSED)):
        return None
    asked = next((turn.text for turn in reversed(turns) if turn.role == "assistant"), "").strip()
    before = next(
        (turn.text for turn in reversed(turns) if turn.role == "user" and turn.text.strip() != text.strip()), ""
    )
    if bare:
        return _answer(said, asked)
    if guess.intent == "yes":
        suggested = _SUGGESTED.search(asked)
        return _understood(suggested["request"]) if suggested else None
    if guess.intent == "calculate":
        return _of_the_result(said, asked) if "first" not in guess.entities and "tree" not in guess.entities else None
    return (
        (_answer(said, asked) if guess.intent == UNKNOWN or guess.confidence < GUESSED else None)
        or (_of_the_result(said, asked) if _THAT.search(said) else None)
        or (_again(said, before) if before else None)
    )


def _understood(request: str) -> IntentCandidate | None:
    """The request, if it is clear. The yes of "no, I mean yes" is none: only the words themselves answer a question."""
    guess = recognise(request)[0]
    return guess if guess.confidence >= OPEN and guess.intent != "yes" else None


def _answer(said: str, asked: str) -> IntentCandidate | None:
    """The request that is completed by an answer to the agent's question."""
    if asked.endswith(ASKED_OF_WHAT):
        whole = f"{asked.removesuffix(ASKED_OF_WHAT)} of {said.removeprefix('of ').removeprefix('Of ')}"
        percentage = recognise(whole)[0]
        return percentage if percentage.intent == "calculate" and "second" in percentage.entities else None
    question = next((question for question in ASKED if asked.endswith(question)), "")
    return _understood(ASKED[question].format(said)) if question else None


def _of_the_result(said: str, asked: str) -> IntentCandidate | None:
    """`times 2` and `divide that by 2`, after a sum."""
    result = _RESULT.search(asked)
    if result is None:
        return None
    bare = re.sub(r"\A(?:and|now|then) ", "", said, flags=re.IGNORECASE)
    number = result["number"]
    whole = _THAT.sub(number, bare, count=1) if _THAT.search(bare) else f"{number} {bare}"
    guess = recognise(whole)[0]
    return guess if guess.intent == "calculate" and guess.confidence >= OPEN else None


def _again(said: str, before: str) -> IntentCandidate | None:
    """`again`, `no, I meant tomorrow`, `and in London?`, after another request."""
    if _AGAIN.fullmatch(said):
        return _understood(before)
    corrected = _CORRECTED.fullmatch(said)
    if corrected is not None and (clear := _understood(corrected["that"])):
        return clear
    if corrected is None and not _ALSO.match(said):
        return None
    rest = corrected["that"] if corrected else _ALSO.sub("", said, count=1)
    that = _AND.fullmatch(rest)
    forms = _AND_THAT.get(recognise(before)[0].intent, ()) if that is not None else ()
    for form in forms:
        guess = _understood(form.format(that["that"] if that is not None else ""))
        if guess is not None and guess.intent == recognise(before)[0].intent:
            return guess
    return None
