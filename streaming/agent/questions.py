"""What is said while steps run: questions about risky steps, and that long ones are still running. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.agent.deeds import deed, secret_of
from streaming.secret_fields import clean_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.ports import Action, Verdict

MAX_VALUE_CHARS = 80  # of one parameter that is spoken; the client has it in full
MAX_DEED_CHARS = 160  # of the words for a whole action; longer ones have their values cut
_PLACES = {"os": "On this machine", "browser": "In the browser", "memory": "In your memory", "search": "In the search"}
REMIND_AFTER_S = 20.0  # after this much silence, the question is repeated once


def question_about(action: Action, description: str = "") -> str:
    """A question such as "Shall I create the folder demo?". `description` is the plan's, for example "Create the folder demo"."""
    known = deed(action)
    if known and len(known) <= MAX_DEED_CHARS:
        return f"Shall I {known}?"
    if secret_of(action):
        description = ""  # it may say the secret
    does = clean_addresses(description.strip().rstrip("."), r"\1") or f"run {action.action}"
    told = does.casefold()
    missing = [
        value for value in _values(_said(action, described=bool(description.strip()))) if value.casefold() not in told
    ]
    does = does[:1].lower() + does[1:]
    return f"Shall I {' '.join([does, *missing])}?"


def sentence_for(action: Action, description: str = "", *, by_voice: bool = True) -> str:
    """The question, with the other ways to answer it if a spoken yes is not enough."""
    question = question_about(action, description)
    return question if by_voice else f"{question} Please click, or type yes."


def deed_in(sentence: str) -> str:
    """`create the folder demo` of "Shall I create the folder demo?"; another sentence as it is."""
    question = sentence.partition("?")[0]
    return question.removeprefix("Shall I ") if question.startswith("Shall I ") else sentence


def explanation(action: Action, verdict: Verdict, sentence: str) -> str:
    """The answer to "why?" and "what will it do?": the reason, the risk, what would run where, and the question once more."""
    reasons = "; ".join(verdict.reasons)
    why = f"I ask because {reasons}, and the risk is {verdict.risk}." if reasons else f"The risk is {verdict.risk}."
    where = _PLACES.get(action.executor, f"By the executor {action.executor}")
    what = " ".join([action.action, *_values(_said(action, described=False))])
    return f"{why} {where}, that is: {what}. {sentence}"


def reminder_of(question: str) -> str:
    """The reminder after a long silence."""
    return f"I am still waiting for your answer. {question}"


def still_working(progress: str) -> str:
    """What to say during long work; `progress`: the newest progress message, used if it is short enough."""
    news = progress.strip().rstrip(".")
    if not news or len(news) > MAX_VALUE_CHARS:
        return "I am still working on it."
    return f"I am still working on it: {news}."


def _said(action: Action, *, described: bool) -> dict[str, Any]:
    """The parameters that people would name, and no secret. A note's key is random text, so it is only named if there is nothing else."""
    unsaid = {"tags", "metadata", "limit"} if action.executor == "memory" else {"max_results"}
    if action.executor == "memory" and described:
        unsaid.add("key")
    unsaid.add(secret_of(action))
    return {name: value for name, value in action.parameters.items() if name not in unsaid}


def _values(given: Any) -> Iterator[str]:
    """The texts and numbers of a value, in order; without flags such as -p."""
    if isinstance(given, dict):
        for value in given.values():
            yield from _values(value)
    elif isinstance(given, list | tuple):
        for value in given:
            yield from _values(value)
    elif isinstance(given, str | int | float) and not isinstance(given, bool):
        text = clean_addresses(str(given).strip(), r"\1")
        if text and not text.startswith("-"):
            yield text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
