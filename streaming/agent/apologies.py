"""What to say when a service fails. These are the only words that the gateway itself makes the agent say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import ServiceError

NOT_UNDERSTOOD_NOW = (
    "I did not understand that."  # while a question waits: what else could be asked would distract from it
)
_PARTS = {
    "stt": "I can't hear you right now: speech recognition is not working.",
    "tts": "I can't say that aloud.",
    "intent": "I can't make out what you mean right now: intent recognition is not working.",
    "planner": "I can't work out what to do right now: the planner is not working.",
    "mind": "I can't think right now: my language model is not working.",
    "safety": "I won't do that now, because I can't check whether it is safe.",
    "gateway": "I lost track of what I was doing.",
    "memory": "I can't reach my memory right now.",
}
# If these refuse, it is because of the text or the language that they were given; their message says why.
_READERS = frozenset({"stt", "intent", "planner"})


def apology(trouble: ServiceError) -> str:
    """One or two sentences that can be spoken."""
    if trouble.code == "INVALID_ARGUMENT" and trouble.service in _READERS:
        return f"Sorry, I can't take that: {trouble.message}."
    part = _PARTS.get(trouble.service, "something I need is not working.")
    again = " Please try again in a moment." if trouble.retryable else ""
    return f"Sorry, {part}{again}"
