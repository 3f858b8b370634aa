"""What is said while steps run: questions about risky steps, and that long ones are still running. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.agent.deeds import deed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.ports import Action

MAX_VALUE_CHARS = 80  # of one parameter that is spoken; the client has it in full
MAX_DEED_CHARS = 160  # of the words for a whole action; longer ones have their values cut
REMIND_AFTER_S = 20.0  # after this much silence, the question is repeated once


def question_about(action: Action, description: str = "") -> str:
    """A question such as "Shall I create the folder demo?". `description` is the plan's, for example "Create the folder demo"."""
    known = deed(action)
    if known and len(known) <= MAX_DEED_CHARS:
        return f"Shall I {known}?"
    does = description.strip().rstrip(".") or f"run {action.action}"
    told = does.casefold()
    missing = [
        value for value in _values(_said(action, described=bool(description.strip()))) if value.casefold() not in told
    ]
    does = does[:1].lower() + does[1:]
    return f"Shall I {' '.join([does, *missing])}?"


def with_other_ways(question: str) -> str:
    """The question for an action that may not be approved by voice."""
    return f"{question} Please click, or type yes."


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
    """The parameters that people would name. A note's key is random text, so it is only named if there is nothing else."""
    unsaid = {"tags", "metadata", "limit"} if action.executor == "memory" else {"max_results"}
    if action.executor == "memory" and described:
        unsaid.add("key")
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
        text = str(given).strip()
        if text and not text.startswith("-"):
            yield text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
