"""What `talk` shows of events that have little to say."""

from __future__ import annotations

import io

from rich.console import Console

from server.cli.screen import Screen
from streaming.protocol import messages


def shown(*events: messages.Message) -> list[str]:
    screen, out = Screen(), io.StringIO()
    for event in events:
        screen.show(event)
    Console(file=out, width=80).print(screen)
    return [line.strip() for line in out.getvalue().splitlines() if line.strip()]


def test_an_empty_reply_is_no_line() -> None:
    events = [messages.TurnReply(channel=1, turn_id="t", text=text) for text in ("", "It is five.")]
    assert shown(*events) == ["agent  It is five."]


def test_a_question_that_is_answered_while_it_is_asked_was_ended_by_no_sound() -> None:
    paused = messages.TurnPaused(channel=1, turn_id="t", generation=1, heard_ms=0)
    interrupted = messages.TurnInterrupted(channel=1, turn_id="t", generation=1, heard_ms=0, heard_text="")
    assert shown(paused, interrupted) == ["paused", "interrupted"]


def test_what_was_heard_of_a_reply_is_quoted() -> None:
    interrupted = messages.TurnInterrupted(channel=1, turn_id="t", generation=1, heard_ms=840, heard_text="It is")
    assert shown(interrupted) == ["interrupted after “It is”"]
