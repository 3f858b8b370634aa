"""What is said while steps run: the question before a risky one, and that long ones go on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.ports import Action

MAX_VALUE_CHARS = 80  # of one parameter, said aloud; the client has them whole
REMIND_AFTER_S = 20.0  # of silence, the question is said once more


def question_about(action: Action, description: str = "") -> str:
    """One sentence: "Shall I create the folder demo?". `description` is the plan's, "Create the folder demo"."""
    does = description.strip().rstrip(".") or f"run {action.action}"
    told = does.casefold()
    missing = [value for value in _values(action.parameters) if value.casefold() not in told]
    does = does[:1].lower() + does[1:]
    return f"Shall I {' '.join([does, *missing])}?"


def with_other_ways(question: str) -> str:
    """For what a voice may not approve."""
    return f"{question} Please click, or type yes."


def reminder_of(question: str) -> str:
    """For somebody who has said nothing for a while."""
    return f"I am still waiting for your answer. {question}"


def still_working(progress: str) -> str:
    """For somebody who waits; `progress` is the newest news, where it is short enough to be said."""
    news = progress.strip().rstrip(".")
    if not news or len(news) > MAX_VALUE_CHARS:
        return "I am still working on it."
    return f"I am still working on it: {news}."


def _values(given: Any) -> Iterator[str]:
    """Texts and numbers in it, in order; flags such as -p are no words."""
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
