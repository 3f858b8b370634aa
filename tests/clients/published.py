"""Validates server events strictly against the models published in OpenAI's client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from openai.types.live import ServerEvent
from openai.types.realtime import RealtimeServerEvent

if TYPE_CHECKING:
    from pydantic import BaseModel

MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(RealtimeServerEvent)[0])
}
LIVE_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(ServerEvent)[0])
}
# told by the API itself, and not in the published model of a session
BESIDE = {("session", "id"), ("session", "object"), ("session", "expires_at")}


def checked(raw: bytes | str) -> dict[str, Any]:
    """One server event: of a published type, with all that its model asks for, and no field that the model does not have."""
    event: dict[str, Any] = json.loads(raw)
    model = MODELS[event["type"]]
    parsed = model.model_validate_json(raw, strict=True)
    assert set(_extra(parsed, "")) <= BESIDE, list(_extra(parsed, ""))
    assert event["event_id"]
    return event


def checked_live(raw: bytes | str) -> dict[str, Any]:
    """The same of the Live API, where sound has no id."""
    event: dict[str, Any] = json.loads(raw)
    model = LIVE_MODELS[event["type"]]
    parsed = model.model_validate_json(raw, strict=True)
    assert list(_extra(parsed, "")) == []
    return event


def _extra(value: Any, name: str) -> Any:
    """Fields that are in no model, as (where, name)."""
    if isinstance(value, list):
        for inner in value:
            yield from _extra(inner, name)
        return
    if not hasattr(value, "model_fields_set"):
        return
    for field in value.model_extra or ():
        yield (name, field)
    for field in type(value).model_fields:
        yield from _extra(getattr(value, field), field)
