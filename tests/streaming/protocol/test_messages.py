from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from streaming.protocol import messages
from streaming.protocol.close_codes import CLOSE_CODES
from streaming.protocol.errors import ERROR_CODES
from streaming.protocol.messages import CLIENT_MESSAGES, SERVER_MESSAGES, ClientMessage, ServerMessage
from tests.golden.test_vectors import members


@pytest.mark.parametrize("adapter", [CLIENT_MESSAGES, SERVER_MESSAGES])
def test_every_field_says_what_it_is(adapter: Any) -> None:
    schema = adapter.json_schema()
    silent = [
        f"{name}.{field}"
        for name, model in schema["$defs"].items()
        for field, about in model.get("properties", {}).items()
        if "description" not in about
    ]
    assert silent == []


def test_every_message_says_what_it_is_and_has_a_type_of_its_own() -> None:
    for union, shared in ((ClientMessage, {"channel.open"}), (ServerMessage, set())):
        kinds = [model.model_fields["type"].default for model in members(union)]
        assert all(model.__doc__ for model in members(union))
        assert {kind for kind in kinds if kinds.count(kind) > 1} == shared


@pytest.mark.parametrize(("given", "kept"), [(1.0000001, 1.0), (-0.1, 0.0), (0.5, 0.5), (1, 1.0)])
def test_shares_of_services_are_kept_in_range(given: float, kept: float) -> None:
    assert messages.Word(text="a", start_ms=0, end_ms=0, confidence=given).confidence == kept


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ValidationError):
        messages.TaskProgress(channel=1, percent="50")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "params",
    [
        {"language": "not a tag"},
        {"sample_rate": 48_001},
        {"sample_rate": "16000"},
        {"encoding": "opus", "sample_rate": 44_100},
        {"reply_encoding": "opus", "reply_sample_rate": 44_100},
        {"vocabulary": [""]},
        {"vocabulary": ["x"] * 201},
        {"speed": 0.2},
        {"text": ""},
        {"text": "x" * 20_001},
        {"interim": 1},
        {"wings": 2},
    ],
)
def test_parameters_have_bounds(params: dict[str, object]) -> None:
    command = {"type": "channel.open", "channel": 1, "kind": "turn", "params": params}
    with pytest.raises(ValidationError):
        CLIENT_MESSAGES.validate_json(json.dumps(command))


def test_what_is_not_told_has_the_plans_defaults() -> None:
    command = CLIENT_MESSAGES.validate_json('{"type":"channel.open","channel":1,"kind":"turn"}')
    assert isinstance(command, messages.OpenTurn)
    assert command.credit == 262_144
    params = command.params
    assert (params.language, params.encoding, params.sample_rate) == ("en-US", "pcm_s16le", 16_000)
    assert (params.interim, params.endpointing, params.reply, params.speed) == (True, True, "audio", 1.0)


def test_the_catalogues_speak_for_people() -> None:
    assert all(code == code.upper() and kind.meaning.endswith(".") for code, kind in ERROR_CODES.items())
    assert all(entry.meaning.endswith(".") for entry in CLOSE_CODES.values())


def test_a_message_is_shown_as_one_line_without_what_goes_without_saying() -> None:
    reply = messages.TurnReply(channel=1, text="line\none")
    assert str(reply) == repr(reply) == r"TurnReply(channel=1, text='line\none')"


def test_a_long_field_is_shown_by_its_beginning() -> None:
    shown = repr(messages.Result(id="1", data={"screenshot": "A" * 10_000}))
    assert shown.startswith("Result(id='1', data={'screenshot': 'AAAA")
    assert shown.endswith("A…)")
    assert len(shown) < 300
