"""The AsyncAPI document and its page: every message, as in the models."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import pytest

from handlers.socket import SocketHandler
from server.app import ROUTES
from server.documents.asyncapi import CLIENT_MODELS, SERVER_MODELS, asyncapi_document, asyncapi_page, type_in_words
from streaming.openai.client_events import TYPES
from streaming.protocol.messages import CLIENT_MESSAGES, SERVER_MESSAGES
from tests.support.documents import references, resolve

DOCUMENT: dict[str, Any] = json.loads(json.dumps(asyncapi_document()))


def wire_types(schema: Any) -> set[str]:
    """The `type` of every message in a union's schema."""
    kinds = schema["$defs"].values()
    return {
        kind["properties"]["type"]["const"] for kind in kinds if "const" in kind.get("properties", {}).get("type", {})
    }


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        resolve(DOCUMENT, reference)


def test_every_message_of_the_wire_is_there() -> None:
    names = {message["name"] for message in DOCUMENT["components"]["messages"].values()}
    assert names == wire_types(CLIENT_MESSAGES.json_schema()) | wire_types(SERVER_MESSAGES.json_schema()) | {
        "audio frame"
    }
    assert {"call", "channel.open", "session.resume"} <= names
    assert {"session.ready", "turn.latency", "channel.closed"} <= names


def test_every_socket_is_there() -> None:
    served = {route.path for route in ROUTES if issubclass(route.handler, SocketHandler)}
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == served
    page = asyncapi_page()
    for channel in DOCUMENT["channels"].values():
        assert f"WS {channel['address']}" in page


def test_messages_of_other_dialects_are_in_their_channels_only() -> None:
    twilio = DOCUMENT["channels"]["twilio"]["messages"]
    assert set(twilio) == {"connected", "start", "media", "dtmf", "mark", "stop", "clear"}
    assert set(DOCUMENT["channels"]["realtime"]["messages"]) == set(TYPES)
    assert "session.start" in DOCUMENT["channels"]["live"]["messages"]
    assert "decision.create" not in DOCUMENT["channels"]["live"]["messages"]


def test_each_direction_has_its_own() -> None:
    operations = DOCUMENT["operations"]
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert (operations["receive"]["action"], operations["send"]["action"]) == ("receive", "send")
    assert len(operations["receive"]["messages"]) == len(CLIENT_MODELS) + 1
    assert len(operations["send"]["messages"]) == len(SERVER_MODELS) + 1


def test_every_message_says_what_it_is() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        assert message["summary"]
        assert message["contentType"] in {"application/json", "application/octet-stream"}


def test_the_page_shows_every_message_and_field() -> None:
    page = asyncapi_page()
    for model in (*CLIENT_MODELS, *SERVER_MODELS):
        assert f'">{model.model_fields["type"].default}' in page
        for name in model.model_fields:
            assert name == "type" or f"<td>{name}</td>" in page
    for link in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{link}"' in page


def test_types_in_words() -> None:
    assert type_in_words({"$ref": "#/components/schemas/Word"}) == "Word"
    assert type_in_words({"const": "stt"}) == '"stt"'
    assert type_in_words({"enum": ["a", "b"]}) == "a | b"
    assert type_in_words({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string"
    assert type_in_words({"type": "array", "items": {"type": "integer"}}) == "list of integer"
    assert type_in_words({}) == "any"


@pytest.mark.parametrize(("direction", "adapter"), [("client", CLIENT_MESSAGES), ("server", SERVER_MESSAGES)])
def test_every_message_has_an_example_that_is_true(direction: str, adapter: Any) -> None:
    vectors = json.loads((Path(__file__).parents[2] / "golden/messages.json").read_text(encoding="utf-8"))[direction]
    golden = [json.loads(text) for text in vectors]
    page = asyncapi_page()
    for name, message in asyncapi_document()["components"]["messages"].items():
        if not name.startswith(f"{direction}."):
            continue
        (example,) = message["examples"]
        assert example["payload"] in golden, name
        assert type(adapter.validate_json(json.dumps(example["payload"]))).__name__ == message["title"]
        assert escape(json.dumps(example["payload"], ensure_ascii=False)) in page
