"""What OpenAI's published models refuse, as docs/OPENAI.md tells it: each form is refused, and ours of the same event is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.clients.published import LIVE_MODELS, MODELS

ITEM = {"item_id": "i", "content_index": 0}
OF_RESPONSE = {**ITEM, "response_id": "r", "output_index": 0}
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
ARGUMENTS = {"response_id": "r", "item_id": "i", "output_index": 0, "call_id": "c"}
HISTORY = {"role": "user", "content": [{"type": "input_text", "text": "a"}]}
SESSION = {"id": "s", "model": "m", "expires_at": 1, "status": "active"}


def limits(name: str) -> dict[str, Any]:
    return {"rate_limits": [{"name": name, "limit": 1, "remaining": 1, "reset_seconds": 1.0}]}


def response(**fields: Any) -> dict[str, Any]:
    return {"response": {"id": "r", "object": "realtime.response", "status": "failed", **fields}}


def spoken_by(voice: Any) -> dict[str, Any]:
    return response(audio={"output": {"voice": voice}})


def closed(reason: str) -> dict[str, Any]:
    return {"reason": reason, "session": SESSION, "usage": {"seconds": 1.0}}


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize(
    ("kind", "refused", "ours"),
    [
        ("response.content_part.added", {**OF_RESPONSE, "part": {"type": "output_audio"}}, {**OF_RESPONSE, "part": {"type": "audio"}}),
        ("response.done", spoken_by({"id": "hibari"}), spoken_by("hibari")),
        ("rate_limits.updated", limits("handshakes"), limits("requests")),
        ("response.done", response(status_details={"reason": "unavailable"}), response(status_details={"error": {"code": "unavailable"}})),
        (TRANSCRIBED, {**ITEM, "transcript": "a"}, {**ITEM, "transcript": "a", "usage": {"type": "duration", "seconds": 1.0}}),
        ("response.function_call_arguments.done", {**ARGUMENTS, "arguments": "{}"}, {**ARGUMENTS, "arguments": "{}", "name": "f"}),
        ("response.function_call_arguments.delta", {**without(ARGUMENTS, "call_id"), "delta": "{}"}, {**ARGUMENTS, "delta": "{}"}),
        ("input_audio_buffer.speech_started", {"item_id": "i", "audio_start_ms": 1.0}, {"item_id": "i", "audio_start_ms": 1}),
    ],
)  # fmt: skip
def test_a_form_that_is_refused_and_ours(kind: str, refused: dict[str, Any], ours: dict[str, Any]) -> None:
    _compare(MODELS[kind], kind, refused, ours)


@pytest.mark.parametrize(
    ("kind", "refused", "ours"),
    [
        ("session.started", {"session": {**SESSION, "input": [{**HISTORY, "content": [{"type": "output_text", "text": "a"}]}]}}, {"session": {**SESSION, "input": [HISTORY]}}),
        ("session.closed", closed("drain"), closed("connection_lost")),
    ],
)  # fmt: skip
def test_a_form_that_is_refused_in_the_live_api(kind: str, refused: dict[str, Any], ours: dict[str, Any]) -> None:
    _compare(LIVE_MODELS[kind], kind, refused, ours)


def test_which_live_events_have_no_id() -> None:
    nameless = {kind for kind, model in LIVE_MODELS.items() if "event_id" not in model.model_fields}
    assert {"session.output_audio.delta", "session.input_audio.append"} >= nameless
    assert "session.output_audio.delta" in nameless


def _compare(model: Any, kind: str, refused: dict[str, Any], ours: dict[str, Any]) -> None:
    head = {"type": kind, "event_id": "e"}
    model.model_validate_json(json.dumps({**head, **ours}), strict=True)
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps({**head, **refused}), strict=True)
