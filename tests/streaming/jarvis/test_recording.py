"""The format of recordings: they can be read again, and contain neither secrets nor other users' sessions."""

from __future__ import annotations

import json
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.jarvis import recording
from streaming.jarvis.recording import LONGEST_MS, RecordingEntry, RecordingError, Scribe, entry_line, head_line, read
from streaming.protocol import frame
from streaming.secret_fields import HIDDEN

HEAD = head_line(1_700_000_000.0, session_id="s1")
FRAME = frame.encode(1, b"\0\1", seq=3)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "ü", "\n"]), inner, max_size=3),
    max_leaves=8,
)
messages = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.text("abc.", min_size=1),
    st.dictionaries(st.sampled_from(["text", "params", "channel"]), json_values, max_size=3),
)
frames = st.builds(
    lambda channel, seq, payload: frame.encode(channel, payload, seq=seq),
    st.integers(1, 65_535),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=64),
)
moments = st.integers(0, LONGEST_MS * 10).map(lambda tenths: tenths / 10)
directions: Any = st.sampled_from(["in", "out"])


@given(st.lists(st.tuples(moments, directions, messages | frames), max_size=8))
def test_what_crossed_the_wire_comes_back(wire: list[tuple[float, Any, Any]]) -> None:
    scribe = Scribe()
    lines = [HEAD]
    for at_ms, direction, item in wire:
        entry = scribe.entry(at_ms, direction, item if isinstance(item, bytes) else json.dumps(item))
        assert entry is not None
        lines.append(entry_line(entry))
    recording = read(lines, "f")
    assert recording.head["session_id"] == "s1"
    assert recording.head["started_at"] == "2023-11-14T22:13:20.000Z"
    again = [(e.at_ms, e.direction, e.message if e.frame is None else e.frame) for e in recording.entries]
    assert again == wire
    assert all(line.count("\n") == 1 for line in lines)


def test_secrets_are_hidden_however_deep() -> None:
    message = {"type": "call", "id": "1", "op": "x", "params": {"password": "hunter2", "more": [{"token": "hunter2"}]}}
    entry = Scribe().entry(0, "out", json.dumps(message))
    assert entry is not None
    assert "hunter2" not in entry_line(entry)
    assert entry.message is not None
    assert entry.message["params"]["more"] == [{"token": HIDDEN}]


def test_what_opens_a_tool_s_server_is_hidden() -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": "https://hunter2.example/", "authorization": "hunter2"}
    session = {"type": "realtime", "tools": [{**tool, "headers": {"X-Key": "hunter2"}}]}
    for kind in ("session.update", "session.updated"):
        entry = Scribe().entry(0, "out", json.dumps({"type": kind, "session": session}))
        assert entry is not None
        assert "hunter2" not in entry_line(entry)
        assert "server_label" in entry_line(entry)


def test_words_about_secrets_stay() -> None:
    entry = Scribe().entry(0, "out", '{"type":"tts.text","channel":1,"text":"my password is token"}')
    assert entry is not None
    assert entry.message == {"type": "tts.text", "channel": 1, "text": "my password is token"}


def test_what_is_seen_of_another_session_is_left_out() -> None:
    scribe = Scribe()
    opening = {"type": "channel.open", "channel": 3, "kind": "observe", "params": {"session_id": "s2", "audio": True}}
    assert scribe.entry(0, "out", json.dumps(opening)) is not None
    event = {"type": "observe.event", "channel": 3, "direction": "client", "message": {"type": "tts.text"}}
    assert scribe.entry(1, "in", json.dumps(event)) is None
    assert scribe.entry(1, "in", frame.encode(3, b"\0\0")) is None
    assert scribe.entry(1, "in", FRAME) is not None
    assert scribe.entry(2, "out", json.dumps(event)) is not None  # what the client itself says is its own session's


@pytest.mark.parametrize("data", ["{", "[]", "{}", '{"type":3}', '{"type":"a","a":NaN}', b"\1", b"\2" * 16])
def test_what_is_no_message_is_told_without_its_content(data: str | bytes) -> None:
    entry = Scribe().entry(0, "out", data)
    assert entry is not None
    assert entry.type == "(unreadable)"
    assert read([HEAD, entry_line(entry)], "f").entries == (entry,)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "not a recording"),
        (["RIFF....WAVE\n"], "not a recording"),
        (['{"type":"other"}\n'], "not a recording"),
        (["[" * 100_000], "not a recording"),
        (['{"type":"jarvis.recording","version":2}\n'], "version 2"),
        (
            [HEAD, entry_line(RecordingEntry(1, "in", {"type": "x"}))[:-5]],
            "line 2: not JSON: the file was cut off there",
        ),
        ([HEAD, "{]\n", "\n"], "line 2: not JSON"),
        ([HEAD, "\n", "[]\n"], "line 3: not a JSON object"),
        ([HEAD, '{"at_ms":true,"direction":"in","message":{"type":"x"}}\n'], "line 2: at_ms is not a number"),
        ([HEAD, '{"at_ms":NaN,"direction":"in","message":{"type":"x"}}\n'], "line 2: at_ms is not within"),
        ([HEAD, f'{{"at_ms":{"9" * 400},"direction":"in","message":{{"type":"x"}}}}\n'], "line 2: at_ms is not within"),
        ([HEAD, '{"at_ms":-1,"direction":"in","message":{"type":"x"}}\n'], "line 2: at_ms is not within an hour"),
        ([HEAD, '{"at_ms":1,"direction":"up","message":{"type":"x"}}\n'], "line 2: no direction"),
        ([HEAD, '{"at_ms":1,"direction":["in"],"message":{"type":"x"}}\n'], "line 2: no direction"),
        ([HEAD, '{"at_ms":1,"direction":"in","message":{}}\n'], "line 2: neither"),
        ([HEAD, '{"at_ms":1,"direction":"in","frame":"AQ=="}\n'], "line 2: the frame is damaged"),
        ([HEAD, '{"at_ms":1,"direction":"in","frame":"!"}\n'], "line 2: the frame is damaged"),
        ([HEAD, '{"at_ms":1,"direction":"in","frame":7}\n'], "line 2: the frame is damaged"),
    ],
)
def test_a_bad_file_is_told_in_one_line(lines: list[str], words: str) -> None:
    with pytest.raises(RecordingError, match=words) as wrong:
        read(lines, "file.jsonl")
    assert "\n" not in str(wrong.value)
    assert str(wrong.value).startswith("file.jsonl")


@pytest.mark.parametrize("line", ["\n", '{"at_ms":1,"direction":"in","message":{"type":"x"}}\n'])
def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(recording, "MOST_LINES", 1000)
    with pytest.raises(RecordingError, match=r"^pipe has more than 1000 lines$"):
        read(chain([HEAD], repeat(line)), "pipe")
