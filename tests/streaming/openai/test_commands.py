"""Client events as they are read, apart from a session."""

from __future__ import annotations

import json

import pytest

from streaming.openai.commands import UnreadableError, read


@pytest.mark.parametrize("event_id", ["\ud800", "a\udfff", 7, ["i"], "x" * 100_000])
def test_an_event_id_that_cannot_be_sent_is_not_echoed(event_id: object) -> None:
    for fields in ({"type": "fly"}, {"type": "session.update"}, {}):
        try:
            echoed = read(json.dumps({**fields, "event_id": event_id})).event_id
        except UnreadableError as unreadable:
            echoed = unreadable.event_id
        assert echoed == ""
