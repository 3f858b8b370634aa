"""A recording of OpenAI's dialect as a script, and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.cli.replay_openai import OpenAiOutcome, OpenAiScript, openai_script
from server.cli.replay_outcome import compared
from streaming.jarvis.recording import Recording, RecordingEntry
from streaming.secret_fields import HIDDEN

if TYPE_CHECKING:
    from streaming.jarvis.recording import Direction

    Line = tuple[Direction, dict[str, Any]]

SESSION: dict[str, Any] = {"id": "sess_1", "type": "realtime", "model": "m"}


def script(*lines: Line) -> OpenAiScript:
    created = told(0, "session.created", session=SESSION)
    entries = [RecordingEntry(at_ms, *line) for at_ms, line in enumerate([created, *lines])]
    found = openai_script(Recording("f", {}, tuple(entries)))
    assert found is not None
    return found


def told(number: int, kind: str, /, **fields: Any) -> Line:
    return "in", {"event_id": f"event_x_{number}", "type": kind, **fields}


def said(kind: str, /, **fields: Any) -> Line:
    return "out", {"type": kind, **fields}


def response(number: int, status: str = "completed", text: str = "hi", reason: str | None = None) -> list[Line]:
    message = {"id": f"item_{number}", "type": "message", "content": [{"type": "output_audio", "transcript": text}]}
    done: dict[str, Any] = {"id": "resp_1", "status": status, "status_details": {"type": status, "reason": reason}}
    done |= {"output": [message], "audio": {"output": {"format": {"type": "audio/pcm"}}}}
    return [
        told(number, "response.created", response={"id": "resp_1"}),
        told(number + 1, "response.output_item.added", response_id="resp_1", item=message),
        told(number + 2, "response.output_audio.delta", response_id="resp_1", delta="AAAA" * 12_000),
        told(number + 3, "response.done", response=done),
    ]


def test_another_dialect_has_no_such_script() -> None:
    assert openai_script(Recording("f", {}, ())) is None
    native = RecordingEntry(0, "in", {"type": "session.ready"})
    assert openai_script(Recording("f", {}, (native,))) is None


def test_an_event_follows_what_its_client_had_received() -> None:
    found = script(said("response.create"), *response(1), said("response.cancel"))
    assert [(cue.event["type"], cue.after) for cue in found.cues] == [("response.create", 1), ("response.cancel", 4)]
    assert found.query == {"model": "m"}


def test_each_id_is_known_by_where_it_was_first_told() -> None:
    found = script(*response(1), said("conversation.item.delete", item_id="item_1"))
    assert found.ids["item_1"] == ("response.output_item.added", 1, ("item", "id"))
    assert found.ids["resp_1"] == ("response.created", 1, ("response", "id"))


def test_what_a_resume_sent_again_counts_once() -> None:
    assert script(*response(1), *response(1)).outcome.facts() == script(*response(1)).outcome.facts()


def test_hidden_fields_of_tools_are_not_sent() -> None:
    tool = {"type": "mcp", "server_label": "x", "headers": HIDDEN, "authorization": HIDDEN, "server_url": HIDDEN}
    (cue,) = script(said("session.update", session={"type": "realtime", "tools": [tool]})).cues
    assert cue.event["session"]["tools"] == [{"type": "mcp", "server_label": "x"}]


def test_what_a_session_came_to() -> None:
    heard = told(9, "conversation.item.input_audio_transcription.completed", item_id="item_9", transcript="List files.")
    found = script(*response(1), heard, told(10, "error", error={"code": "invalid_value"})).outcome.facts()
    assert found["session", "transcripts"] == ("List files.",)
    assert found["session", "errors"] == ("invalid_value",)
    assert found["response 1", "ends"] == ("completed",)
    assert found["response 1", "replies"] == ("hi",)
    assert found["response 1", "seconds of audio"] == pytest.approx(0.75)


def test_of_a_cancelled_response_only_its_end_counts() -> None:
    found = script(*response(1, "cancelled", reason="turn_detected")).outcome.facts()
    assert found == {("response 1", "ends"): ("cancelled turn_detected",)}


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (response(1, text="no"), {"replies"}),
        (response(1, "cancelled"), {"ends", "replies", "order", "seconds of audio"}),
        ([], {"ends", "replies", "order", "seconds of audio"}),
    ],
)
def test_each_difference_is_named(other: list[Line], what: set[str]) -> None:
    differing = compared(script(*response(1)).outcome, script(*other).outcome)
    assert {fact.what for fact in differing if not fact.equal} == what


def test_pieces_of_words_are_no_difference() -> None:
    outcome = OpenAiOutcome()
    for piece in ("a", "b"):
        outcome.event({"type": "response.output_audio_transcript.delta", "response_id": "r", "delta": piece})
    assert outcome.facts() == {}
