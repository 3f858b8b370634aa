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
        try:
            yield mistaken
        except UnreadableEventError as mistake:
            mistaken.event_id = mistake.event_id
            session.count("", data)
            raise
        except MistakeError:
            if mistaken.is_sound:
                session.count("", data)
            raise
    except FloodError as flood:
        session.end(POLICY_VIOLATION, flood.code, flood.message)
    except Exception as error:  # noqa: BLE001 - any of them is answered
        session.event_queue.say(failure_event(error, mistaken.event_id))
