"""The golden vectors against the Python codec and models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from streaming.protocol import frame
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.messages import CLIENT_MESSAGES, SERVER_MESSAGES, ClientMessage, Message, ServerMessage

HERE = Path(__file__).parent
FRAMES = json.loads((HERE / "frames.json").read_text(encoding="utf-8"))
MESSAGES = json.loads((HERE / "messages.json").read_text(encoding="utf-8"))


def members(union: Any) -> set[type[Message]]:
    """All models of a union, nested unions included."""
    found: set[type[Message]] = set()
    for part in get_args(union):
        found |= (
            members(part)
            if get_args(part)
            else {part}
            if isinstance(part, type) and issubclass(part, Message)
            else set()
        )
    return found


@pytest.mark.parametrize("vector", FRAMES["frames"], ids=lambda vector: vector["name"])
def test_frames(vector: dict[str, Any]) -> None:
    data, payload = bytes.fromhex(vector["hex"]), bytes.fromhex(vector["payload_hex"])
    fields = {name: vector[name] for name in ("flags", "generation", "seq", "pts_ms")}
    assert frame.encode(vector["channel"], payload, **fields) == data
    assert frame.decode(data) == frame.Frame(channel=vector["channel"], payload=payload, **fields)


@pytest.mark.parametrize("vector", FRAMES["broken"], ids=lambda vector: vector["name"])
def test_broken_frames(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        frame.decode(bytes.fromhex(vector["hex"]))
    assert error.value.close_code == vector["close_code"]


@pytest.mark.parametrize("text", MESSAGES["client"])
def test_commands(text: str) -> None:
    message = CLIENT_MESSAGES.validate_json(text)
    assert json.loads(message.model_dump_json(exclude_unset=True)) == json.loads(text)


@pytest.mark.parametrize("text", MESSAGES["server"])
def test_events(text: str) -> None:
    message = SERVER_MESSAGES.validate_json(text)
    assert json.loads(message.model_dump_json(exclude_none=True)) == json.loads(text)


def test_there_is_a_vector_of_every_message() -> None:
    commands = {type(CLIENT_MESSAGES.validate_json(text)) for text in MESSAGES["client"]}
    events = {type(SERVER_MESSAGES.validate_json(text)) for text in MESSAGES["server"]}
    assert commands == members(ClientMessage)
    assert events == members(ServerMessage)
