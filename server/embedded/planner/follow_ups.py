"""Words that only mean something after what was said before: answers to the agent's questions, `and tomorrow?`, `again`.

Each is turned into the whole request, as if the user had said it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.embedded.intent.answers import value_of
from server.embedded.intent.recognition import ANSWERS, GUESSED, OPEN, UNKNOWN, recognise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos import planner_pb2
    from server.embedded.intent.recognition import IntentCandidate

CHANGED_BACK = 3  # requests, of which "call it test" may change one
MAX_TURNS_BACK = 8  # that words may depend on, each on the one before
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
_AND_ALSO = re.compile(r"(?:and|or|what about|how about) ", re.IGNORECASE)
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
    earlier = [turn for turn in turns if turn.role != "user" or turn.text.strip() != text.strip()]
    asked = _asked(earlier)
    if bare:
        return _understood(_answer(said, asked))
    if guess.intent == "yes":
        suggested = _SUGGESTED.search(asked)
        return _understood(suggested["request"]) if suggested else None
    if guess.intent == "calculate":
        return _of_the_result(said, asked) if "first" not in guess.entities and "tree" not in guess.entities else None
    return (
        (_understood(_answer(said, asked)) if guess.intent == UNKNOWN or guess.confidence < GUESSED else None)
        or (_of_the_result(said, asked) if _THAT.search(said) else None)
        or _understood(_again(text, earlier))
    )


def said_in_full(turns: Sequence[planner_pb2.Turn]) -> str:
    """The last of the user's turns as a request that stands by itself; empty if it is none."""
    last = next((at for at in range(len(turns) - 1, -1, -1) if turns[at].role == "user"), None)
    if last is None:
        return ""
    said, earlier = turns[last].text.strip().rstrip(".?!,"), turns[max(0, last - MAX_TURNS_BACK) : last]
    if len(said) > MAX_CHARS or _understood(said) is not None:
        return said
    answer = _answer(said, _asked(earlier))
    return answer if _understood(answer) is not None else _again(said, earlier)


def _asked(turns: Sequence[planner_pb2.Turn]) -> str:
    """What the agent said last."""
    return next((turn.text for turn in reversed(turns) if turn.role == "assistant"), "").strip()


def _understood(request: str) -> IntentCandidate | None:
    """The request, if it is clear. The yes of "no, I mean yes" is none: only the words themselves answer a question."""
    guess = recognise(request)[0] if request else None
    return guess if guess is not None and guess.confidence >= OPEN and guess.intent != "yes" else None


def _answer(said: str, asked: str) -> str:
    """The request that is completed by an answer to the agent's question; empty if nothing was asked."""
    if asked.endswith(ASKED_OF_WHAT):
        whole = f"{asked.removesuffix(ASKED_OF_WHAT)} of {said.removeprefix('of ').removeprefix('Of ')}"
        percentage = recognise(whole)[0]
        return whole if percentage.intent == "calculate" and "second" in percentage.entities else ""
    question = next((question for question in ASKED if asked.endswith(question)), "")
    return ASKED[question].format(_other_value(said)[0] or said) if question else ""


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


def _again(text: str, earlier: Sequence[planner_pb2.Turn]) -> str:
    """`again`, `no, I meant tomorrow`, `and in London?`, `no, call it test`, after another request; empty if it is none of these."""
    said = text.strip().rstrip(".?!,")
    value, named = _other_value(said)
    corrected = _CORRECTED.fullmatch(said)
    if not (value or corrected or _AGAIN.fullmatch(said) or _AND_ALSO.match(said)):
        return ""
    before = said_in_full(earlier)
    if not before:
        return _changed(value, earlier, named=named)
    if _AGAIN.fullmatch(said):
        return before
    if value and (changed := _changed(value, earlier, named=named)):
        return changed
    if corrected is not None and _understood(corrected["that"]):
        return corrected["that"]
    rest = corrected["that"] if corrected else _ALSO.sub("", said, count=1)
    that = _AND.fullmatch(rest)
    same = recognise(before)[0].intent
    forms = _AND_THAT.get(same, ()) if that is not None else ()
    wholes = (form.format(that["that"] if that is not None else "") for form in forms)
    return next((whole for whole in wholes if (guess := _understood(whole)) and guess.intent == same), "")


def _changed(value: str, earlier: Sequence[planner_pb2.Turn], *, named: bool) -> str:
    """The request with another value: the last one, or if the value is `named`, one of the last that takes it."""
    users = [at for at, turn in enumerate(earlier, 1) if turn.role == "user"]
    for at in users[: -1 - (CHANGED_BACK if named else 1) : -1] if value else ():
        before = said_in_full(earlier[:at])
        before = str((recognise(before)[0].entities.get("requests") or [before])[-1]) if before else ""
        changed = f"{before}, I mean {value}"
        guess = _understood(changed) if before else None
        if guess is not None and guess.intent == recognise(before)[0].intent and guess != recognise(before)[0]:
            return changed
    return ""


def _other_value(text: str) -> tuple[str, bool]:
    """The value that a text gives instead of another one, and whether it is named: "call it test", but not a mere "no, test"."""
    rest = next((str(guess.entities["instead"]) for guess in recognise(text) if "instead" in guess.entities), "")
    value = value_of(rest or text, bare=bool(rest))
    return (value, bool(value_of(rest or text, bare=False))) if not _answers(value) else ("", False)


def _answers(value: str) -> bool:
    return bool(value) and recognise(value)[0].intent in ANSWERS
