"""Client events as they are read, apart from a session."""

from __future__ import annotations

import json

import pytest

from streaming.openai.client_events import UnreadableEventError, read
from streaming.strict_json import MAX_VALUES


@pytest.mark.parametrize("event_id", ["\ud800", "a\udfff", 7, ["i"], "x" * 100_000])
def test_an_event_id_that_cannot_be_sent_is_not_echoed(event_id: object) -> None:
    for fields in ({"type": "fly"}, {"type": "session.update"}, {}):
        try:
            echoed = read(json.dumps({**fields, "event_id": event_id})).event_id
        except UnreadableEventError as unreadable:
            echoed = unreadable.event_id
        assert echoed == ""


@pytest.mark.parametrize("value", ["0", "[]", "{}"])
def test_more_values_than_an_event_may_have_are_refused_unread(value: str) -> None:
    many = ",".join([value] * (MAX_VALUES + 1))
    with pytest.raises(UnreadableEventError, match="more than 10000 values") as refused:
        read(f'{{"type":"session.update","event_id":"many","session":{{"type":"realtime","tools":[{many}]}}')
    assert (refused.value.code, refused.value.event_id) == ("invalid_json", "")
