"""PROTOCOL.md matches the code: its examples are the golden vectors, its tables are complete."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from streaming.protocol.channel import TRANSITIONS, ChannelInput, ChannelState
from streaming.protocol.close_codes import CLOSE_CODES
from streaming.protocol.errors import ERROR_CODES
from streaming.protocol.limits import Limits
from streaming.protocol.messages import ChannelParams, ClientMessage, Message, ServerMessage
from tests.golden.test_vectors import FRAMES, MESSAGES, members

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "streaming" / "protocol" / "PROTOCOL.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ([^\n]+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
COMMANDS, EVENTS = members(ClientMessage), members(ServerMessage)


def rows(text: str) -> list[list[str]]:
    """The cells of all tables."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


ROWS = rows(TEXT)
COMMAND_ROWS = rows(TEXT.partition("### Commands")[2].partition("###")[0])
EVENT_ROWS = rows(TEXT.partition("### Events about the session")[2].partition("## 4.")[0])


def test_frames_are_the_golden_vectors() -> None:
    hex_of = {vector["name"]: vector["hex"] for vector in FRAMES["frames"]}
    shown = {name: "".join(body.split()) for kind, name, body in BLOCKS if kind == "frame"}
    assert len(shown) >= 5
    assert shown == {name: hex_of[name] for name in shown}


def test_messages_are_the_golden_vectors() -> None:
    shown = [(side, line) for kind, side, body in BLOCKS if kind == "json" for line in body.splitlines()]
    assert len(shown) >= 10
    assert [line for side, line in shown if line not in MESSAGES[side]] == []


def told(message: type[Message], table: list[list[str]]) -> str:
    """The row about a message."""
    kind = message.model_fields["type"].default
    (row,) = [row for row in table if f"`{kind}`" in row[0]]
    return " ".join(row[1:])


@pytest.mark.parametrize("message", sorted(COMMANDS | EVENTS, key=repr), ids=lambda message: message.__name__)
def test_every_message_and_field_is_named(message: type[Message]) -> None:
    row = told(message, COMMAND_ROWS if message in COMMANDS else EVENT_ROWS)
    everywhere = {"type", "id", "seq", "channel", "turn_id"}  # told once for all
    assert [
        name for name in message.model_fields if name not in everywhere and not re.search(rf"\b{name}\b", row)
    ] == []


def test_every_parameter_is_named() -> None:
    channels = TEXT.partition("## 5. Channels")[2].partition("## 6.")[0]
    for params in get_args(ChannelParams):
        assert [name for name in params.model_fields if f"`{name}" not in channels] == []


def test_every_error_and_close_code_is_named() -> None:
    named = {cell.strip("`") for row in ROWS for cell in row}
    assert set(ERROR_CODES) <= named
    reconnect = {row[0]: row[-1] == "yes" for row in ROWS if re.fullmatch(r"\d{4}", row[0])}
    assert reconnect == {str(code): entry.reconnect for code, entry in CLOSE_CODES.items()}


def test_every_limit_is_named_with_its_default() -> None:
    shown: dict[str, float] = {}
    for row in ROWS:
        names, values = re.findall(r"`(\w+)`", row[0]), re.findall(r"\d+", row[1])
        shown |= dict(zip(names, map(float, values), strict=False))
    assert {field.name: shown.get(field.name) for field in fields(Limits)} == {
        field.name: float(getattr(Limits(), field.name)) for field in fields(Limits)
    }


def test_the_table_of_states_is_that_of_the_code() -> None:
    shown: dict[tuple[ChannelState, ChannelInput], ChannelState] = {}
    for row in ROWS:
        if row[0] in set(ChannelState):
            shown |= {
                (ChannelState(row[0]), happening): ChannelState(to)
                for happening, to in zip(ChannelInput, row[1:], strict=True)
                if to != "–"
            }
    assert shown == TRANSITIONS


def test_close_codes_say_by_their_range_whether_to_come_back() -> None:
    own = {code: entry.reconnect for code, entry in CLOSE_CODES.items() if code >= 4000}
    assert own == {code: code < 4500 for code in own}
