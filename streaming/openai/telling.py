"""Answers what goes wrong with a client event."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streaming.openai.client_events import UnreadableEventError
from streaming.openai.mistakes import MistakeError, failure_event
from streaming.openai.pace import FloodError
from streaming.rfc6455 import POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.long_text import LongText
    from streaming.openai.event_queue import EventQueue


class ToldSession(Protocol):
    """What is used of the session."""

    event_queue: EventQueue

    def count(self, kind: str, data: str | bytes | LongText) -> None:
        """Count an event. Raises MistakeError if there are too many."""

    def end(self, code: int, word: str, message: str) -> None:
        """Send the reason as an `error`, and close."""


@dataclass(slots=True)
class Mistaken:
    """The client event that an `error` is about. `is_sound`: it did not count."""

    event_id: str = ""
    is_sound: bool = False


@contextmanager
def telling_mistakes(session: ToldSession, data: str | bytes | LongText) -> Iterator[Mistaken]:
    """Answer any exception inside with an `error`. A flood ends the session."""
    mistaken = Mistaken()
    try:
        yield mistaken
    except Exception as error:  # noqa: BLE001 - any of them is answered
        tell(session, error, mistaken, data)


def tell(session: ToldSession, error: Exception, mistaken: Mistaken, data: str | bytes | LongText = "") -> None:
    """Answer what went wrong with an event. One that had not counted yet, as it is sound or cannot be read, counts now."""
    try:
        if isinstance(error, UnreadableEventError):
            mistaken.event_id = error.event_id
            session.count("", data)
        elif isinstance(error, MistakeError) and mistaken.is_sound:
            session.count("", data)
    except Exception as too_many:  # noqa: BLE001 - as above
        _answer(session, too_many, mistaken)
    else:
        _answer(session, error, mistaken)


def _answer(session: ToldSession, error: Exception, mistaken: Mistaken) -> None:
    if isinstance(error, FloodError):
        session.end(POLICY_VIOLATION, error.code, error.message)
    else:
        session.event_queue.say(failure_event(error, mistaken.event_id))
